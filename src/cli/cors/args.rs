//! What can be typed after `cors`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::exit::help;
use crate::cli::trash::args::Wish;

/// The end of its help.
pub const HELP: &str = "\
Examples:
  mediasync cors get live:
  mediasync cors set live: --allow-origin '*' --method GET,HEAD --max-age 3000
  mediasync cors delete live:";

/// `cors COMMAND`.
#[derive(Debug, Args)]
pub struct Cors {
    /// The command.
    #[command(subcommand)]
    pub command: Cmd,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// Print the rules, in the JSON form of the AWS tools
    #[command(after_help = help("\
Rules belong to the bucket; on Azure to the blob service of the whole account.

Examples:
  mediasync cors get live:
  mediasync cors get live: > cors.json       to edit, and to set with --file"))]
    Get(Get),
    /// Set rules, after showing what changes
    #[command(override_usage = "\
mediasync cors set [OPTIONS] --allow-origin <ORIGIN> <LOCATION>
       mediasync cors set [OPTIONS] --file <FILE> <LOCATION>", after_help = help("\
With --allow-origin, one rule takes the place of the one for the same origins, or comes after
all others, which stay. With --file, the file's rules take the place of all. What is allowed now
and would be allowed no more is shown and kept, unless you say --replace.

Examples:
  mediasync cors set live: --allow-origin '*' --method GET,HEAD --max-age 3000
  mediasync cors set live: --allow-origin https://www.example.com --method GET --expose ETag
  mediasync cors set live: --file cors.json -n"))]
    Set(Set),
    /// Delete all rules, after showing them
    #[command(after_help = help("\
Examples:
  mediasync cors delete live: -n
  mediasync cors delete live: --yes"))]
    Delete(Delete),
}

/// `cors get LOCATION`.
#[derive(Debug, Args)]
pub struct Get {
    /// A bucket, or an Azure account by one of its containers
    #[arg(value_name = "LOCATION")]
    pub location: String,
    /// Print JSON, in one line
    #[arg(long)]
    pub json: bool,
}

/// `cors set LOCATION`.
#[derive(Debug, Args)]
pub struct Set {
    /// A bucket, or an Azure account by one of its containers
    #[arg(value_name = "LOCATION")]
    pub location: String,
    /// The rules, as the AWS tools have them: {"CORSRules": [...]}
    #[arg(long, value_name = "FILE", required_unless_present = "allow_origin")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub rule: Rule,
    /// Also if something that is allowed now would be allowed no more
    #[arg(long)]
    pub replace: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub wish: Wish,
    /// Print JSON, in one line
    #[arg(long)]
    pub json: bool,
}

/// One rule.
#[derive(Debug, Args)]
#[group(multiple = true, conflicts_with = "file")]
pub struct Rule {
    /// Pages of these origins, like https://www.example.com, or * for all
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub allow_origin: Vec<String>,
    /// What they may do, like GET,HEAD
    #[arg(long, value_name = "METHOD", value_delimiter = ',', requires = "allow_origin", default_value = "GET,HEAD", value_parser = method)]
    pub method: Vec<String>,
    /// Headers that their requests may have, or * for all
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "allow_origin")]
    pub header: Vec<String>,
    /// Headers of answers that they may read, like ETag
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "allow_origin")]
    pub expose: Vec<String>,
    /// For how many seconds browsers remember the answer
    #[arg(long, value_name = "SECONDS", requires = "allow_origin")]
    pub max_age: Option<u32>,
}

/// `cors delete LOCATION`.
#[derive(Debug, Args)]
pub struct Delete {
    /// A bucket, or an Azure account by one of its containers
    #[arg(value_name = "LOCATION")]
    pub location: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub wish: Wish,
    /// Print JSON, in one line
    #[arg(long)]
    pub json: bool,
}

fn origin(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_origin =
        text == "*" || text.split_once("://").is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty());
    if !is_origin {
        return Err("an origin has a scheme, like https://www.example.com; * means all".to_owned());
    }
    // A browser sends none, and no rule with one ever fits.
    match text.strip_suffix('/') {
        Some(without) => Err(format!("an origin has no path and no slash at its end: write {without}")),
        None => Ok(text.to_owned()),
    }
}

fn method(text: &str) -> Result<String, String> {
    let upper = text.trim().to_ascii_uppercase();
    let known = ["GET", "HEAD", "PUT", "POST", "DELETE"];
    if known.contains(&upper.as_str()) { Ok(upper) } else { Err(format!("write some of {}", known.join(", "))) }
}
