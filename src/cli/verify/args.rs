//! What can be typed after `verify`.

use clap::Args;

use crate::cli::args::{CompareArg, Scope};
use crate::cli::exit;
use crate::config::units;

/// `verify JOB | SRC DST`.
#[derive(Debug, Args)]
#[expect(missing_docs, reason = "clap would take the text at the flattened scope for the command's")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed or not")]
pub struct Verify {
    /// A job of the configuration, or the place that has what DST is to have
    #[arg(value_name = "JOB|SRC")]
    pub first: String,
    /// The place that is compared with SRC
    #[arg(value_name = "DST")]
    pub second: Option<String>,
    /// Read every file in full at both sides
    #[arg(long)]
    pub download: bool,
    /// Read this part of the files in full at both sides, chosen at random, like 5%
    #[arg(long, value_name = "PERCENT", value_parser = share, conflicts_with = "download")]
    pub sample: Option<u32>,
    /// Choose the sample that was chosen by this number
    #[arg(long, value_name = "N", requires = "sample")]
    pub seed: Option<u64>,
    /// What DST has besides is no difference, as for a job that copies
    #[arg(long)]
    pub one_way: bool,
    /// How to compare where metadata can't tell whether two files are equal
    #[arg(long, value_enum)]
    pub compare: Option<CompareArg>,
    /// Files read at the same time
    #[arg(long, value_name = "N", value_parser = units::concurrency)]
    pub concurrency: Option<usize>,
    #[command(flatten)]
    pub scope: Scope,
    /// Print JSON, one line a difference
    #[arg(long)]
    pub json: bool,
}

/// Of a million.
fn share(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no share; write it like 5% or 0.5%");
    let number = text.trim().strip_suffix('%').ok_or_else(wrong)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 4 || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let share: u32 = format!("{whole}{fraction:0<4}").parse().map_err(|_| wrong())?;
    if (1..=1_000_000).contains(&share) { Ok(share) } else { Err(wrong()) }
}

/// What the help ends with.
pub fn help() -> String {
    format!(
        "\
Compares now: local files are hashed, and the server is asked for checksums; nothing that
earlier runs remember counts, nothing is changed and no lock is taken. Exits with 3 if something
is missing, different, can't be told or could not be looked at, or if DST has more than SRC
where that is a difference.

Examples:
  mediasync verify media                     a job's destination against its source
  mediasync verify ./media live: --sample 5%
  mediasync verify live: backup: --download --json

{}",
        exit::HELP
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_exactly() {
        for (text, expected) in [("5%", 50_000), ("0.5%", 5_000), ("100%", 1_000_000), ("0.0001%", 1)] {
            assert_eq!(share(text), Ok(expected), "{text}");
        }
        for wrong in ["5", "0%", "101%", "-1%", "%", ".5%", "1.00001%", "x%", "5 %x"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
