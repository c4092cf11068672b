//! `forget PAIR`: what this host remembers of a pair goes. Contacts no place, and touches neither files nor objects. A
//! daemon that holds the pair lends it meanwhile, and then looks at it as for the first time.

use super::args::Forget;
use super::client;
use super::exit::Exit;
use super::failure::Failure;
use super::pairs;
use super::place::World;
use super::setup::Setup;
use crate::manifest::{Lock, Manifest, Orientation, Pair};
use crate::model::Side;
use crate::replica::Journal;

/// `forget PAIR`.
///
/// # Errors
/// There is no such pair, it runs now, or large uploads are in progress that nobody would know of any more.
pub async fn forget(args: &Forget, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let pair = pairs::named(&args.pair, setup, world)?;
    if !pair.dir(&setup.state_dir).is_dir() {
        return Err(Failure::usage(format!("nothing is remembered of {}: it never ran", args.pair)));
    }
    let _loan = client::lend(setup, pair.id()).await?;
    let lock = Lock::take(&setup.state_dir, &pair, "forget")?;
    if !args.leave_uploads {
        refuse_orphans(setup, &pair).map_err(|failure| {
            failure.hint("--leave-uploads forgets the pair all the same; what was uploaded of unfinished files stays at the server")
        })?;
    }
    pairs::forget(&setup.state_dir, &pair, &lock)?;
    setup.output.say(&format!("forgotten: {}; nothing at its places was touched", args.pair));
    Ok(Exit::Done)
}

/// The journal is all that knows of uploads in progress: without it their parts would stay at the server, unseen and
/// paid for.
fn refuse_orphans(setup: &Setup, pair: &Pair) -> Result<(), Failure> {
    let Some(manifest) = Manifest::open_read_only(&setup.state_dir, pair, Orientation::Forward)? else {
        return Ok(());
    };
    let mut keys = Vec::new();
    for side in [Side::Source, Side::Dest] {
        keys.extend(manifest.upload_journal(side).uploads()?.into_iter().map(|upload| upload.key.to_string()));
    }
    let more = match keys.len() {
        0 => return Ok(()),
        n if n > 3 => format!(" and {} more", n - 3),
        _ => String::new(),
    };
    keys.truncate(3);
    let message = format!("not forgotten: large uploads are in progress: {}{more}", keys.join(", "));
    Err(Failure::error(message).hint("run it again: that finishes them, or removes what is left of them"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::fixtures;
    use crate::location::{self, Found};
    use crate::model::Key;
    use crate::replica::Upload;

    /// A state directory that knows one pair, which ran once.
    struct Desk {
        dir: tempfile::TempDir,
        setup: Setup,
        pair: Pair,
    }

    impl Desk {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let setup = fixtures::setup(dir.path());
            let known = fixtures::known();
            let desk = Self { dir, setup, pair: known.pair() };
            let lock = desk.lock();
            desk.manifest().begin_run("push", "/a", "s3://b", 1).unwrap();
            pairs::remember(&desk.setup.state_dir, &known).unwrap();
            fs::create_dir(desk.pair.dir(&desk.setup.state_dir).join("plans")).unwrap();
            drop(lock);
            desk
        }

        fn lock(&self) -> Lock {
            Lock::take(&self.setup.state_dir, &self.pair, "test").unwrap()
        }

        fn manifest(&self) -> Manifest {
            Manifest::open(&self.setup.state_dir, &self.pair, Orientation::Forward).unwrap().manifest
        }

        fn kept(&self) -> Vec<String> {
            let found = fs::read_dir(self.pair.dir(&self.setup.state_dir)).unwrap();
            let mut names: Vec<String> = found.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }

        fn forget(&self, pair: &str, leave_uploads: bool) -> Result<Exit, Failure> {
            let world = World {
                env: &|_| None,
                found: &|_| Found::Nothing,
                settle: &location::settle,
                texts: &self.setup.texts,
                commands: &self.setup.commands,
                project: None,
                config: &self.setup.config,
                repeated: "",
            };
            let args = Forget { pair: pair.to_owned(), leave_uploads };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(forget(&args, &self.setup, world))
        }
    }

    #[test]
    fn nothing_but_the_lock_is_left_and_other_pairs_stay() {
        let desk = Desk::new();
        fs::create_dir_all(desk.setup.state_dir.join("pairs/other/plans")).unwrap();
        assert_eq!(desk.kept(), ["lock", "manifest.db", "places.json", "plans"]);
        assert_eq!(desk.forget(desk.pair.id(), false), Ok(Exit::Done));
        assert_eq!(desk.kept(), ["lock"]);
        assert!(desk.setup.state_dir.join("pairs/other/plans").is_dir());
        assert!(pairs::known(&desk.setup.state_dir).is_empty());
        assert_eq!(desk.forget(desk.pair.id(), false).unwrap_err().exit, Exit::Usage);
        assert_eq!(desk.forget("../..", false).unwrap_err().exit, Exit::Usage);
        assert!(desk.dir.path().join("state/pairs").is_dir());
    }

    #[test]
    fn a_pair_that_runs_is_not_forgotten() {
        let desk = Desk::new();
        let _running = desk.lock();
        assert_eq!(desk.forget(desk.pair.id(), true).unwrap_err().exit, Exit::Held);
        assert_eq!(desk.kept().len(), 4);
    }

    #[test]
    fn uploads_in_progress_are_not_orphaned_in_silence() {
        let desk = Desk::new();
        let upload = Upload {
            begun_with: String::new(),
            key: Key::new("big.mp4").unwrap(),
            intended_ns: 7,
            id: Some("id".into()),
            blake3: "ab".repeat(32),
            part_size: 8 << 20,
            parts: Vec::new(),
        };
        for side in [Side::Source, Side::Dest] {
            let manifest = desk.manifest();
            manifest.upload_journal(side).intend(&upload).unwrap();
            drop(manifest);
            let refused = desk.forget(desk.pair.id(), false).unwrap_err();
            assert_eq!(refused.exit, Exit::Failed);
            assert!(refused.message.contains("big.mp4") && refused.hints.len() == 2, "{refused:?}");
            desk.manifest().upload_journal(side).done(&upload.key).unwrap();
        }
        desk.manifest().upload_journal(Side::Dest).intend(&upload).unwrap();
        assert_eq!(desk.forget(desk.pair.id(), true), Ok(Exit::Done));
        assert_eq!(desk.kept(), ["lock"]);
    }

    #[test]
    fn a_manifest_that_can_not_be_read_is_forgotten_only_on_demand() {
        let desk = Desk::new();
        fs::write(desk.pair.dir(&desk.setup.state_dir).join("manifest.db"), "garbage".repeat(1000)).unwrap();
        assert_eq!(desk.forget(desk.pair.id(), false).unwrap_err().exit, Exit::Failed);
        assert_eq!(desk.forget(desk.pair.id(), true), Ok(Exit::Done));
    }
}
