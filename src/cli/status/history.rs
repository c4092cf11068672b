//! `history`: the runs of each pair as a table, newest first.

use jiff::tz::TimeZone;

use super::{InTrash, Subject, done, kept, lines, record, subjects, took};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::human;
use crate::cli::output::Format;
use crate::cli::place::World;
use crate::cli::setup::Setup;
use crate::manifest::Run;

/// What the columns of a table are called.
const HEAD: [&str; 8] = ["when", "command", "ended", "took", "created", "overwrote", "copied", "deleted"];

/// `history [JOB]`; at most `limit` runs of each pair.
///
/// # Errors
/// An unknown job.
pub fn history(job: Option<&str>, limit: u32, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let (subjects, missed) = subjects(job, &[], setup, world)?;
    let mut worst = Exit::Done;
    for (job, failure) in &missed {
        worst = worst.max(failure.exit);
        output.failure(job.as_deref(), failure);
    }
    for subject in &subjects {
        match runs(subject, limit, setup) {
            Ok((runs, older)) => match output.format() {
                Format::Json => runs.iter().for_each(|run| output.data(&lines::run(subject, run).to_string())),
                Format::Human => output.data(&table(subject, &runs, older, output.zone())),
            },
            Err(failure) => {
                worst = worst.max(failure.exit);
                output.failure(subject.job.as_deref(), &subject.unreadable(failure, &setup.repeated));
            }
        }
    }
    Ok(worst)
}

/// The last runs of a subject, and how many there are before them.
fn runs(subject: &Subject, limit: u32, setup: &Setup) -> Result<(Vec<Run>, u64), Failure> {
    let Some(manifest) = subject.manifest(setup)? else { return Ok((Vec::new(), 0)) };
    let runs = manifest.runs(limit)?;
    let older = manifest.count_runs()?.saturating_sub(runs.len() as u64);
    Ok((runs, older))
}

/// The runs of a subject for people: its places once, and a line a run of at most 100 columns.
fn table(subject: &Subject, runs: &[Run], older: u64, zone: &TimeZone) -> String {
    let mut lines = vec![subject.head()];
    if runs.is_empty() {
        lines.push("  never run".to_owned());
    } else {
        lines.push(row(&HEAD.map(str::to_owned)));
        lines.extend(
            runs.iter()
                .flat_map(|run| std::iter::once(row(&cells(run, zone))).chain(restyled(run)).chain(in_trash(run))),
        );
    }
    if older > 0 {
        let word = if older == 1 { "run" } else { "runs" };
        lines.push(format!("  {} older {word}: --limit {}", human::count(older), runs.len() as u64 + older));
    }
    lines.join("\n")
}

fn cells(run: &Run, zone: &TimeZone) -> [String; 8] {
    let record = record(run);
    // A run that did not come to its end may have done more than anybody counted.
    let count = |field| match record.as_ref().and_then(|record| record.summary.as_ref()) {
        Some(_) => human::count(done(record.as_ref(), field)),
        None => "-".to_owned(),
    };
    [
        human::local_time(run.started_ns, zone),
        run.command.clone(),
        run.ending.clone().unwrap_or_else(|| "unfinished".to_owned()),
        took(run).map_or_else(|| "-".to_owned(), human::duration),
        count("creates"),
        count("overwrites"),
        count("copies"),
        count("deletes"),
    ]
}

/// Objects that got other headers: most runs have none, and a column more would be too wide.
fn restyled(run: &Run) -> Option<String> {
    match done(record(run).as_ref(), "restyles") {
        0 => None,
        n => Some(format!("    restyled {}", human::count(n))),
    }
}

/// What a run put into the trash, under the name that it has there.
fn in_trash(run: &Run) -> Option<String> {
    let InTrash { run: name, files, at_source, .. } = kept(run)?;
    let side = match at_source {
        0 => String::new(),
        all if all == files => ", at the source".to_owned(),
        some => format!(", {} at the source", human::count(some)),
    };
    Some(format!("    {} in the trash of {name}{side}", human::files(files)))
}

/// Words to the left, numbers to the right.
fn row([when, command, ended, took, created, overwrote, copied, deleted]: &[String; 8]) -> String {
    format!(
        "  {when:<19}  {command:<7}  {ended:<11}  {took:>11}  {created:>9}  {overwrote:>9}  {copied:>9}  {deleted:>9}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::json as lines;
    use crate::cli::status::tests::{ended, run_that, subject};
    use crate::cli::totals::Totals;
    use crate::sync::{Report, Stage};

    #[test]
    fn the_table_is_aligned_and_fits_100_columns() {
        let mut little = Report::empty();
        little.done.deletes = 3;
        let mut much = Report::empty();
        much.done.creates = 1_234_567;
        much.trash.kept = 2;
        let runs = [
            run_that(|_, _| {}),
            ended("finished", &lines::record(&Totals::of(&little, Stage::Done))),
            ended("interrupted", &lines::failed(&Failure::error("interrupted"))),
            ended("problems", &lines::record(&Totals::of(&much, Stage::Done))),
        ];
        let name = runs[3].name.clone().unwrap();
        let expected = format!(
            "\
media: /data/media -> s3://bucket
  when                 command  ended               took    created  overwrote     copied    deleted
  2023-11-14 22:13:20  sync     unfinished             -          -          -          -          -
  2023-11-14 22:13:20  sync     finished       1 min 0 s          0          0          0          3
  2023-11-14 22:13:20  sync     interrupted    1 min 0 s          -          -          -          -
  2023-11-14 22:13:20  sync     problems       1 min 0 s  1,234,567          0          0          0
    2 files in the trash of {name}"
        );
        let told = table(&subject(Some("media")), &runs, 0, &TimeZone::UTC);
        assert_eq!(told, expected);
        assert!(told.lines().all(|line| line.chars().count() <= 100));
        assert!(table(&subject(None), &[], 0, &TimeZone::UTC).ends_with("\n  never run"));
        let cut = table(&subject(None), &runs, 1000, &TimeZone::UTC);
        assert!(cut.ends_with("\n  1,000 older runs: --limit 1004"), "{cut}");
    }
}
