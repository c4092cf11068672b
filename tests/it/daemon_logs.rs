//! What the daemon writes to stderr while it works.

use super::support::sandbox::Sandbox;

#[test]
fn with_v_each_file_is_named() {
    let sandbox = Sandbox::new();
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    for n in 0..120 {
        sandbox.write(&format!("dir/{n:03}.jpg"), format!("content {n}"));
    }
    daemon.until_equal();
    let log = daemon.stop().exits(0).stderr;
    for n in 0..120 {
        let line = format!(" DEBUG media: created dir/{n:03}.jpg");
        assert_eq!(log.lines().filter(|said| said.contains(&line)).count(), 1, "{line}:\n{log}");
    }
    assert!(!log.contains("more like this"), "{log}");
}
