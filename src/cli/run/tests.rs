//! Commands between two directories, from task to exit code.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::cli::fixtures;
use crate::cli::place::End;
use crate::config::Options;
use crate::location::Location;
use crate::manifest::{Lock, Manifest};
use crate::model::Rule;
use crate::plan::Mode;
use crate::replica::access::Access;

/// Two directories and a state directory.
struct Desk {
    dir: tempfile::TempDir,
    setup: Setup,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["source", "dest"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let setup = fixtures::setup(dir.path());
        Self { dir, setup }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn task(&self, mode: Mode, run: Wish) -> Task {
        let end = |name: &str| End {
            parents: crate::replica::local::Parents::MustExist,
            location: Location::Local(self.path(name)),
            spelled: None,
            access: Access::Write,
            remote: None,
            name: None,
            acl: None,
            dsn: None,
            links: crate::model::Symlinks::Skip,
            warnings: Vec::new(),
        };
        // The disk of whoever runs this may be nearly full.
        let mut options = Options::default();
        options.files.reserve = Some(0);
        Task {
            command: "mirror",
            job: None,
            source: end("source"),
            dest: end("dest"),
            mode,
            writes: mode.writes(),
            made: crate::cli::resolve::Made::Mirrored,
            left_acl: None,
            options,
            only: None,
            run,
            confirm: None,
            raise: crate::plan::Raise::ByFlag,
            trust: crate::plan::Trust::Memory,
        }
    }

    /// Runs, and returns the exit and how the last run of the journal ended.
    async fn run(&self, task: &Task) -> (Exit, Option<String>) {
        let exit = one(task, &self.setup, Work::Cycle).await;
        let known = Known::of(task);
        let orientation = known.pair().orientation(&known.source);
        let manifest = Manifest::open_read_only(&self.setup.state_dir, &known.pair(), orientation).unwrap();
        (exit, manifest.and_then(|manifest| manifest.runs(1).unwrap().remove(0).ending))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with(".mediasync"));
    names.sort();
    names
}

#[tokio::test]
async fn a_dry_run_leaves_nothing_anywhere() {
    let desk = Desk::new();
    desk.write("source/a.txt", "a");
    assert_eq!(desk.run(&desk.task(Mode::Copy, Wish::DryRun)).await, (Exit::Done, None));
    assert!(fs::read_dir(desk.path("dest")).unwrap().next().is_none());
    assert!(!desk.setup.state_dir.exists());
}

#[tokio::test]
async fn a_run_is_journaled_and_its_pair_is_known() {
    let desk = Desk::new();
    desk.write("source/a.txt", "a");
    let task = desk.task(Mode::Copy, Wish::Execute);
    assert_eq!(desk.run(&task).await, (Exit::Done, Some("finished".into())));
    assert_eq!(names(&desk.path("dest")), ["a.txt"]);
    assert_eq!(pairs::known(&desk.setup.state_dir), [Known::of(&task)]);
}

#[tokio::test]
async fn a_failed_run_is_journaled_as_failed() {
    let desk = Desk::new();
    let task = desk.task(Mode::Copy, Wish::Execute);
    fs::remove_dir(desk.path("source")).unwrap();
    // A first run that failed may be a mistyped one: nothing of it is kept.
    assert_eq!(desk.run(&task).await, (Exit::Failed, None));
    assert_eq!(pairs::known(&desk.setup.state_dir), []);
    fs::create_dir(desk.path("source")).unwrap();
    assert_eq!(desk.run(&task).await.0, Exit::Done);
    fs::remove_dir(desk.path("source")).unwrap();
    assert_eq!(desk.run(&task).await, (Exit::Failed, Some("failed".into())));
}

#[tokio::test]
async fn a_halt_exits_with_4_and_its_plan_can_be_carried_out() {
    let desk = Desk::new();
    desk.write("source/a.txt", "a");
    let task = desk.task(Mode::Mirror, Wish::Execute);
    assert_eq!(desk.run(&task).await.0, Exit::Done);
    fs::remove_file(desk.path("source/a.txt")).unwrap();
    let (exit, ending) = desk.run(&task).await;
    assert_eq!((exit.code(), ending.as_deref()), (4, Some("halted")));
    assert_eq!(names(&desk.path("dest")), ["a.txt"]);
    let plans = Known::of(&task).pair().dir(&desk.setup.state_dir).join("plans");
    let plan = plans.join(&names(&plans)[0]);
    assert_eq!(one(&task, &desk.setup, Work::Apply(&plan, Approval::Missing)).await, Exit::Halted);
    assert_eq!(names(&desk.path("dest")), ["a.txt"]);
    assert_eq!(one(&task, &desk.setup, Work::Apply(&plan, Approval::Given)).await, Exit::Done);
    assert!(names(&desk.path("dest")).is_empty());
}

#[tokio::test]
async fn a_held_pair_exits_with_5_and_a_dry_run_does_not_mind() {
    let desk = Desk::new();
    desk.write("source/a.txt", "a");
    let pair = Known::of(&desk.task(Mode::Copy, Wish::DryRun)).pair();
    let _held = Lock::take(&desk.setup.state_dir, &pair, "test").unwrap();
    assert_eq!(desk.run(&desk.task(Mode::Copy, Wish::Execute)).await.0.code(), 5);
    assert!(names(&desk.path("dest")).is_empty());
    assert_eq!(desk.run(&desk.task(Mode::Copy, Wish::DryRun)).await.0, Exit::Done);
}

#[tokio::test]
async fn the_rules_of_the_command_win_over_the_ignore_file() {
    let desk = Desk::new();
    for name in ["a.txt", "b.txt", "c.md"] {
        desk.write(&format!("source/{name}"), name);
    }
    desk.write("source/.mediasyncignore", "*.txt\n");
    let mut task = desk.task(Mode::Copy, Wish::Execute);
    task.options.filter.rules = vec![Rule::Include("a.txt".into())];
    assert_eq!(desk.run(&task).await.0, Exit::Done);
    assert_eq!(names(&desk.path("dest")), ["a.txt", "c.md"]);
    task.options.filter.rules = vec![Rule::Include("[".into())];
    assert_eq!(desk.run(&task).await.0.code(), 2);
}

#[tokio::test]
async fn without_a_terminal_a_confirmation_is_asked_for_as_a_flag() {
    let desk = Desk::new();
    desk.write("source/a.txt", "a");
    let mut task = desk.task(Mode::Copy, Wish::Execute);
    task.confirm = Some("live".into());
    assert_eq!(desk.run(&task).await.0.code(), 2);
    assert!(names(&desk.path("dest")).is_empty());
}

#[tokio::test]
async fn several_jobs_go_on_past_a_failed_one() {
    let desk = Desk::new();
    desk.write("source/a.txt", "a");
    let tasks = vec![
        ("lost".to_owned(), Err(Unready::Places(Failure::usage("the variable is not set")))),
        ("fine".to_owned(), Ok(desk.task(Mode::Copy, Wish::Execute))),
    ];
    assert_eq!(all(tasks, &desk.setup).await, Exit::Usage);
    assert_eq!(names(&desk.path("dest")), ["a.txt"]);
}

#[test]
fn the_first_line_names_source_destination_and_host() {
    let desk = Desk::new();
    let mut task = desk.task(Mode::Copy, Wish::Execute);
    let nothing = |_: &str| None;
    let around = crate::location::Surroundings {
        variable: &nothing,
        remote: &|_| None,
        remotes: &[],
        found: &|_| crate::location::Found::Nothing,
        text: &|_| panic!("no text is asked for"),
        project: None,
        origin: crate::location::Origin::File,
    };
    let dsn = "s3://KEY:hunter2@media.s3.eu-central-1.amazonaws.com/site";
    task.source.location = Location::Local("/data/media".into());
    task.dest.location = crate::location::parse(dsn, &around).unwrap().location;
    assert!(
        who_may_read(&task, std::path::Path::new("/nowhere"))
            .unwrap()
            .contains("the ACL public-read: everybody may read")
    );
    if let Location::S3(address) = &mut task.dest.location {
        address.acl = Some("private".into());
    }
    assert_eq!(who_may_read(&task, std::path::Path::new("/nowhere")), None);
    task.job = Some("media".into());
    assert_eq!(first_line(&task), "mirror media: from /data/media to s3://media/site (AWS eu-central-1)");
    task.run = Wish::DryRun;
    task.dest.location =
        crate::location::parse("s3://copy?endpoint=https://minio.example.com:9000", &around).unwrap().location;
    let expected = "mirror media, nothing is changed: from /data/media to s3://copy (minio.example.com:9000)";
    assert_eq!(first_line(&task), expected);
}

#[tokio::test]
async fn a_halt_names_the_way_out_of_its_own_command() {
    let desk = Desk::new();
    let halt = Halt { message: "why".into(), plan: Some("abc".into()) };
    let way = |run: Wish, work: Work<'_>| {
        let planned = Counts { deletes: 1, ..Counts::default() };
        way_out(&desk.task(Mode::Mirror, run), work, (&halt, &planned), "media", " --state-dir s")
    };
    assert_eq!(way(Wish::Execute, Work::Cycle), "to do exactly this: mediasync approve media abc --state-dir s");
    assert!(way(Wish::DryRun, Work::Cycle).contains("without --dry-run"));
    assert!(way(Wish::SavePlan("p".into()), Work::Cycle).contains("mediasync apply p"));
    assert!(way(Wish::Execute, Work::Apply(Path::new("p"), Approval::Missing)).contains("terminal"));
}
