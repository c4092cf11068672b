//! Stored runs and what is said about them.

use jiff::tz::TimeZone;

use super::*;
use crate::cli::exit::Exit;
use crate::cli::json as records;
use crate::cli::totals::Totals;
use crate::plan::Mode;
use crate::sync::{Ending, Halt, Report, Stage};

const MINUTE: i64 = 60_000_000_000;
const START: i64 = 1_700_000_000_000_000_000;

pub(super) fn subject(job: Option<&str>) -> Subject {
    let (source, dest) = ("file:///data/media", "s3://aws/bucket/");
    Subject {
        job: job.map(str::to_owned),
        pair: Pair::new(source, dest),
        source_canonical: source.to_owned(),
        names: ("/data/media".into(), "s3://bucket".into()),
        spelled: (Some("/data/media".into()), Some("env:BUCKET".into())),
        mode: job.map(|_| Mode::Copy),
        access: Access::Write,
        headers: Vec::new(),
    }
}

/// The last run of a pair after `end` wrote how it ended.
pub(super) fn run_that(end: impl FnOnce(&Manifest, crate::manifest::RunId)) -> Run {
    let state = tempfile::tempdir().unwrap();
    let subject = subject(None);
    let lock = Lock::take(state.path(), &subject.pair, "test").unwrap();
    let orientation = subject.pair.orientation(&subject.source_canonical);
    let manifest = Manifest::open(state.path(), &subject.pair, orientation).unwrap().manifest;
    let id = manifest.begin_run("sync", "/data/media", "s3://bucket", START).unwrap();
    end(&manifest, id);
    let run = manifest.runs(1).unwrap().remove(0);
    drop((manifest, lock));
    run
}

pub(super) fn ended(ending: &str, record: &str) -> Run {
    run_that(|manifest, id| manifest.finish_run(id, ending, record, START + MINUTE).unwrap())
}

fn seen(run: Option<&Run>) -> Seen {
    Seen { synced: (1002, 2048), run: run.cloned(), trashed: run.cloned(), ..Seen::default() }
}

fn text(job: Option<&str>, run: Option<&Run>) -> String {
    told(&subject(job), &seen(run), &TimeZone::UTC, " --state-dir s")
}

#[test]
fn the_files_of_the_pair_are_told_apart_from_what_the_last_run_did() {
    let mut done = Report::empty();
    // A run with --only, or an adoption: it looked at less than the pair holds.
    done.in_sync = 1;
    done.done.creates = 2;
    done.done.deletes = 1000;
    let run = ended("finished", &records::record(&Totals::of(&done, Stage::Done)));
    assert_eq!(State::of(&seen(Some(&run))).exit(), Exit::Done);
    let expected = "media: /data/media -> s3://bucket
  in sync
  synced so far: 1,002 files, 2.0 KiB
  last run: 2023-11-14 22:13:20 UTC, sync, took 1 min 0 s; created 2, deleted 1,000";
    assert_eq!(text(Some("media"), Some(&run)), expected);
    let unwatched = Seen { doubt: doubt::Doubt::Unwatched, ..seen(Some(&run)) };
    assert_eq!(State::of(&unwatched).exit(), Exit::Problems);
    let now = told(&subject(Some("media")), &unwatched, &TimeZone::UTC, "");
    assert!(now.contains("\n  was in sync after its last run; what changed since is not known"), "{now}");
    done.trash.kept = 1000;
    let run = ended("finished", &records::record(&Totals::of(&done, Stage::Done)));
    let name = run.name.as_ref().unwrap();
    let way = format!(
        "\n  in the trash: 1,000 files: mediasync trash restore media --run {name} --to /data/media --state-dir s"
    );
    assert_eq!(text(Some("media"), Some(&run)), format!("{expected}{way}"));
    let idle = ended("finished", &records::record(&Totals::of(&Report::empty(), Stage::Done)));
    assert!(text(None, Some(&idle)).ends_with("took 1 min 0 s; nothing changed"));
    let failed = ended("failed", &records::failed(&Failure::error("no bucket")));
    let told = text(None, Some(&failed));
    assert!(told.ends_with("took 1 min 0 s"), "nothing is claimed about a run that failed");
    assert!(
        told.contains(&format!("hint: mediasync forget {} --state-dir s takes", subject(None).pair.id())),
        "{told}"
    );
    assert!(!text(Some("media"), Some(&failed)).contains("forget"), "a job stays in the list");
}

#[test]
fn a_place_in_which_nothing_was_ever_found_is_pointed_at() {
    let run = ended("finished", &records::record(&Totals::of(&Report::empty(), Stage::Done)));
    let nothing = Seen { synced: (0, 0), ..seen(Some(&run)) };
    let told = told(&subject(Some("media")), &nothing, &TimeZone::UTC, "");
    assert!(
        told.contains("\n  in sync, but the last run found no file at /data/media; is it spelled right?\n"),
        "{told}"
    );
    assert!(!text(Some("media"), Some(&run)).contains("spelled"));
}

#[test]
fn a_halt_comes_with_the_command_that_resolves_it() {
    let mut halted = Report::empty();
    halted.ending = Ending::Halted(Halt { message: "The source is empty.".into(), plan: Some("abc123".into()) });
    let run = ended("halted", &records::record(&Totals::of(&halted, Stage::Done)));
    assert_eq!(State::of(&seen(Some(&run))).exit(), Exit::Halted);
    let told = text(Some("media"), Some(&run));
    assert!(
        told.contains(
            "halted: The source is empty.\n  hint: to do exactly that: mediasync approve media abc123 --state-dir s"
        ),
        "{told}"
    );
    let pair = subject(None).pair.id().to_owned();
    assert!(text(None, Some(&run)).contains(&format!("approve {pair} abc123 --state-dir s")));
}

#[test]
fn problems_failures_and_unfinished_runs_are_stale() {
    let mut left = Report::empty();
    left.problem_count = 2;
    left.conflict_count = 1;
    let problems = ended("problems", &records::record(&Totals::of(&left, Stage::Done)));
    let failed = ended("failed", &records::failed(&Failure::error("no bucket")));
    let interrupted = ended("interrupted", &records::failed(&Failure::error("interrupted")));
    let unfinished = run_that(|_, _| {});
    for (run, part) in [
        (Some(&problems), "left: 2 problems, 1 conflict\n  hint: mediasync sync media --state-dir s shows them"),
        (Some(&failed), "failed: no bucket"),
        (Some(&interrupted), "interrupted; mediasync sync media --state-dir s does the rest"),
        (Some(&unfinished), "not finished: it was killed; mediasync sync media --state-dir s does the rest"),
        (None, "never run"),
    ] {
        assert_eq!(State::of(&seen(run)).exit().code(), 3, "{part}");
        let told = text(Some("media"), run);
        assert!(told.contains(part), "{told}");
    }
    let running = Seen { holder: Some("process 5, push".into()), ..seen(Some(&unfinished)) };
    assert_eq!(State::of(&running).exit().code(), 3);
    assert!(
        told(&subject(None), &running, &TimeZone::UTC, " --state-dir s").contains("\n  running: process 5, push\n")
    );
}

#[test]
fn scripts_get_the_same_as_json() {
    let mut done = Report::empty();
    done.in_sync = 5;
    let run = ended("finished", &records::record(&Totals::of(&done, Stage::Done)));
    let line = lines::run(&subject(Some("media")), &run);
    assert_eq!((&line["v"], &line["type"], &line["job"]), (&1.into(), &"run".into(), &"media".into()));
    assert_eq!(line["started"], "2023-11-14T22:13:20Z");
    assert_eq!(line["ended"], "2023-11-14T22:14:20Z");
    assert_eq!(line["summary"]["in_sync"], 5);
}
