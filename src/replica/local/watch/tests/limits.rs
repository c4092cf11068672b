//! Where the system or this program has no room, or says no.
//!
//! Limits are set in a child process of its own user namespace, so that no other program notices.

use std::process::Command;

use super::*;

/// Runs an ignored test of this file in a child process, below a shell script that ends in `"$@"`. Where the machine
/// does not allow it, that is said aloud, and nothing is tested.
fn in_a_child(script: &str, test: &str) {
    let can = Command::new("sh").args(["-c", &script.replace("exec \"$@\"", "true")]).output();
    if !can.as_ref().is_ok_and(|output| output.status.success()) {
        println!("NOT TESTED: this machine does not allow `{script}`: {can:?}");
        return;
    }
    let name = format!("replica::local::watch::tests::limits::{test}");
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn at_the_limit_of_watches_the_rest_is_counted_and_the_watched_part_goes_on() {
    let script = "exec unshare -Ur sh -c 'echo 50 > /proc/sys/user/max_inotify_watches && exec \"$@\"' sh \"$@\"";
    in_a_child(script, "child_with_50_watches");
}

#[tokio::test]
#[ignore = "run by the test above, in a child process"]
async fn child_with_50_watches() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..500 {
        fs::create_dir(dir.path().join(format!("d{n}"))).unwrap();
    }
    let mut ears = Ears::on(dir.path()).await;
    let Coverage::Degraded { watched, directories, why } = ears.watched.coverage() else {
        panic!("{:?}", ears.watched.coverage())
    };
    assert_eq!((watched, directories), (50, 501));
    assert!(why.contains("max_user_watches"), "{why}");
    assert_eq!(ears.until_quiet(dir.path()).await, []);
    // A directory that appears is counted, and told all the same.
    fs::create_dir(dir.path().join("more")).unwrap();
    ears.until_told(Sign::Below(key("more"))).await;
    assert!(matches!(ears.watched.coverage(), Coverage::Degraded { watched: 50, directories: 502, .. }));
}

#[test]
fn a_directory_without_permission_is_told_and_watched_once_it_can_be_read() {
    in_a_child("exec setpriv --reuid 65534 --regid 65534 --clear-groups -- \"$@\"", "child_without_rights");
}

#[tokio::test]
#[ignore = "run by the test above, in a child process"]
async fn child_without_rights() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let closed = inside(&dir, "closed");
    let set = |mode| fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir(closed.join("sub")).unwrap();
    set(0o000);
    let mut ears = Ears::on(dir.path()).await;
    assert!(matches!(ears.watched.coverage(), Coverage::Degraded { watched: 1, directories: 2, .. }));
    set(0o755);
    ears.until_told(Sign::Below(key("closed"))).await;
    assert_eq!(ears.watched.coverage(), Coverage::Full { directories: 3 });
    fs::write(closed.join("sub/x"), "x").unwrap();
    ears.until_told(Sign::Finished(key("closed/sub/x"))).await;
}

#[test]
fn an_unmounted_root_is_lost_and_another_disk_is_not_it() {
    in_a_child("exec unshare -Urm sh -c 'mount -t tmpfs none /mnt && exec \"$@\"' sh \"$@\"", "child_with_a_mount");
}

#[tokio::test]
#[ignore = "run by the test above, in a child process"]
async fn child_with_a_mount() {
    let mount = |args: &[&str]| assert!(Command::new(args[0]).args(&args[1..]).status().unwrap().success());
    let mut ears = Ears::on(Path::new("/mnt")).await;
    ears.until_quiet(Path::new("/mnt")).await;
    mount(&["umount", "/mnt"]);
    let lost = ears.watched.check().await.unwrap();
    assert!(lost.message.contains("unmounted"), "{lost:?}");
    ears.until_told(Sign::Lost(lost)).await;
    mount(&["mount", "-t", "tmpfs", "none", "/mnt"]);
    assert!(ears.watched.check().await.is_some(), "an empty disk is not the one that was there");
}

#[tokio::test]
async fn where_more_happens_than_can_be_queued_everything_is_looked_at_and_watched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let watched = start(spec(dir.path()), 4).await.unwrap();
    let mut ears = Ears { watched, told: Vec::new() };
    for n in 0..2_000 {
        fs::create_dir_all(dir.path().join(format!("d{}", n % 50))).unwrap();
        fs::write(dir.path().join(format!("d{}/f{n}", n % 50)), "x").unwrap();
    }
    ears.until_told(Sign::Rescan(Missed::Overflow)).await;
    // All 50 and the root, whichever events were dropped.
    while ears.watched.coverage() != (Coverage::Full { directories: 51 }) {
        ears.told.extend(ears.watched.next().await);
    }
    // What is written while watches are set anew is part of a further rescan.
    for n in 0.. {
        let last = format!("d49/last{n}");
        fs::write(dir.path().join(&last), "x").unwrap();
        let finished = Sign::Finished(key(&last));
        let told = ears.until(|told| told.contains(&finished) || told.contains(&Sign::Rescan(Missed::Overflow))).await;
        if told.contains(&finished) {
            break;
        }
    }
}

/// A filter of system calls, as service managers and containers set them: `openat2` fails in this thread and in all that it
/// begins.
#[cfg(target_os = "linux")]
fn without_openat2(errno: rustix::io::Errno) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
    const OPENAT2: i64 = 437;
    let denied = SeccompAction::Errno(errno.raw_os_error().unsigned_abs());
    let machine = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new([(OPENAT2, vec![])].into(), SeccompAction::Allow, denied, machine).unwrap();
    apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_root_that_can_not_be_walked_is_never_called_watched() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("below")).unwrap();
    let coverage = |errno| {
        let path = dir.path().to_owned();
        let begun = std::thread::spawn(move || {
            without_openat2(errno);
            let (teller, ..) = super::super::system::begin(spec(&path), 8).unwrap();
            teller.shared.lock().unwrap().clone()
        });
        begun.join().unwrap()
    };
    // What is missing or forbidden is done in another way.
    for errno in [rustix::io::Errno::NOSYS, rustix::io::Errno::PERM] {
        assert_eq!(coverage(errno), Coverage::Full { directories: 2 });
    }
    let Coverage::Polling { why } = coverage(rustix::io::Errno::IO) else { panic!("it is not watched") };
    assert!(why.contains("can't be watched") && why.contains("os error 5"), "{why}");
}
