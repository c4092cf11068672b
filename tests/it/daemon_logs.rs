//! What the daemon writes to stderr while it works.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::s3::{Effect, Faults, Rule};
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

#[test]
fn an_approval_that_is_refused_and_a_resume_of_what_runs_are_told_as_what_they_were() {
    let sandbox = Sandbox::with(&[("a.txt", "one"), ("b.txt", "two")]);
    sandbox.configure("max_delete = 0");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.by_config(&["resume", "media"]).exits(0);
    sandbox.by_config(&["pause", "media"]).exits(0);
    sandbox.by_config(&["pause", "media"]).exits(0);
    sandbox.by_config(&["resume", "media"]).exits(0);
    sandbox.remove("a.txt");
    let halted = daemon.until("halted", |job| !job["halt"].is_null());
    let plan = halted["halt"]["plan"].as_str().unwrap().to_owned();
    for exit in [0, 2] {
        sandbox.by_config(&["approve", "media", &plan]).exits(exit);
        daemon.until_idle();
    }
    let log = daemon.stop().exits(0).stderr;
    let pauses: Vec<&str> =
        log.lines().filter_map(|line| line.split_once(" media: ")?.1.split(", and").next()).collect();
    let pauses: Vec<&str> =
        pauses.into_iter().filter(|text| text.contains("pause") || text.contains("resume")).collect();
    assert_eq!(pauses, ["somebody resumes it", "paused", "somebody pauses it", "resumed"], "{log}");
    let plans: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once(&format!("lan {plan} ")))
        .map(|(_, told)| told.split(" plan=").next().unwrap())
        .collect();
    let refused = "was not carried out, with exit code 2; nothing was done";
    let asked = "to be carried out";
    assert_eq!(plans, [asked, "was approved and is done: deleted 1", asked, refused], "{log}");
    assert!(!log.lines().any(|line| line.contains("not carried out") && line.contains(" INFO ")), "{log}");
}

#[test]
fn each_run_of_the_history_has_its_own_requests() {
    let sandbox = Sandbox::with(&[("a.txt", "one"), ("b.txt", "two")]);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.write("c.txt", "three");
    daemon.until_equal();
    let runs = |sandbox: &Sandbox| -> Vec<Value> {
        let ran = sandbox.by_config(&["history", "media", "--json"]).exits(0);
        ran.json().into_iter().map(|mut run| run["summary"]["requests"].take()).collect()
    };
    // Cycles over what changed share a line.
    let told = runs(&sandbox);
    assert_eq!((&told[0], told.len()), (&json!({"PutObject": 1}), 2), "{told:?}");
    assert!(told[1]["ListObjects"].as_u64().is_some_and(|lists| lists > 0), "{told:?}");
    sandbox.write("d.txt", "four");
    daemon.until_equal();
    assert_eq!(runs(&sandbox)[0], json!({"PutObject": 2}));
    daemon.stop().exits(0);
}

/// Everybody may read what a storage DSN gets by default, and a service prints no plan.
#[test]
fn that_new_objects_are_for_everybody_is_told_once_and_so_is_the_end_of_a_failure() {
    let sandbox = Sandbox::with(&[("a.txt", "one")]);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.server.faults(|faults| faults.add(Rule::new("*", Effect::Status(403, "InvalidAccessKeyId"))));
    sandbox.write("b.txt", "two");
    daemon.until("it tries again", |job| job["error"]["tries"].as_u64() >= Some(2));
    sandbox.server.faults(Faults::clear);
    daemon.until_equal();
    sandbox.write("c.txt", "three");
    daemon.until_equal();
    let log = daemon.stop().exits(0).stderr;
    let told = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(told(" INFO media: new objects get the ACL public-read: everybody may read them"), 1, "{log}");
    assert_eq!(told(" INFO media: works again, after "), 1, "{log}");
    let failed = log.lines().find(|line| line.contains("media: failed, tries again: ")).unwrap();
    assert!(failed.contains("; hint: "), "{failed}");

    let private = sandbox.dsn(&format!("endpoint={}&acl=private", sandbox.server.endpoint()));
    let mut sandbox = sandbox;
    sandbox.env("DEFAULT_STORAGE_DSN", &private);
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let log = daemon.stop().exits(0).stderr;
    assert!(!log.contains("everybody may read") && !log.contains("works again"), "{log}");
}

/// What waits for the night is told while somebody is there: at the start, and after the configuration changed.
#[test]
fn a_job_whose_place_is_nowhere_is_told_before_its_time_comes() {
    let sandbox = Sandbox::with(&[("a.txt", "one")]);
    let media = sandbox.path("media");
    let job = |name: &str, to: &str| {
        format!(
            "[[job]]\nname = {name:?}\nsource = {media:?}\ndestination = {to:?}\nmode = \"copy\"\ncron = \"0 0 29 2 *\"\n"
        )
    };
    let well = job("well", "env:DEFAULT_STORAGE_DSN");
    sandbox.configure_as(&format!("{well}{}", job("night", "env:NOT_THERE")));
    let mut daemon = sandbox.daemon();
    daemon.until("it is on the board", |_| true);
    sandbox.configure_as(&format!("{}{well}", job("later", "env:NEITHER")));
    daemon.signal(Signal::HUP);
    daemon.until("it is read again", |job| job["name"] == "later");
    let log = daemon.stop().exits(0).stderr;
    for (name, variable) in [("night", "NOT_THERE"), ("later", "NEITHER")] {
        let warned: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(&format!(" WARN {name}: could not run now: job.{name}.dest")))
            .collect();
        assert_eq!(warned.len(), 1, "{log}");
        assert!(warned[0].contains(variable) && warned[0].contains("; hint: "), "{log}");
    }
    assert!(!log.contains("WARN well"), "{log}");
}
