//! What two processes compare to know that they mean the same: by the name of a job, and by a configuration file. What is
//! compared is a hash of what people may see.

use std::fs;
use std::path::{Path, PathBuf};

use super::place;
use super::resolve::Task;
use super::setup::shown;
use crate::config::{Config, Job, Remote, RemoteAt};
use crate::dsn;
use crate::secret::Secret;

/// What a job means where its places are known: two processes may have other variables.
pub fn by_places(task: &Task) -> String {
    let task = Task { command: "", ..task.clone() };
    hash(&format!("{task:?}"))
}

/// What a job means as it is written, for whoever can't find its places: the same job, with the same remotes, of the same
/// file.
pub fn as_written(job: &Job, config: &Config) -> String {
    let places = [&job.source, &job.destination].map(|text| place_as_written(text, config));
    let job = Job { line: 0, ..job.clone() };
    hash(&format!("as written {} {job:?} {places:?}", real(&config.path).display()))
}

/// A place, with the remote that it names.
fn place_as_written(text: &Secret, config: &Config) -> String {
    let written = dsn::redact(text.reveal());
    let Some((_, remote)) = place::remote(text.reveal(), config) else { return written.into_owned() };
    let remote = Remote { line: 0, ..remote.clone() };
    match &remote.at {
        RemoteAt::Dsn(dsn) => format!("{written} {} {remote:?}", dsn::redact(dsn.reveal())),
        RemoteAt::Command(_) | RemoteAt::Url(_) => format!("{written} {remote:?}"),
    }
}

/// Whether two names are those of one configuration file. `its` is how the daemon calls it.
pub fn is_same_file(own: &Path, its: &str) -> bool {
    shown(own) == its || fs::canonicalize(own).is_ok_and(|own| fs::canonicalize(its).is_ok_and(|its| own == its))
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[remote.live]\ndsn = \"credential:live\"\n\n[[job]]\nname = \"media\"\nsource = \"/a\"\n\
                        destination = \"live:\"\nmode = \"copy\"\n";

    fn meant(text: &str, path: &Path) -> String {
        let config = Config::parse(text, path).unwrap();
        as_written(&config.jobs[0], &config)
    }

    #[test]
    fn a_job_as_written_is_the_same_job_with_the_same_remotes_of_the_same_file() {
        let path = Path::new("/etc/mediasync/config.toml");
        let known = meant(TEXT, path);
        assert_eq!(meant(&format!("# more\n\n{TEXT}"), path), known, "where it stands means nothing");
        assert_ne!(meant(TEXT, Path::new("/etc/mediasync/other.toml")), known);
        for (old, new) in [
            ("credential:live", "credential:other"),
            ("credential:live", "s3://KEY:SECRET@bucket.example.com"),
            ("\"/a\"", "\"/b\""),
            ("live:", "live:below"),
            ("\"copy\"", "\"mirror\""),
            ("mode", "max_delete = 3\nmode"),
            ("[remote.live]", "[remote.live]\nacl = \"private\""),
        ] {
            let changed = TEXT.replace(old, new);
            assert_ne!(meant(&changed, path), known, "{changed}");
        }
        let secret = |dsn: &str| meant(&TEXT.replace("credential:live", dsn), path);
        let one = secret("s3://KEY:ONE@bucket.s3.eu-west-1.amazonaws.com/");
        assert_eq!(secret("s3://KEY:TWO@bucket.s3.eu-west-1.amazonaws.com/"), one, "no secret is part of it");
        assert_ne!(secret("s3://KEY:ONE@other.s3.eu-west-1.amazonaws.com/"), one);
    }

    #[test]
    fn a_file_is_the_same_one_by_each_of_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("config.toml"), dir.path().join("link.toml"));
        fs::write(&file, "").unwrap();
        fs::write(dir.path().join("other.toml"), "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(is_same_file(&link, &shown(&file)) && is_same_file(&file, &shown(&file)));
        assert!(!is_same_file(&file, &shown(&dir.path().join("other.toml"))));
        let gone = Path::new("/nowhere/config.toml");
        assert!(is_same_file(gone, "/nowhere/config.toml") && !is_same_file(gone, "/nowhere/other.toml"));
    }
}
