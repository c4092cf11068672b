//! What was typed and can't be meant: forgotten schemes, names of variables, unknown names, each with the way out.
//! Nothing that exists is refused here, nor anything that says what it is (`./NAME`, `env:NAME`, `s3://NAME`).

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::place::World;
use crate::cli::setup::{no_file, shown};
use crate::config::nearest;
use crate::dsn::is_variable;
use crate::location::Found;
use crate::replica::s3::bucket::{Naming, check_bucket};

/// There are no jobs at all: where a configuration was looked for, and how one is made.
pub(super) fn no_jobs(world: World<'_>) -> Failure {
    if world.config.path.as_os_str().is_empty() {
        return no_file("there is no configuration file, so there are no jobs", world.env);
    }
    Failure::usage(format!("{} names no job", shown(&world.config.path)))
        .hint("add a [[job]] as config.example.toml has it")
}

/// No job has the name that was typed: which ones there are.
pub(in crate::cli) fn unknown_job(name: &str, world: World<'_>) -> Failure {
    // What was typed may be a DSN in the wrong place.
    let shown = crate::dsn::redact(name).escape_debug().to_string();
    let message = format!("no job is called \"{shown}\"");
    if world.config.jobs.is_empty() {
        let none = no_jobs(world);
        return Failure { message: format!("{message}: {}", none.message), ..none };
    }
    let known: Vec<&str> = world.config.jobs.iter().map(|job| job.name.as_str()).collect();
    let failure = Failure::usage(message);
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
pub(in crate::cli) fn refuse_a_variable(text: &str, world: World<'_>) -> Result<(), Failure> {
    let shouts = text.contains('_') && !text.contains(|c: char| c.is_ascii_lowercase());
    if !is_a_bare_name(text, world) || !is_variable(text) || !(shouts || (world.env)(text).is_some()) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{text}` is the name of a variable: `env:{text}` or `./{text}`?"))
        .hint("the first is the place that the variable names, the second a directory"))
}

/// The bucket, with what follows it, that a relative path may mean of which not even the first part is there.
pub(in crate::cli) fn bucket_without_scheme(text: &str, world: World<'_>) -> Option<String> {
    let text = text.strip_prefix("s3//").unwrap_or(text);
    let (first, _) = text.split_once('/').unwrap_or((text, ""));
    let is_bucket = is_a_bare_name(first, world) && check_bucket(first, Naming::Other).is_ok();
    (is_bucket && !text.contains([':', '\\'])).then(|| format!("s3://{text}"))
}

/// A bucket without `s3://` would be a directory that is made there, and filled with success.
pub(in crate::cli) fn refuse_a_bare_name(text: &str, world: World<'_>) -> Result<(), Failure> {
    refuse_a_variable(text, world)?;
    let Some(bucket) = bucket_without_scheme(text, world) else { return Ok(()) };
    let directory = text.split('/').next().unwrap_or(text);
    Err(Failure::usage(format!("there is no directory `{directory}`: `{bucket}` or `./{text}`?"))
        .hint("the first is in a bucket, the second below the current directory"))
}
