//! The watcher on real directories. Every wait has an end, and ends when what is waited for was told.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::system::start;
use super::{Coverage, Missed, Sign, Spec, Watched, Watcher as _, watch};
use crate::model::{Filter, FilterRules, Key, Rule, Symlinks};

mod limits;
mod roots;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn spec(path: &Path) -> Spec {
    Spec { path: path.to_owned(), filter: Arc::default(), links: Symlinks::Skip }
}

/// A watcher, and what it told so far.
struct Ears {
    watched: Watched,
    told: Vec<Sign>,
}

impl Ears {
    async fn on(path: &Path) -> Self {
        Self::of(spec(path)).await
    }

    async fn of(spec: Spec) -> Self {
        Self { watched: watch(spec).await.unwrap(), told: Vec::new() }
    }

    /// Listens until enough was told, and gives all that was.
    async fn until(&mut self, is_enough: impl Fn(&[Sign]) -> bool) -> Vec<Sign> {
        let wait = async {
            while !is_enough(&self.told) {
                self.told.extend(self.watched.next().await);
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(ended.is_ok(), "not told in time; so far: {:?}", self.told);
        std::mem::take(&mut self.told)
    }

    async fn until_told(&mut self, sign: Sign) -> Vec<Sign> {
        self.until(|told| told.contains(&sign)).await
    }

    /// All that is told until a file that is written now, at the end of everything, is told.
    async fn until_quiet(&mut self, root: &Path) -> Vec<Sign> {
        fs::write(root.join("the-end"), "x").unwrap();
        let mut told = self.until_told(Sign::Finished(key("the-end"))).await;
        told.retain(|sign| !matches!(sign, Sign::Finished(key) | Sign::Writing(key) if key.as_str() == "the-end"));
        told
    }
}

/// The keys of all files below a directory of the root.
fn files(root: &Path, below: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// What somebody knows who looks where signs say, when they come, and nowhere else.
async fn looked_at(ears: &mut Ears, root: &Path, wanted: &BTreeSet<String>) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let listen = async {
        while !known.is_superset(wanted) {
            for sign in ears.watched.next().await {
                match sign {
                    Sign::Below(dir) | Sign::MovedDirectory { to: dir, .. } => {
                        files(root, &root.join(dir.as_str()), &mut known);
                    }
                    Sign::Finished(file) | Sign::Moved { to: file, .. } => drop(known.insert(file.as_str().to_owned())),
                    Sign::Rescan(why) => panic!("nothing should be missed: {why}"),
                    _ => {}
                }
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), listen).await;
    assert!(ended.is_ok(), "missed: {:?}", wanted.difference(&known).take(5).collect::<Vec<_>>());
    known
}

#[tokio::test]
async fn no_file_is_missed_that_is_written_right_after_its_directories_were_made() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let mut ears = Ears::on(&root).await;
    let writer = std::thread::spawn({
        let root = root.clone();
        move || {
            for n in 0..1_000 {
                let at = root.join(format!("d{}/a{}/b/c", n % 20, n % 7));
                fs::create_dir_all(&at).unwrap();
                fs::write(at.join(format!("f{n}")), "x").unwrap();
            }
        }
    });
    let name = |n: usize| format!("d{}/a{}/b/c/f{n}", n % 20, n % 7);
    let wanted: BTreeSet<String> = (0..1_000).map(name).collect();
    looked_at(&mut ears, &root, &wanted).await;
    writer.join().unwrap();
    // The root, 20 of `d`, 140 of each of `a`, `b`, `c`.
    ears.until_quiet(&root).await;
    assert_eq!(ears.watched.coverage(), Coverage::Full { directories: 1 + 20 + 3 * 140 });
}

#[tokio::test]
async fn a_name_that_is_no_utf_8_is_told_when_it_comes_and_when_it_goes() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let mut ears = Ears::on(dir.path()).await;
    for below in ["", "d"] {
        let at = dir.path().join(below).join(std::ffi::OsStr::from_bytes(b"caf\xe9.jpg"));
        fs::write(&at, "x").unwrap();
        assert_eq!(ears.until_quiet(dir.path()).await, [Sign::Nameless]);
        fs::write(&at, "more").unwrap();
        assert_eq!(ears.until_quiet(dir.path()).await, [], "it was told");
        fs::rename(&at, dir.path().join("named.jpg")).unwrap();
        let told = ears.until_quiet(dir.path()).await;
        assert_eq!(told, [Sign::Nameless, Sign::Finished(key("named.jpg"))]);
        fs::rename(dir.path().join("named.jpg"), &at).unwrap();
        assert_eq!(ears.until_quiet(dir.path()).await, [Sign::Nameless, Sign::Gone(key("named.jpg"))]);
        fs::remove_file(&at).unwrap();
        assert_eq!(ears.until_quiet(dir.path()).await, [Sign::Nameless]);
    }
}

#[tokio::test]
async fn what_happens_to_files_is_told_and_reading_them_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/old"), "x").unwrap();
    let elsewhere = tempfile::tempdir_in(dir.path().parent().unwrap()).unwrap();
    let mut ears = Ears::on(dir.path()).await;
    assert_eq!(fs::read(at("d/old")).unwrap(), b"x");
    assert_eq!(ears.until_quiet(dir.path()).await, []);

    fs::write(at("d/new"), "x").unwrap();
    assert_eq!(ears.until_told(Sign::Finished(key("d/new"))).await[0], Sign::Writing(key("d/new")));
    fs::rename(at("d/new"), at("renamed")).unwrap();
    let moved = Sign::Moved { from: key("d/new"), to: key("renamed") };
    assert_eq!(ears.until_quiet(dir.path()).await, [moved]);
    fs::remove_file(at("renamed")).unwrap();
    assert_eq!(ears.until_quiet(dir.path()).await, [Sign::Gone(key("renamed"))]);
    fs::rename(at("d/old"), elsewhere.path().join("away")).unwrap();
    ears.until_told(Sign::Gone(key("d/old"))).await;
    fs::rename(elsewhere.path().join("away"), at("back")).unwrap();
    assert_eq!(ears.until_quiet(dir.path()).await, [Sign::Finished(key("back"))]);
    let times = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    fs::hard_link(at("back"), at("linked")).unwrap();
    ears.until_told(Sign::Writing(key("linked"))).await;
    fs::File::open(at("back")).unwrap().set_times(times).unwrap();
    ears.until(|told| told.contains(&Sign::Touched(key("back"))) || told.contains(&Sign::Writing(key("back")))).await;
}

#[tokio::test]
async fn what_the_rules_leave_out_is_not_watched_and_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["cache/deep", ".mediasync/trash", "@eaDir", "kept"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    std::os::unix::fs::symlink(at("kept"), at("link")).unwrap();
    let rules = FilterRules {
        rules: vec![Rule::Exclude("/cache/".to_owned()), Rule::Exclude("*.psd".to_owned())],
        ..FilterRules::default()
    };
    let mut ears = Ears::of(Spec { filter: Arc::new(Filter::new(rules).unwrap()), ..spec(dir.path()) }).await;
    assert_eq!(ears.watched.coverage(), Coverage::Full { directories: 2 });
    for name in ["cache/deep/x", ".mediasync-1f", "a.psd", ".DS_Store", "@eaDir/x"] {
        fs::write(at(name), "x").unwrap();
    }
    fs::create_dir_all(at("kept/@eaDir/x")).unwrap();
    fs::write(PathBuf::from_iter([dir.path().as_os_str(), std::os::unix::ffi::OsStrExt::from_bytes(b"\xff")]), "x")
        .unwrap();
    assert_eq!(ears.until_quiet(dir.path()).await, [Sign::Nameless]);
    // A name that is left out becomes one that is not, and the other way round.
    fs::rename(at("a.psd"), at("a.jpg")).unwrap();
    assert_eq!(ears.until_quiet(dir.path()).await, [Sign::Finished(key("a.jpg"))]);
    fs::rename(at("a.jpg"), at("a.psd")).unwrap();
    assert_eq!(ears.until_quiet(dir.path()).await, [Sign::Gone(key("a.jpg"))]);
    fs::rename(at("cache"), at("shown")).unwrap();
    ears.until_told(Sign::Below(key("shown"))).await;
    fs::write(at("shown/deep/y"), "x").unwrap();
    ears.until_told(Sign::Finished(key("shown/deep/y"))).await;
    fs::write(at(".mediasyncignore"), "*.tif\n").unwrap();
    ears.until_told(Sign::Rescan(Missed::Rules)).await;
}

#[tokio::test]
async fn a_directory_that_moves_is_told_under_both_names_and_then_under_its_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("old/sub/deep")).unwrap();
    let elsewhere = tempfile::tempdir_in(dir.path().parent().unwrap()).unwrap();
    let mut ears = Ears::on(dir.path()).await;
    // Twice, so that the watches of the first move are moved too.
    for (from, to) in [("old", "new"), ("new", "newest")] {
        fs::rename(at(from), at(to)).unwrap();
        let moved = Sign::MovedDirectory { from: key(from), to: key(to) };
        assert_eq!(ears.until_quiet(dir.path()).await, [moved]);
        fs::write(at(to).join("sub/deep/x"), "x").unwrap();
        let told = ears.until_told(Sign::Finished(key(&format!("{to}/sub/deep/x")))).await;
        assert!(told.iter().all(|sign| !format!("{sign:?}").contains(&format!("\"{from}/"))), "{told:?}");
    }
    assert_eq!(ears.watched.coverage(), Coverage::Full { directories: 4 });
    fs::rename(at("newest"), elsewhere.path().join("away")).unwrap();
    ears.until_told(Sign::Gone(key("newest"))).await;
    fs::write(elsewhere.path().join("away/sub/deep/y"), "x").unwrap();
    assert_eq!(ears.until_quiet(dir.path()).await, []);
    assert_eq!(ears.watched.coverage(), Coverage::Full { directories: 1 });
    fs::rename(elsewhere.path().join("away"), at("back")).unwrap();
    ears.until_told(Sign::Below(key("back"))).await;
    fs::write(at("back/sub/deep/z"), "x").unwrap();
    ears.until_told(Sign::Finished(key("back/sub/deep/z"))).await;
    fs::remove_dir_all(at("back")).unwrap();
    fs::create_dir_all(at("back/sub")).unwrap();
    ears.until_told(Sign::Below(key("back"))).await;
    fs::write(at("back/sub/w"), "x").unwrap();
    // The file is told, or a look at all of its directory that comes after it.
    ears.until(|told| {
        told.iter().any(|sign| matches!(sign, Sign::Finished(k) if k.as_str() == "back/sub/w"))
            || told.contains(&Sign::Below(key("back/sub")))
    })
    .await;
}

#[tokio::test]
async fn links_are_told_as_their_kind_of_job_sees_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("d")).unwrap();
    let mut skips = Ears::on(dir.path()).await;
    let mut stores = Ears::of(Spec { links: Symlinks::Store, ..spec(dir.path()) }).await;
    let mut follows = Ears::of(Spec { links: Symlinks::Follow, ..spec(dir.path()) }).await;
    std::os::unix::fs::symlink("d", at("l")).unwrap();
    stores.until_told(Sign::Finished(key("l.rclonelink"))).await;
    follows.until_told(Sign::Below(key("l"))).await;
    fs::remove_file(at("l")).unwrap();
    stores.until_told(Sign::Gone(key("l.rclonelink"))).await;
    follows.until_told(Sign::Gone(key("l"))).await;
    let told = skips.until_quiet(dir.path()).await;
    assert!(told.iter().all(|sign| !matches!(sign, Sign::Below(_) | Sign::Finished(_))), "{told:?}");
    std::os::unix::fs::symlink("d", at("l")).unwrap();
    let follows = watch(Spec { links: Symlinks::Follow, ..spec(dir.path()) }).await.unwrap();
    assert!(matches!(follows.coverage(), Coverage::Degraded { watched: 2, directories: 2, .. }));
}

/// The path of a directory that is removed with the test.
fn inside(dir: &tempfile::TempDir, name: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::create_dir(&path).unwrap();
    path
}
