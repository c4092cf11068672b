//! The daemon and what happens below the directory that it watches: much at once, slowly, oddly.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;

use crate::support::sandbox::{PREFIX, Sandbox, bytes};

/// Renames, removes and writes files in a directory of its own, and keeps a ledger of names that went.
struct Writer {
    /// In the media directory.
    dir: &'static str,
    random: fastrand::Rng,
    files: Vec<String>,
    next: usize,
    /// When each name went last.
    gone: BTreeMap<String, SystemTime>,
}

impl Writer {
    fn new(name: &'static str, seed: u64) -> Self {
        Self { dir: name, random: fastrand::Rng::with_seed(seed), files: Vec::new(), next: 0, gone: BTreeMap::new() }
    }

    fn create(&mut self, sandbox: &Sandbox) {
        let n = self.next;
        self.next += 1;
        let name = format!("{}/{}/{n}.jpg", self.dir, n % 10);
        sandbox.write(&name, format!("{name} first"));
        self.files.push(name);
    }

    /// One change of a file that is there.
    fn change(&mut self, sandbox: &Sandbox) {
        let at = self.random.usize(..self.files.len());
        let name = self.files[at].clone();
        match self.random.u8(..10) {
            0..5 => sandbox.write(&name, format!("{name} again {}", self.random.u64(..))),
            5..8 => {
                let to = format!("{name}.{}", self.random.u16(..));
                // Before it happens: no deletion may be earlier.
                self.gone.insert(name.clone(), SystemTime::now());
                fs::rename(sandbox.media(&name), sandbox.media(&to)).unwrap();
                self.files[at] = to;
            }
            _ => {
                self.gone.insert(name.clone(), SystemTime::now());
                sandbox.remove(&name);
                self.files.swap_remove(at);
            }
        }
    }
}

#[test]
fn nothing_is_lost_or_deleted_by_mistake_in_a_storm_whose_events_are_lost() {
    const WRITERS: [&str; 4] = ["a", "b", "c", "d"];
    let sandbox = Sandbox::new();
    sandbox.configure("max_delete = \"100%\"");
    let mut daemon = sandbox.daemon();
    daemon.until_idle();
    let mut writers: Vec<Writer> = WRITERS.iter().zip(1..).map(|(name, seed)| Writer::new(name, seed)).collect();
    let mut work = |creates: usize, changes: usize| {
        scope(|threads| {
            for writer in &mut writers {
                let sandbox = &sandbox;
                threads.spawn(move || {
                    for n in 0..creates.max(changes) {
                        if n < creates {
                            writer.create(sandbox);
                        }
                        if n < changes && writer.files.len() > 3 {
                            writer.change(sandbox);
                        }
                    }
                });
            }
        });
    };
    work(1_000, 400);
    daemon.until_equal();
    work(0, 300);
    // 16,384 events is what the kernel keeps for who does not listen; each new file makes more than three.
    daemon.signal(Signal::STOP);
    work(1_250, 600);
    daemon.signal(Signal::CONT);
    work(250, 800);
    let job = daemon.until_equal();
    let ran = daemon.stop().exits(0).says(&["more changed at once than could be told"]);
    assert!(job["totals"]["cycles_watched"].as_u64() > Some(0), "{ran:?}");
    let mut gone = BTreeMap::new();
    for writer in writers {
        gone.extend(writer.gone);
    }
    let mut deleted = 0;
    for (key, at) in sandbox.bucket.take_erased() {
        let Some(name) = key.strip_prefix(PREFIX).filter(|name| !name.starts_with(".mediasync/")) else { continue };
        deleted += 1;
        let went = gone.get(name).unwrap_or_else(|| panic!("{name} never went: {ran:?}"));
        assert!(*went <= at, "{name} was deleted before it went");
    }
    assert!(deleted > 0, "the storm deleted something that had arrived");
}

#[test]
fn deleting_slowly_is_halted_by_the_budget_and_approving_goes_on() {
    let sandbox = Sandbox::new();
    for n in 0..1_000 {
        sandbox.write(&format!("{}/{n}.jpg", n / 100), format!("photo {n}"));
    }
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    // 10 % of 1,000 are allowed in a day.
    let mut removed = 0;
    while daemon.job()["phase"] != "halted" {
        assert!(removed < 400, "{:#?}", daemon.job());
        for _ in 0..20 {
            sandbox.remove(&format!("{}/{removed}.jpg", removed / 100));
            removed += 1;
        }
        let gone = removed;
        daemon.until("these are handled, or refused", |job| {
            job["phase"] == "halted" || (job["phase"] == "idle" && sandbox.remote_names().len() == 1_000 - gone)
        });
    }
    let left = sandbox.remote_names().len();
    assert!((900..=940).contains(&left), "{left}");
    while removed < 400 {
        sandbox.remove(&format!("{}/{removed}.jpg", removed / 100));
        removed += 1;
    }
    sleep(Duration::from_secs(3));
    assert_eq!(sandbox.remote_names().len(), left, "nothing goes while it is halted");
    let command = daemon.job()["halt"]["command"].as_str().unwrap_or_default().to_owned();
    assert!(command.starts_with("mediasync approve media "), "{:#}", daemon.job());
    // What is to go by now is more than the plan that was refused: a run says what, and that is approved.
    let halted = sandbox.by_config(&["sync", "media"]).exits(4);
    sandbox.paste(&halted, "mediasync approve ").exits(0);
    daemon.until_equal();
    assert_eq!(sandbox.remote_names().len(), 600);
    let job = daemon.job();
    assert_eq!((&job["halt"], &job["totals"]["done"]["deletes"]), (&serde_json::Value::Null, &400.into()), "{job:#}");
    let halted = format!(
        "approve this plan, or set max_delete of the job and let the daemon read it (systemctl reload, or kill -HUP). To do exactly that: {command}"
    );
    let ran = daemon.stop().exits(0);
    ran.says(&[&halted, "somebody wants plan ", " was approved and is done: deleted ", "somebody runs it"])
        .says(&["what somebody ran ended with exit code 4: nothing changed"]);
}

#[test]
fn what_somebody_agreed_to_is_no_part_of_what_may_go_unasked() {
    let sandbox = Sandbox::new();
    (0..300).for_each(|n| sandbox.write(&format!("{n}.jpg"), format!("photo {n}")));
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    (0..140).for_each(|n| sandbox.remove(&format!("{n}.jpg")));
    daemon.until("halted", |job| job["phase"] == "halted");
    let halted = sandbox.by_config(&["sync", "media"]).exits(4);
    sandbox.paste(&halted, "mediasync approve ").exits(0);
    daemon.until_equal();
    // 50 may go in a day.
    (140..180).for_each(|n| sandbox.remove(&format!("{n}.jpg")));
    daemon.until_equal();
    assert_eq!((sandbox.remote_names().len(), &daemon.job()["halt"]), (120, &serde_json::Value::Null));
    (180..200).for_each(|n| sandbox.remove(&format!("{n}.jpg")));
    let halted = daemon.until("halted", |job| job["phase"] == "halted");
    assert!(halted["halt"]["message"].as_str().unwrap().contains("which makes 60 keys in 24 hours"), "{halted:#}");
    daemon.stop().exits(0);
}

#[test]
fn directories_made_in_a_burst_arrive_without_a_scan() {
    let sandbox = Sandbox::new();
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_idle();
    for n in 0..200 {
        sandbox.write(&format!("{n}/b/c/d/photo.jpg"), format!("photo {n}"));
        sandbox.write(&format!("{n}/b/other.jpg"), format!("other {n}"));
    }
    let job = daemon.until_equal();
    assert_eq!((&job["totals"]["cycles_watched"], &job["totals"]["cycles_both"]), (&0.into(), &1.into()));
    // On a busy machine this writer may be held for long between making a file and filling it.
    let sent = sandbox.take_changed().len();
    assert!((400..=404).contains(&sent), "{sent}: each of them once");
    daemon.stop().exits(0);
}

#[test]
fn what_happens_while_nobody_watches_is_found_at_the_start() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    for n in 0..300 {
        sandbox.write(&format!("{n}/photo.jpg"), format!("photo {n}"));
    }
    daemon.wait_for("some of it arrives", || sandbox.remote_names().len() > 10);
    assert_eq!(daemon.kill(), -9);
    sandbox.remove("a.jpg");
    sandbox.write("b.jpg", "changed");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    assert_eq!(sandbox.remote_names().len(), 302);
    daemon.stop().exits(0);
}

#[test]
fn a_renamed_directory_is_copied_over_there_and_no_bytes_are_sent() {
    let sandbox = Sandbox::new();
    for n in 0..200 {
        sandbox.write(&format!("old/{}/{n}.jpg", n % 7), bytes(n, 2_000));
    }
    sandbox.configure("max_delete = \"100%\"");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.take_changed();
    fs::rename(sandbox.media("old"), sandbox.media("new")).unwrap();
    daemon.until_equal();
    let changed = sandbox.take_changed();
    assert_eq!(changed.iter().filter(|line| line.starts_with("PUT")).count(), 0, "{changed:?}");
    assert_eq!(changed.iter().filter(|line| line.starts_with("COPY new/")).count(), 200, "{changed:?}");
    assert_eq!(changed.iter().filter(|line| line.starts_with("DELETE old/")).count(), 200, "{changed:?}");
    daemon.stop().exits(0);
}

#[test]
fn what_is_being_written_waits_until_it_is_whole() {
    let sandbox = Sandbox::with(&[("busy.txt", "0")]);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.take_changed();
    let mut file = File::create(sandbox.media("film.mp4")).unwrap();
    let begun = Instant::now();
    for n in 0..30 {
        file.write_all(&bytes(n, 100_000)).unwrap();
        sleep(Duration::from_millis(100));
    }
    assert!(begun.elapsed() > Duration::from_secs(3));
    assert_eq!(sandbox.take_changed(), Vec::<String>::new());
    drop(file);
    daemon.until_equal();
    assert_eq!(sandbox.take_changed(), ["PUT film.mp4"]);
    // Closed fifty times a second: each time it may be whole, and it is never sent more often than it changes.
    sandbox.take_changed();
    for n in 0..150 {
        sandbox.write("busy.txt", format!("{n}"));
        sleep(Duration::from_millis(20));
    }
    daemon.until_equal();
    let changed = sandbox.take_changed();
    assert!((1..=150).contains(&changed.len()), "{changed:?}");
    assert!(changed.iter().all(|line| line == "PUT busy.txt"), "{changed:?}");
    daemon.stop().exits(0);
}

#[test]
fn a_file_becomes_a_directory_and_a_file_again() {
    let sandbox = Sandbox::with(&[("thing", "a file"), ("other.txt", "stays")]);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.remove("thing");
    sandbox.write("thing/inside.txt", "in a directory");
    daemon.until_equal();
    assert_eq!(sandbox.remote_names(), BTreeSet::from(["other.txt".into(), "thing/inside.txt".into()]));
    fs::remove_dir_all(sandbox.media("thing")).unwrap();
    sandbox.write("thing", "a file again");
    daemon.until_equal();
    daemon.stop().exits(0);
}

/// At a place that is a directory itself the file has no room before what was there is gone.
#[test]
fn a_file_in_the_place_of_a_directory_is_no_problem() {
    let sandbox = Sandbox::with(&[("d/one.txt", "1"), ("d/two.txt", "2"), ("other.txt", "stays")]);
    let (media, dest) = (sandbox.path("media"), sandbox.path("dest"));
    fs::create_dir(&dest).unwrap();
    let job = format!("[[job]]\nname = \"media\"\nsource = {media:?}\ndestination = {dest:?}\nmode = \"copy\"\n");
    sandbox.configure_as(&format!("{job}delete = true\nwatch = true\n"));
    let mut daemon = sandbox.daemon();
    let idle = |files: u64| {
        move |job: &serde_json::Value| job["synced"][0] == files && job["phase"] == "idle" && job["dirty"] == 0
    };
    daemon.until("equal", idle(3));
    fs::remove_dir_all(sandbox.media("d")).unwrap();
    sandbox.write("d", "a file");
    daemon.until("equal again", idle(2));
    assert_eq!(fs::read(dest.join("d")).unwrap(), b"a file");
    let ran = daemon.stop().exits(0);
    assert!(!ran.stderr.contains(" WARN "), "{}", ran.stderr);
}

#[test]
fn hostile_names_links_and_files_that_cannot_be_read() {
    let mut sandbox = Sandbox::with(&[("closed.txt", "first"), ("open.txt", "first")]);
    sandbox.as_nobody();
    sandbox.configure("");
    for name in ["closed.txt", "open.txt"] {
        fs::set_permissions(sandbox.media(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.take_changed();
    for name in [
        "line\nbreak.txt",
        "tab\t.txt",
        " blank ",
        "-n",
        "'quote\".txt",
        "ü/ö.txt",
        "%41.txt",
        "a+b&c=d?.txt",
        "\u{1b}[31m.txt",
        "....",
        "x\\y",
    ] {
        sandbox.write(name, name);
    }
    let bad: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"no\xffutf8.txt");
    fs::write(sandbox.media("").join(bad), "x").unwrap();
    fs::remove_file(sandbox.media("").join(bad)).unwrap();
    symlink("open.txt", sandbox.media("link.txt")).unwrap();
    symlink("/etc", sandbox.media("dirlink")).unwrap();
    // Nobody may read this one: what is at the other side stays.
    sandbox.write("closed.txt", "second");
    fs::set_permissions(sandbox.media("closed.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    let job = daemon.until("it says what it can't read", |job| job["problem_count"] == 1);
    assert!(job["problems"][0]["message"].as_str().unwrap().contains("closed.txt"), "{job:#}");
    daemon.wait_for("all others arrive", || sandbox.remote_names().len() == 13);
    let changed = sandbox.take_changed();
    assert!(!changed.iter().any(|line| line.starts_with("DELETE")), "{changed:?}");
    fs::set_permissions(sandbox.media("closed.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    daemon.until("the problem is gone", |job| job["problem_count"] == 0);
    assert_eq!(sandbox.content("closed.txt"), "second");
    // This one stays: it is told without a look that somebody has to ask for.
    fs::write(sandbox.media("").join(bad), "x").unwrap();
    let job = daemon.until("it says what has no name", |job| job["problem_count"] == 1);
    assert!(job["problems"][0]["message"].as_str().unwrap().contains("UTF-8"), "{job:#}");
    fs::remove_file(sandbox.media("").join(bad)).unwrap();
    daemon.until("that is gone, too", |job| job["problem_count"] == 0);
    let ran = daemon.stop().exits(0);
    assert!(!ran.all().contains('\u{1b}'), "names are escaped");
}

#[test]
fn rules_that_change_while_it_runs_are_taken_over_and_delete_nothing() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("a.raw", "raw")]);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.write(".mediasyncignore", "*.raw\n");
    daemon.until("it looked again", |job| job["totals"]["cycles_both"].as_u64() > Some(1) && job["phase"] == "idle");
    sandbox.write("b.raw", "raw");
    sandbox.write("b.jpg", "b");
    daemon.wait_for("b.jpg", || sandbox.remote_names().contains("b.jpg"));
    daemon.until_idle();
    let names = sandbox.remote_names();
    assert!(names.contains("a.raw") && !names.contains("b.raw"), "{names:?}");
    sandbox.remove(".mediasyncignore");
    daemon.wait_for("b.raw", || sandbox.remote_names().contains("b.raw"));
    daemon.until_idle();
    daemon.stop().exits(0);
}

#[test]
fn what_it_fetches_itself_comes_back_as_no_upload() {
    let sandbox = Sandbox::with(&[("here.txt", "here")]);
    sandbox.configure("");
    let config = fs::read_to_string(sandbox.path("config.toml")).unwrap();
    sandbox.configure_as(&config.replace("mode = \"copy\"\ndelete = true", "mode = \"two-way\""));
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    for n in 0..50 {
        sandbox.put(&format!("there/{n}.txt"), format!("there {n}"));
    }
    sandbox.put("here.txt", "changed there");
    sandbox.take_changed();
    sandbox.by_config(&["sync", "media"]).exits(0);
    daemon.until_equal();
    // What was fetched by the daemon's own look, too.
    for n in 0..50 {
        sandbox.put(&format!("more/{n}.txt"), format!("more {n}"));
    }
    let mut touch = OpenOptions::new().append(true).open(sandbox.media("there/1.txt")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for("more", || sandbox.local_names().len() == 101);
    daemon.until_idle();
    sleep(Duration::from_secs(3));
    daemon.until_idle();
    assert_eq!(sandbox.take_changed(), Vec::<String>::new());
    touch.write_all(b" and here").unwrap();
    drop(touch);
    daemon.until_equal();
    assert_eq!(sandbox.take_changed(), ["PUT there/1.txt"]);
    daemon.stop().exits(0);
}
