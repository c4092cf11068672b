//! `cors get|set|delete`: which web pages may use a bucket from a browser.
//!
//! Works on one place without a pair, a lock or a manifest. What is allowed now is taken away only where somebody said so.

use std::path::Path;

use super::consent::{Consent, ask, may_change};
use super::exit::Exit;
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::managed::managed;
use super::output::{Format, Output, Verbosity};
use super::place::{End, World, end};
use super::setup::{Setup, shown};
use crate::location::Location;
use crate::replica::access::Access;
use crate::replica::admin::{Change, CorsFile, CorsRule, Needed, with_rule};
use crate::sync::Stage;

pub mod args;
mod told;

/// `cors COMMAND`.
///
/// # Errors
/// A place that can't be used or has no rules, a file that holds none, rules that would go.
pub async fn cors(args: &args::Cors, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    // On the heap: the futures of requests are large.
    or_interrupted(async {
        match &args.command {
            args::Cmd::Get(args) => Box::pin(get(args, setup, world)).await,
            args::Cmd::Set(args) => Box::pin(set(args, setup, world)).await,
            args::Cmd::Delete(args) => Box::pin(delete(args, setup, world)).await,
        }
    })
    .await?
}

/// What rules belong to, of a place.
fn meant(text: &str, world: World<'_>) -> Result<(End, String), Failure> {
    let end = end(text, world)?;
    let whole = match &end.location {
        Location::Local(_) => {
            let message = format!("{} is a directory: CORS rules are of buckets and accounts", end.location.display());
            return Err(Failure::usage(message).hint("name a remote, s3://bucket or az://account/container"));
        }
        Location::S3(address) => format!("s3://{}", address.bucket),
        Location::Azure(address) => format!("az://{} (all containers of the account)", address.account),
    };
    Ok((end, whole))
}

async fn get(args: &args::Get, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let (end, whole) = meant(&args.location, world)?;
    let rules = managed(&end, Access::ReadOnly)?.admin.cors().await?;
    match output.format() {
        Format::Json => output.data(&told::rules(&end, &rules)),
        Format::Human => {
            if rules.is_empty() {
                output
                    .say(&format!("{whole} has no CORS rules: pages of other origins can't read from it with scripts"));
            }
            let file = CorsFile { rules };
            output.data(&serde_json::to_string_pretty(&file).expect("texts and numbers always serialise"));
        }
    }
    Ok(Exit::Done)
}

async fn set(args: &args::Set, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let from_file = args.file.as_deref().map(read).transpose()?;
    let (end, whole) = meant(&args.location, world)?;
    let (stage, access) = stage(args.wish.dry_run);
    if stage == Stage::Done {
        may_change(&end, Consent::of(args.wish.yes), output).await?;
    }
    let place = managed(&end, access)?;
    let before = place.admin.cors().await?;
    let mut after = from_file.unwrap_or_else(|| with_rule(&before, typed(&args.rule)));
    if matches!(end.location, Location::Azure(_)) {
        // Rules have no names there, and no maximal age is zero.
        for rule in &mut after {
            *rule = CorsRule { id: None, max_age_seconds: rule.max_age_seconds.filter(|age| *age > 0), ..rule.clone() };
        }
    }
    let change = Change::between(&before, &after);
    let is_refused = !change.lost.is_empty() && !args.replace;
    if is_refused && stage == Stage::Done {
        tell(&end, &whole, &change, Stage::Planned, output);
        let count = change.lost.len();
        let message = format!(
            "{count} {} that {whole} has now would allow less, or go; nothing was changed",
            if count == 1 { "rule" } else { "rules" }
        );
        let failure = Failure { exit: Exit::Halted, ..Failure::error(message) };
        return Err(failure.hint("--replace does it; mediasync cors get prints the rules to keep and edit"));
    }
    if stage == Stage::Done && change.needed == Needed::Yes {
        place.admin.set_cors(&after, &before).await?;
    }
    tell(&end, &whole, &change, stage, output);
    if is_refused {
        output.warn("something that is allowed now would be allowed no more: without -n this wants --replace");
    }
    Ok(Exit::Done)
}

async fn delete(args: &args::Delete, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let (end, whole) = meant(&args.location, world)?;
    let (stage, access) = stage(args.wish.dry_run);
    if stage == Stage::Done {
        may_change(&end, Consent::Given, output).await?;
    }
    let place = managed(&end, access)?;
    let before = place.admin.cors().await?;
    let change = Change::between(&before, &[]);
    if stage == Stage::Done && !before.is_empty() {
        if Consent::of(args.wish.yes) == Consent::Missing {
            for rule in &before {
                output.say(&told::line('-', rule));
            }
            ask(&format!("this deletes all CORS rules of {whole}"), "Do it?", output).await?;
        }
        place.admin.set_cors(&[], &before).await?;
    }
    tell(&end, &whole, &change, stage, output);
    Ok(Exit::Done)
}

fn stage(dry_run: bool) -> (Stage, Access) {
    if dry_run { (Stage::Planned, Access::ReadOnly) } else { (Stage::Done, Access::Write) }
}

fn tell(end: &End, whole: &str, change: &Change, stage: Stage, output: &Output) {
    match output.format() {
        Format::Json => output.data(&told::change(end, change, stage)),
        Format::Human if output.verbosity() > Verbosity::Quiet => output.data(&told::difference(whole, change, stage)),
        Format::Human => {}
    }
}

/// The rule of the command line.
fn typed(rule: &args::Rule) -> CorsRule {
    CorsRule {
        id: None,
        allowed_origins: rule.allow_origin.clone(),
        allowed_methods: rule.method.clone(),
        allowed_headers: rule.header.clone(),
        expose_headers: rule.expose.clone(),
        max_age_seconds: rule.max_age,
    }
}

/// The rules of a file: the form of the AWS tools, or the bare list.
fn read(path: &Path) -> Result<Vec<CorsRule>, Failure> {
    let name = shown(path);
    let text = std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("can't read {name}: {error}")))?;
    let is_list = text.trim_start().starts_with('[');
    let rules = if is_list {
        serde_json::from_str(&text)
    } else {
        serde_json::from_str::<CorsFile>(&text).map(|file| file.rules)
    };
    let form = "it holds {\"CORSRules\": [{\"AllowedOrigins\": [\"*\"], \"AllowedMethods\": [\"GET\"]}]}";
    let rules: Vec<CorsRule> =
        rules.map_err(|error| Failure::usage(format!("{name} holds no CORS rules: {error}")).hint(form))?;
    if rules.is_empty() {
        let failure = Failure::usage(format!("{name} holds no rule"));
        return Err(failure.hint("mediasync cors delete takes all rules away"));
    }
    Ok(rules)
}
