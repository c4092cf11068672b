//! What was typed and can't be meant: forgotten schemes, names of variables, unknown names, each with the way out.
//! Nothing that exists is refused here, nor anything that says what it is (`./NAME`, `env:NAME`, `s3://NAME`).

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::place::World;
use crate::config::{Config, nearest};
use crate::dsn::is_variable;
use crate::location::Found;
use crate::replica::s3::bucket::{Naming, check_bucket};

/// No job has the name that was typed: which ones there are.
pub(in crate::cli) fn unknown_job(name: &str, config: &Config) -> Failure {
    let known: Vec<&str> = config.jobs.iter().map(|job| job.name.as_str()).collect();
    // What was typed may be a DSN in the wrong place.
    let shown = crate::dsn::redact(name).escape_debug().to_string();
    let failure = Failure::usage(format!("no job is called \"{shown}\""));
    let failure = match nearest(name, &known) {
        Some(near) => failure.hint(format!("did you mean \"{near}\"?")),
        None => failure,
    };
    failure.hint(format!("known are {}", known.join(", ")))
}

/// A push that names only a directory, or nothing.
pub(super) fn no_target(message: &str, world: World<'_>) -> Failure {
    known_remotes(Failure::usage(message), "mediasync push [LOCAL] s3://BUCKET/PREFIX or env:NAME", world)
}

/// Adds which remotes there are, or the way to write one.
pub(super) fn known_remotes(failure: Failure, way: &str, world: World<'_>) -> Failure {
    let names: Vec<String> = world.config.remotes.keys().map(|name| format!("{name}:")).collect();
    if names.is_empty() {
        return failure.hint(format!("the configuration names no remote; write {way}"));
    }
    failure.hint(format!("known remotes are {}", names.join(", ")))
}

/// Whether a text where names of jobs stand reads as a place.
pub(super) fn looks_like_a_place(text: &str) -> bool {
    text.contains(['/', ':']) || text.starts_with('.')
}

/// Whether a text is a name alone, and nothing stands under it in the current directory.
pub(in crate::cli) fn is_a_bare_name(text: &str, world: World<'_>) -> bool {
    let plain = !text.contains(['/', ':', '\\']) && !text.starts_with(['.', '~', '-']);
    plain && (world.found)(Path::new(text)) == Found::Nothing
}

/// The name of a variable without `env:` would be a directory that is made there.
pub(super) fn refuse_a_variable(text: &str, world: World<'_>) -> Result<(), Failure> {
    let shouts = text.contains('_') && !text.contains(|c: char| c.is_ascii_lowercase());
    if !is_a_bare_name(text, world) || !is_variable(text) || !(shouts || (world.env)(text).is_some()) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{text}` is the name of a variable: `env:{text}` or `./{text}`?"))
        .hint("the first is the place that the variable names, the second a directory"))
}

/// A bucket without `s3://` would be a directory that is made there, and filled with success.
pub(super) fn refuse_a_bare_name(text: &str, world: World<'_>) -> Result<(), Failure> {
    refuse_a_variable(text, world)?;
    if !is_a_bare_name(text, world) || check_bucket(text, Naming::Other).is_err() {
        return Ok(());
    }
    Err(Failure::usage(format!("there is no directory `{text}`: `s3://{text}` or `./{text}`?"))
        .hint("the first is a bucket, the second a directory"))
}
