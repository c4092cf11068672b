//! Storage DSNs that are there already: in the environment, and in the files of variables of a project. Nothing is contacted,
//! and what is no DSN is nobody's business.

use std::path::Path;

use crate::cli::place::{self, World};
use crate::location::{self, Found, Location};

/// The variable that platforms use comes first.
const FIRST: &str = "DEFAULT_STORAGE_DSN";
/// Files of variables at the root of a project.
const FILES: [&str; 3] = [".env-local", ".env.local", ".env"];

/// A place that a DSN names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// How it is written: `env:NAME`, `dsn-file:PATH`.
    pub(super) text: String,
    /// For people.
    place: String,
}

impl Candidate {
    /// For people.
    pub(super) fn shown(&self) -> String {
        format!("{}   {}", self.text, self.place)
    }
}

/// All that can be found.
pub(super) fn dsns(world: World<'_>) -> Vec<Candidate> {
    let mut names: Vec<String> = std::env::vars_os()
        .filter(|(_, value)| value.to_str().is_some_and(|value| value.contains("://")))
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    names.sort_by_key(|name| (name != FIRST, name.clone()));
    let variables = names.into_iter().map(|name| format!("env:{name}"));
    let root = world.project.unwrap_or(Path::new("."));
    let files = FILES.iter().map(|file| root.join(file)).filter(|path| path.is_file());
    let files = files.filter_map(|path| Some(format!("dsn-file:{}", path.to_str()?)));
    let mut found: Vec<Candidate> = Vec::new();
    for text in variables.chain(files) {
        let Ok(end) = place::end(&text, world) else { continue };
        let has_credentials = matches!(end.location, Location::S3(_) | Location::Azure(_));
        let host = end.host().map(|host| format!(" ({host})")).unwrap_or_default();
        let place = format!("{}{host}", end.location.display());
        if has_credentials && !found.iter().any(|known| known.place == place) {
            found.push(Candidate { text, place });
        }
    }
    found
}

/// The media directory, where there is one: that of the current directory, else that of the project.
pub(super) fn media(world: World<'_>) -> Option<String> {
    const HERE: &str = "./media";
    if (world.found)(Path::new(HERE)) == Found::Directory {
        return Some(HERE.to_owned());
    }
    let local = location::default_local(world.project, &|path| (world.found)(path) == Found::Directory);
    let is_there = (world.found)(&local) == Found::Directory;
    local.to_str().filter(|_| is_there).map(str::to_owned)
}
