//! `dsn show`: the parts of a DSN, each with what it means.

use serde_json::json;

use super::parts::{self, Part};
use super::{Show, aws, named};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Format;
use crate::cli::place::World;
use crate::cli::setup::{Setup, shown};

/// `dsn show`.
///
/// # Errors
/// It is no DSN, or the secret would go into a pipe.
pub(in crate::cli) fn show(args: &Show, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let end = named(&args.place, world)?;
    let secret = parts::secret(&end.location);
    if args.reveal && output.screen().is_none() {
        return Err(Failure::usage("--reveal shows the secret on a terminal only, and standard output is none")
            .hint("mediasync remote env NAME -- CMD hands it to a program without showing it")
            .hint("--aws-config PROFILE writes it where the AWS tools look for it"));
    }
    if args.reveal && secret.is_none() {
        return Err(Failure::usage("there is no secret in it: the credentials come from elsewhere"));
    }
    end.warnings.iter().for_each(|warning| output.warn(warning));
    let mut parts = parts::parts(&end);
    if let (true, Some(secret)) = (args.reveal, secret)
        && let Some(hidden) = parts.iter_mut().find(|part| part.name == "secret")
    {
        let meaning = "decoded, as other programs want it".to_owned();
        *hidden = Part { name: hidden.name, value: Some(secret.reveal().to_owned()), meaning };
    }
    match output.format() {
        Format::Human => parts.iter().for_each(|part| output.data(&human(part))),
        Format::Json => {
            let mut line = json!({ "v": 1, "type": "dsn" });
            for part in &parts {
                line[part.name] = json!(part.value);
            }
            output.data(&line.to_string());
        }
    }
    if let Some(profile) = &args.aws_config {
        for (file, done) in aws::write(profile, &end.location, args.overwrite.into(), world.env)? {
            output.say(&format!("{done}: {}", shown(&file)));
        }
    }
    Ok(Exit::Done)
}

fn human(part: &Part) -> String {
    let name = part.name.replace('_', " ");
    let value = part.value.as_deref().unwrap_or("-");
    // What a DSN holds may be anything; a terminal must not obey it.
    let value: String =
        value.chars().flat_map(|c| if c.is_control() { c.escape_unicode().collect() } else { vec![c] }).collect();
    let line = format!("{name:<12} {value:<44}");
    if part.meaning.is_empty() { line.trim_end().to_owned() } else { format!("{line} {}", part.meaning) }
}
