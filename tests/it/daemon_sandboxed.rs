//! A daemon whose service manager or container forbids system calls. systemd's `RestrictSUIDSGID=` answers every `openat2` with
//! ENOSYS, older container runtimes with EPERM.

use std::fs;

use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use crate::support::sandbox::Sandbox;

/// For this thread, and for what it starts.
fn without_openat2(errno: Errno) {
    const OPENAT2: i64 = 437;
    let denied = SeccompAction::Errno(errno.raw_os_error().unsigned_abs());
    let machine = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new([(OPENAT2, vec![])].into(), SeccompAction::Allow, denied, machine).unwrap();
    apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

fn what_is_changed_is_seen() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("2026/b.jpg", "b")]);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    assert_eq!(daemon.job()["watch"]["coverage"], "full");
    assert_eq!(daemon.job()["watch"]["directories"], 2);
    sandbox.take_changed();
    sandbox.write("2026/c.jpg", "c");
    sandbox.write("2027/01/d.jpg", "d");
    fs::rename(sandbox.media("a.jpg"), sandbox.media("e.jpg")).unwrap();
    daemon.until_equal();
    let changed = sandbox.take_changed();
    for change in ["PUT 2026/c.jpg", "PUT 2027/01/d.jpg", "COPY e.jpg"] {
        assert!(changed.iter().any(|seen| seen == change), "{changed:?}");
    }
    daemon.stop().exits(0);
}

#[test]
fn a_daemon_whose_manager_forbids_openat2_watches_all_the_same() {
    for errno in [Errno::NOSYS, Errno::PERM] {
        let filtered = std::thread::spawn(move || {
            without_openat2(errno);
            what_is_changed_is_seen();
        });
        filtered.join().unwrap();
    }
}
