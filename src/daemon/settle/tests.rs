//! What programs do to save a file, as the signs that it makes, and which looks that ends in.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::manifest::{Orientation, Record, Span};
use crate::model::{BaseRecord, Digests, Version};

const MS: i64 = 1_000_000;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// A directory whose files are all synced.
fn synced(names: &[&str]) -> Manifest {
    let manifest = Manifest::empty(Orientation::Forward).unwrap();
    let record = |name: &&str| {
        let version = || Version::new("v");
        let (source, dest) = (version(), version());
        Record::Put(BaseRecord {
            key: key(name),
            size: 1,
            source,
            dest,
            digests: Digests::none(),
            lapsed: false,
            marks: crate::model::Marks::default(),
        })
    };
    manifest.record(&names.iter().map(record).collect::<Vec<_>>()).unwrap();
    manifest
}

/// A script: at these ms, these signs. Names appear and go as the signs say.
type Script<'a> = &'a [(i64, Sign)];

/// A look at a key: when in ms, which, and whether it was there.
type Look = (i64, String, bool);

/// Plays a script as a daemon does that looks at everything the moment it is due and whose cycles take no time.
fn play(manifest: &Manifest, present: &[&str], script: Script<'_>) -> Vec<Look> {
    let mut present: BTreeSet<String> = present.iter().map(|name| (*name).to_owned()).collect();
    let mut looks = Vec::new();
    let steps = script.iter().map(|(ms, sign)| (ms * MS, Some(sign))).chain([(i64::MAX / 4, None)]);
    for (until, sign) in steps {
        while let Some(due_ns) = manifest.dirty_next().unwrap().filter(|due| *due < until) {
            let due = manifest.dirty_due(due_ns, 100).unwrap();
            for dirty in &due.dirty {
                assert_eq!(dirty.span, Span::Itself, "no directory here");
                let name = dirty.key.as_str().to_owned();
                looks.push((due_ns / MS, name.clone(), present.contains(&name)));
            }
            manifest.dirty_clear(&due.dirty, due.mark).unwrap();
        }
        match sign {
            Some(Sign::Finished(name) | Sign::Writing(name)) => drop(present.insert(name.as_str().to_owned())),
            Some(Sign::Gone(name)) => drop(present.remove(name.as_str())),
            Some(Sign::Moved { from, to }) => {
                present.remove(from.as_str());
                present.insert(to.as_str().to_owned());
            }
            _ => {}
        }
        if let Some(sign) = sign {
            note(manifest, std::slice::from_ref(sign), until).unwrap();
        }
    }
    looks
}

fn finished(name: &str) -> Sign {
    Sign::Finished(key(name))
}

fn writing(name: &str) -> Sign {
    Sign::Writing(key(name))
}

fn gone(name: &str) -> Sign {
    Sign::Gone(key(name))
}

fn moved(from: &str, to: &str) -> Sign {
    Sign::Moved { from: key(from), to: key(to) }
}

/// What a program does, when in ms the look at `a` is, and the script.
type Case = (&'static str, i64, Vec<(i64, Sign)>);

fn editors() -> Vec<Case> {
    let gnome = || [(0, writing(".goutputstream-X1Y2Z3")), (2, finished(".goutputstream-X1Y2Z3"))];
    let vim = |away: i64, back: i64| {
        [
            (0, finished("4913")),
            (1, gone("4913")),
            (away, moved("a", "a~")),
            (back, writing("a")),
            (back, finished("a")),
        ]
    };
    vec![
        ("nano, VS Code: truncate and write", 13, vec![(0, writing("a")), (1, writing("a")), (3, finished("a"))]),
        ("vim: 4913, rename away, write, delete", 15, [&vim(2, 5)[..], &[(6, gone("a~"))]].concat()),
        ("vim, slow disk", 1_510, [&vim(2, 1_500)[..], &[(1_600, gone("a~"))]].concat()),
        ("vim, emacs: the backup stays", 12, vim(1, 2).to_vec()),
        ("GNOME: moved over", 13, [&gnome()[..], &[(3, moved(".goutputstream-X1Y2Z3", "a"))]].concat()),
        (
            "GNOME with a backup",
            14,
            [&gnome()[..], &[(3, moved("a", "a~")), (4, moved(".goutputstream-X1Y2Z3", "a"))]].concat(),
        ),
    ]
}

fn programs() -> Vec<Case> {
    let office = [(0, finished(".~lock.a#")), (1, writing("lu12ab.tmp")), (800, finished("lu12ab.tmp"))];
    let rsync = [(0, writing(".a.x8Kq1Z")), (1_000, finished(".a.x8Kq1Z")), (1_001, Sign::Touched(key(".a.x8Kq1Z")))];
    let photoshop = [(0, writing("a")), (1_000, writing("a")), (2_500, finished("a")), (2_505, writing("a"))];
    let word = [(20, finished("~WRD0001.tmp")), (22, moved("a", "~WRL0002.tmp")), (24, moved("~WRD0001.tmp", "a"))];
    vec![
        ("LibreOffice", 813, [&office[..], &[(803, moved("lu12ab.tmp", "a")), (900, gone(".~lock.a#"))]].concat()),
        ("rsync", 1_012, [&rsync[..], &[(1_002, moved(".a.x8Kq1Z", "a"))]].concat()),
        ("Photoshop: closed, and written again", 4_510, [&photoshop[..], &[(4_500, finished("a"))]].concat()),
        ("Word: the old one is moved away first", 34, [&word[..], &[(30, gone("~WRL0002.tmp"))]].concat()),
        ("deleted and made again", 610, vec![(0, gone("a")), (500, writing("a")), (600, finished("a"))]),
        ("attributes after the close", 10, vec![(0, finished("a")), (5, Sign::Touched(key("a")))]),
        ("a hard link: never closed", 2_000, vec![(0, writing("a"))]),
        ("touched only", 2_000, vec![(0, Sign::Touched(key("a")))]),
    ]
}

/// Saving `a` ends in one look at it, at this time, and while it is there.
#[test]
fn whatever_a_program_does_to_save_is_one_look_at_the_final_name() {
    for (what, at, script) in editors().iter().chain(&programs()) {
        let manifest = synced(&["a"]);
        let looks = play(&manifest, &["a"], script);
        let of_a: Vec<_> = looks.iter().filter(|(_, name, _)| name == "a").cloned().collect();
        assert_eq!(of_a, [(*at, "a".to_owned(), true)], "{what}");
        let others = looks.iter().filter(|(_, name, is_there)| name != "a" && *is_there && name != "a~");
        assert_eq!(others.count(), 0, "{what}: no temporary name is seen, but for a backup that stays: {looks:?}");
        assert_eq!(manifest.dirty_count().unwrap(), 0, "{what}");
    }
}

#[test]
fn a_file_that_is_written_for_minutes_is_looked_at_every_thirty_seconds() {
    let script: Vec<(i64, Sign)> = (0..70).map(|second| (second * 1_000, writing("log"))).collect();
    let looks = play(&synced(&[]), &[], &script);
    let times: Vec<i64> = looks.iter().map(|(ms, ..)| *ms).collect();
    // The first sign after a look is that of the next second.
    assert_eq!(times, [30_000, 61_000, 71_000]);
}

#[test]
fn a_deletion_and_a_rename_wait_one_round() {
    let looks = play(&synced(&["a"]), &["a"], &[(0, gone("a"))]);
    assert_eq!(looks, [(2_000, "a".to_owned(), false)]);
    let looks = play(&synced(&["a"]), &["a"], &[(0, moved("a", "b"))]);
    assert_eq!(looks, [(2_000, "a".to_owned(), false), (2_000, "b".to_owned(), true)], "so it is seen as a rename");
    let looks = play(&synced(&[]), &["a.tmp"], &[(0, moved("a.tmp", "b"))]);
    assert_eq!(looks, [(10, "b".to_owned(), true), (2_000, "a.tmp".to_owned(), false)]);
}

#[test]
fn directories_stand_for_all_below_them() {
    let manifest = synced(&["old/x", "kept/x"]);
    let signs = [
        Sign::MovedDirectory { from: key("old"), to: key("new") },
        Sign::MovedDirectory { from: key("never"), to: key("fresh") },
        Sign::Below(key("made")),
        gone("kept"),
    ];
    let noted = note(&manifest, &signs, 0).unwrap();
    assert_eq!(noted, Noted { rescan: None, nameless_ns: None, lost: None, next_ns: Some(GRACE_NS) });
    let both = |name: &str| [Dirty::itself(key(name)), Dirty::below(key(name))];
    let soon = manifest.dirty_due(GRACE_NS, 100).unwrap();
    assert_eq!(soon.dirty, [both("fresh"), both("made")].concat());
    manifest.dirty_clear(&soon.dirty, soon.mark).unwrap();
    let round = manifest.dirty_due(QUIET_NS, 100).unwrap();
    let expected = [both("kept").as_slice(), &[Dirty::itself(key("never"))], &both("new"), &both("old")].concat();
    assert_eq!(round.dirty, expected);
}

#[test]
fn a_file_in_the_place_of_a_directory_waits_for_the_deletion_of_what_was_in_it() {
    let place = |sign: Sign| {
        let manifest = synced(&["d/one", "d/two", "other"]);
        note(&manifest, &[gone("d/one"), gone("d/two"), gone("d"), sign], 0).unwrap();
        let due = manifest.dirty_due(QUIET_NS, 100).unwrap();
        let names: BTreeSet<String> = due.dirty.iter().map(|dirty| dirty.key.as_str().to_owned()).collect();
        (manifest.dirty_next().unwrap(), names)
    };
    let all = ["d", "d/one", "d/two"].map(str::to_owned);
    for sign in [writing("d"), finished("d")] {
        assert_eq!(place(sign.clone()), (Some(QUIET_NS), all.clone().into()), "{sign:?}");
    }
    let moved_there = place(moved("new", "d"));
    assert_eq!(moved_there.0, Some(QUIET_NS));
    assert!(all.iter().all(|name| moved_there.1.contains(name)), "{moved_there:?}");
    assert_eq!(place(finished("other")).0, Some(GRACE_NS), "nobody else waits");
}

#[test]
fn what_is_no_key_is_told_and_nothing_written() {
    let manifest = synced(&[]);
    let lost = Lost { message: "gone".to_owned(), hint: "mount it".to_owned() };
    let signs = [Sign::Rescan(Missed::Overflow), Sign::Rescan(Missed::Deaf), Sign::Lost(lost.clone())];
    let noted = note(&manifest, &signs, 0).unwrap();
    assert_eq!(
        noted,
        Noted { rescan: Some(Missed::Overflow), nameless_ns: None, lost: Some(lost.clone()), next_ns: None }
    );
    let noted = note(&manifest, &[Sign::Lost(lost), Sign::Rescan(Missed::Returned)], 0).unwrap();
    assert_eq!(noted, Noted { rescan: Some(Missed::Returned), nameless_ns: None, lost: None, next_ns: None });
    assert_eq!(manifest.dirty_count().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_clock_goes_on_whatever_the_system_says() {
    let clock = Clock::start();
    let begin = clock.now_ns();
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(clock.now_ns() - begin, 3_000_000_000);
    assert_eq!(clock.at(begin + 5_000_000_000), Instant::now() + Duration::from_secs(2));
    assert!(clock.at(i64::MAX) > Instant::now());
    assert!(clock.at(i64::MIN) <= Instant::now());
}

/// What editors do, done to a real file that a real watcher sees: every look finds it, and with its new content.
#[tokio::test]
async fn editors_on_a_real_disk_end_in_looks_at_what_they_saved() {
    use crate::model::Symlinks;
    use crate::replica::local::watch::{Spec, Watcher as _, watch};
    use std::fs::{remove_file, rename, write};
    type Save<'a> = (&'a str, &'a dyn Fn(&str));

    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write(at("a"), "old").unwrap();
    let spec = Spec { path: dir.path().to_owned(), filter: Arc::default(), links: Symlinks::Skip };
    let mut watcher = watch(spec).await.unwrap();
    let manifest = synced(&["a"]);
    let saves: [Save<'_>; 4] = [
        ("vim", &|new| {
            write(at("4913"), "").unwrap();
            remove_file(at("4913")).unwrap();
            rename(at("a"), at("a~")).unwrap();
            write(at("a"), new).unwrap();
            remove_file(at("a~")).unwrap();
        }),
        ("in place", &|new| write(at("a"), new).unwrap()),
        ("GNOME", &|new| {
            write(at(".goutputstream-X1Y2Z3"), new).unwrap();
            rename(at(".goutputstream-X1Y2Z3"), at("a")).unwrap();
        }),
        ("emacs", &|new| {
            rename(at("a"), at("a~")).unwrap();
            write(at("a"), new).unwrap();
        }),
    ];
    let clock = Clock::start();
    for (who, save) in saves {
        save(who);
        // One more file, closed after all of it, says that everything was told.
        write(at("end"), who).unwrap();
        let mut told = Vec::new();
        while !told.contains(&finished("end")) {
            let signs = tokio::time::timeout(Duration::from_secs(30), watcher.next()).await.expect("told in time");
            note(&manifest, &signs, clock.now_ns()).unwrap();
            told.extend(signs);
        }
        let soon = clock.now_ns() + GRACE_NS;
        let due = manifest.dirty_due(soon, 100).unwrap();
        assert!(due.dirty.contains(&Dirty::itself(key("a"))), "{who}: at once; {told:?}");
        let absent = due.dirty.iter().filter(|dirty| !at(dirty.key.as_str()).exists());
        assert_eq!(absent.count(), 0, "{who}: nothing is looked at while it is away; {told:?}");
        assert_eq!(std::fs::read_to_string(at("a")).unwrap(), who);
        manifest.dirty_clear(&due.dirty, due.mark).unwrap();
    }
}
