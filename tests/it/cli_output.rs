//! What people and scripts are told: exit codes, `--json`, mistakes in the configuration, status and history; and what
//! nobody may ever be told: secrets.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::s3::{Effect, Rule};
use crate::support::sandbox::{REMOTE, Ran, Sandbox, bytes};

/// Runs with `args` and a configuration; `{media}` in it is the media directory.
fn with_config(sandbox: &Sandbox, config: &str, args: &[&str]) -> Ran {
    let text = config.replace("{media}", sandbox.path("media").to_str().unwrap());
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
    sandbox.run(args)
}

const JOBS: &str = r#"
[[job]]
name = "media"
source = "{media}"
destination = "env:DEFAULT_STORAGE_DSN"
mode = "copy"
delete = true
"#;

#[test]
fn every_line_of_json_has_its_version_and_its_type() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b"), ("c.jpg", "c")]);
    sandbox.put("b.jpg", "theirs");
    let lines = |ran: &Ran| {
        let lines = ran.json();
        assert!(lines.iter().all(|line| line["v"] == 1 && line["type"].is_string()), "{ran:?}");
        assert_eq!(lines.last().map(|line| line["type"].clone()), Some(Value::from("summary")), "{ran:?}");
        lines.into_iter().map(|line| line["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let dry = sandbox.push(&["--json", "-n"]).exits(3);
    let types = lines(&dry);
    assert_eq!(types.iter().filter(|name| *name == "action").count(), 2, "{dry:?}");
    assert_eq!((&dry.line("summary")["stage"], &dry.line("summary")["exit"]), (&"planned".into(), &3.into()));
    let done = sandbox.push(&["--json"]).exits(3);
    lines(&done);
    let conflict = done.line("conflict");
    assert_eq!(
        (&conflict["key"], &conflict["source"]["size"], &conflict["destination"]["size"]),
        (&"b.jpg".into(), &1.into(), &6.into())
    );
    assert!(conflict["source"]["modified"].is_string() && conflict["destination"]["modified"].is_string());
    let summary = done.line("summary");
    assert_eq!((&summary["done"]["creates"], &summary["conflicts"]), (&2.into(), &1.into()));
    sandbox.put("extra", "x");
    let mut args = vec!["mirror"];
    let media = sandbox.path("media");
    args.extend([media.to_str().unwrap(), REMOTE, "--json"]);
    let halted = sandbox.run(&args).exits(4);
    lines(&halted);
    let halt = halted.line("halt");
    let (pair, plan) = (halt["approve"].as_str().unwrap(), halt["plan"].as_str().unwrap());
    sandbox.run(&["approve", pair, plan, "--json"]).exits(0).line("summary");
    sandbox.assert_equal();
}

#[test]
fn an_error_is_a_line_of_json_too() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.server.faults(|faults| faults.add(Rule::new("*", Effect::Status(403, "AccessDenied"))));
    let ran = sandbox.push(&["--json"]).exits(1);
    let error = ran.line("error");
    assert_eq!((&error["v"], &error["exit"]), (&1.into(), &1.into()), "{ran:?}");
    assert!(error["message"].as_str().unwrap().contains("media"), "{ran:?}");
}

#[test]
fn a_bad_pattern_is_told_with_its_place() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.push(&["--exclude", "[b"]).exits(2).says(&["--exclude", "[b"]);
    sandbox.write(".mediasyncignore", "# rules\n[c\n");
    sandbox.push(&[]).exits(2).says(&[".mediasyncignore, line 2: the pattern `[c`"]);
}

#[test]
fn mistakes_of_a_configuration_are_told_all_at_once() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let config = r#"
[stat]
dir = "x"

[remote.live]
dsn = 5
acces = "confirm"

[[job]]
name = "one"
source = "{media}"
destination = "live:"
mode = "copi"
concurency = 3
exclude = ["*.tmp", "[a"]

[[job]]
name = "two"
sources = "{media}"
destination = "live:"
mode = "mirror"
"#;
    let ran = with_config(&sandbox, config, &["sync"]).exits(2);
    let told = [
        "line 2: stat",
        "\"state\"",
        "line 6: remote.live.dsn",
        "line 7: remote.live.acces",
        "\"access\"",
        "line 13",
        "copi",
        "line 14",
        "concurency",
        "\"concurrency\"",
        "line 15",
        "exclude: the pattern `[a`",
        "line 19",
        "sources",
        "\"source\"",
    ];
    ran.says(&told).says(&["mediasync.toml"]);
    sandbox.assert_changes(&[]);
}

#[test]
fn jobs_that_overlap_and_variables_that_are_missing_are_told_with_their_lines() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let overlapping = format!("{JOBS}{}", JOBS.replace("\"media\"", "\"again\"").replace("{media}", "/elsewhere"));
    let ran = with_config(&sandbox, &overlapping, &["sync"]).exits(2);
    ran.says(&["media", "again", "line"]);
    let missing = JOBS.replace("DEFAULT_STORAGE_DSN", "NOWHERE_SET");
    with_config(&sandbox, &missing, &["sync"]).exits(2).says(&["NOWHERE_SET", "media", "line"]);
    sandbox.assert_changes(&[]);
}

#[test]
fn a_job_that_fails_does_not_stop_the_others_and_the_worst_exit_wins() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let config = format!(
        "[[job]]\nname = \"bad\"\nsource = \"{{media}}-missing\"\ndestination = \"out\"\nmode = \"copy\"\n{JOBS}"
    );
    let ran = with_config(&sandbox, &config, &["sync"]);
    assert!(ran.code == 1, "{ran:?}");
    sandbox.assert_equal();
    sandbox.run(&["sync", "media"]).exits(0);
    sandbox.run(&["status", "media"]).exits(0).says(&["media"]);
    let ran = sandbox.run(&["history", "media", "--json"]).exits(0);
    assert_eq!(ran.json().len(), 2, "{ran:?}");
    assert!(ran.json().iter().all(|line| line["v"] == 1 && line["type"] == "run"), "{ran:?}");
    sandbox.run(&["sync", "meda"]).exits(2).says(&["\"media\""]);
}

#[test]
fn a_report_that_can_not_be_written_fails_and_a_closed_pipe_does_not() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    let media = sandbox.path("media");
    let piped = |script: &str, args: &[&str]| {
        let program = ["-c", script, env!("CARGO_BIN_EXE_mediasync")];
        sandbox.start_command(Command::new("/bin/sh").args(program), args).wait()
    };
    let full = "exec \"$0\" \"$@\" >/dev/full";
    let push = ["push", media.to_str().unwrap(), REMOTE];
    let lost = "error: can't write to stdout: ";
    for json in [&["--json"][..], &[]] {
        piped(full, &[&push[..], &["-n"], json].concat()).exits(1).says(&[lost]);
    }
    sandbox.assert_changes(&[]);
    piped(full, &[&push[..], &["--json"]].concat()).exits(1).says(&[lost]);
    sandbox.assert_equal();
    for args in [&["status"][..], &["history"], &["--version"], &["push", "--help"]] {
        piped(full, args).exits(1).says(&[lost]);
    }
    sandbox.put("a.jpg", "theirs");
    sandbox.remove("b.jpg");
    sandbox.write("c.jpg", "c");
    // What the run itself says is milder than what was lost.
    piped(full, &[&push[..], &["-v"]].concat()).exits(1).says(&[lost, "conflict: a.jpg"]);
    sandbox.write("d.jpg", "d");
    // The reader is gone before the first line; the run goes on to its end.
    let closed = "exec 3>&1; { \"$0\" \"$@\" -v; echo \"exit $?\" >&3; } | true";
    piped(closed, &push).exits(0).says(&["exit 3"]).never_says(lost);
    assert_eq!(sandbox.content("d.jpg"), "d");
}

#[test]
fn a_verbose_dry_run_also_names_what_is_only_recorded() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.push(&[]).exits(0);
    sandbox.set_mtime("a.jpg", std::time::SystemTime::UNIX_EPOCH);
    sandbox.push(&["-n"]).exits(0).never_says("a.jpg");
    let told = sandbox.push(&["-n", "-v"]).exits(0).says(&["touch ", "a.jpg"]).never_says("b.jpg");
    assert!(told.stdout.contains("Already equal: 1 file"), "{told:?}");
}

#[test]
fn status_counts_the_pair_and_not_the_last_run() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "bb"), ("sub/c.jpg", "c")]);
    sandbox.put("a.jpg", "a");
    let equal = |files: u64, bytes: u64| {
        let line = sandbox.run(&["status", "--json"]).exits(0).line("status");
        assert_eq!((&line["files"], &line["bytes"]), (&files.into(), &bytes.into()), "{line}");
    };
    sandbox.push(&["--only", "a.jpg"]).exits(0);
    equal(1, 1);
    sandbox.push(&[]).exits(0);
    equal(3, 4);
    sandbox.push(&["--only", "sub"]).exits(0);
    equal(3, 4);
    sandbox.run(&["status"]).exits(0).says(&["synced so far: 3 files, 4 B", "; nothing changed"]);
}

/// A halt after a plan with `scope` was saved, which is carried out then.
fn a_halt_is_shown_until_it_is_resolved(scope: &[&str]) {
    let sandbox = Sandbox::with(&[("sub/c.jpg", "c"), ("a.jpg", "a"), ("b.jpg", "b")]);
    sandbox.push(&["--delete"]).exits(0);
    let saved = sandbox.path("work/plan");
    let saved = saved.to_str().unwrap();
    sandbox.write("sub/c.jpg", "edited");
    sandbox.push(&[&["--save-plan", saved], scope].concat()).exits(0);
    for name in ["a.jpg", "b.jpg"] {
        sandbox.remove(name);
    }
    let halted = sandbox.push(&["--delete", "--max-delete", "1"]).exits(4);
    let still = |then: &str| {
        sandbox.run(&["status"]).exits(4).says(&["halted: ", "mediasync approve ", "then, of a part: ", then]);
        let line = sandbox.run(&["status", "--json"]).exits(4).line("status");
        assert_eq!((&line["state"], &line["whole_run"]["ending"]), (&"halted".into(), &"halted".into()), "{line}");
        assert_eq!(line["run"]["ending"], "finished", "{line}");
    };
    sandbox.run(&["apply", saved]).exits(0);
    still(", apply, ");
    sandbox.push(&["--delete", "--only", "sub"]).exits(0);
    still(", push, ");
    let words = halted.way_out();
    // It finds done what the other two did, and does the rest.
    sandbox.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    sandbox.run(&["status"]).exits(0).never_says("halted").never_says("of a part");
    assert!(!sandbox.remote().contains_key("b.jpg"));
}

#[test]
fn a_run_over_a_part_does_not_hide_a_halt() {
    a_halt_is_shown_until_it_is_resolved(&["--only", "sub"]);
}

#[test]
fn a_plan_from_before_a_halt_does_not_hide_it() {
    a_halt_is_shown_until_it_is_resolved(&[]);
}

#[test]
fn a_pair_that_failed_can_be_forgotten_and_another_one_stays() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.push(&[]).exits(0);
    let media = sandbox.path("media");
    let missing = format!("{}-missing", media.display());
    let copy = format!("{}-copy", media.display());
    fs::create_dir(&missing).unwrap();
    sandbox.run(&["mirror", &missing, &copy]).exits(0);
    fs::remove_dir(&missing).unwrap();
    sandbox.run(&["mirror", &missing, &copy]).exits(1);
    let told = sandbox.run(&["status"]).exits(3);
    let at = told.stdout.find("mediasync forget ").unwrap_or_else(|| panic!("no way out: {told:?}"));
    let words: Vec<&str> = told.stdout[at..].split_whitespace().skip(1).take(2).collect();
    sandbox.run(&words).exits(0);
    sandbox.run(&["status"]).exits(0).never_says("missing");
    sandbox.run(&words).exits(2).says(&["no job and no pair"]);
    let pair = sandbox.run(&["status", "--json"]).line("status")["pair"].as_str().unwrap().to_owned();
    sandbox.run(&["forget", &pair]).exits(0);
    let again = sandbox.push(&["--delete", "--json"]).exits(0).line("summary");
    assert_eq!((&again["done"]["creates"], &again["done"]["deletes"]), (&0.into(), &0.into()), "{again}");
    sandbox.assert_equal();
}

#[test]
fn a_typing_mistake_leaves_nothing_in_status() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.push(&[]).exits(0);
    let media = sandbox.path("media");
    let missing = format!("{}-missing", media.display());
    sandbox.run(&["mirror", &missing, sandbox.path("home").to_str().unwrap()]).exits(1);
    sandbox.run(&["push", media.to_str().unwrap(), "s3://b/x?endpoint=http://127.0.0.1:1&access_key=a&secret_key=b"]);
    sandbox.push(&["--only", "nosuch"]).exits(2);
    sandbox.run(&["status"]).exits(0).says(&["in sync"]).never_says("missing").never_says("s3://b/x");
    assert_eq!(sandbox.run(&["history", "--json"]).exits(0).stdout.lines().count(), 1);
}

#[test]
fn status_tells_stale_and_halted_jobs_by_its_exit_code() {
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    with_config(&sandbox, JOBS, &["sync"]).exits(0);
    sandbox.run(&["status"]).exits(0);
    sandbox.put("a.jpg", "theirs");
    sandbox.run(&["sync"]).exits(3);
    sandbox.run(&["status"]).exits(3);
    sandbox.remove("a.jpg");
    sandbox.remove("b.jpg");
    let halted = sandbox.run(&["sync"]).exits(4).says(&["mediasync approve media "]);
    sandbox.run(&["status"]).exits(4);
    let words = halted.way_out();
    sandbox.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!sandbox.remote().contains_key("b.jpg"));
}

#[test]
fn a_remote_that_asks_for_confirmation_is_not_changed_without_a_yes() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let media = sandbox.path("media");
    let push = ["push", media.to_str().unwrap(), "live:"];
    let config = |access: &str| format!("[remote.live]\ndsn = \"env:DEFAULT_STORAGE_DSN\"\naccess = \"{access}\"\n");
    with_config(&sandbox, &config("confirm"), &push).exits(2).says(&["--yes"]);
    sandbox.push(&[]).exits(2).says(&["remote.live"]);
    let ran = with_config(&sandbox, &config("read-only"), &[push[0], push[1], push[2], "--yes"]);
    assert!(matches!(ran.code, 1 | 2), "{ran:?}");
    sandbox.assert_changes(&[]);
    with_config(&sandbox, &config("confirm"), &[push[0], push[1], push[2], "--yes"]).exits(0);
    sandbox.assert_equal();
    // A run that changes nothing needs no yes, and the next one that would does.
    with_config(&sandbox, &config("confirm"), &push).exits(0);
    sandbox.server.clear_log();
    sandbox.write("b.jpg", "b");
    with_config(&sandbox, &config("confirm"), &push).exits(2).says(&["nothing was changed", "--yes"]);
    sandbox.assert_changes(&[]);
}

#[test]
fn mistakes_on_the_command_line_exit_2_with_what_to_type() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    let media = sandbox.path("media");
    let media = media.to_str().unwrap();
    let file = format!("{media}/a.jpg");
    for (args, says) in [
        (&["push"][..], "target"),
        (&["push", media][..], "target"),
        (&["sync", media, REMOTE][..], "mediasync push"),
        (&["push", &file, REMOTE][..], "a.jpg"),
        (&["push", media, "nowhere:x"][..], "nowhere"),
        (&["push", media, REMOTE, "--bwlimit", "2"][..], "2MiB"),
        (&["push", media, REMOTE, "--exclude", "["][..], "["),
        (&["push", media, REMOTE, "--exclude", "**"][..], "leave out all"),
        (&["mirror", media, media][..], "same"),
        (&["pusch"][..], "push"),
    ] {
        sandbox.run(args).exits(2).says(&[says]);
    }
    sandbox.run(&["--help"]).exits(0).says(&["Exit status"]);
    sandbox.assert_changes(&[]);
}

#[test]
fn what_was_nearly_right_is_told_with_its_right_spelling() {
    let mut sandbox = Sandbox::with(&[("a.jpg", "a")]);
    sandbox.env("SITE", &sandbox.dsn("acl=private"));
    let media = sandbox.path("media");
    let media = media.to_str().unwrap();
    let plan = ["push", media, "bucket/x", "--save-plan", "plan"];
    let nowhere = ["looked for ", "/work/mediasync.toml", "mediasync init makes one"];
    for (args, says) in [
        (&["push", media, "bucket/photos"][..], &["`s3://bucket/photos` or `./bucket/photos`?"][..]),
        (&plan[..], &["`s3://bucket/x` or `./bucket/x`?"]),
        (&["mirror", "bucket/photos", media], &["`s3://bucket/photos` or"]),
        (&["pull", "s3//bucket/photos", media], &["`s3://bucket/photos` or"]),
        (&["verify", media, "bucket/photos"], &["`s3://bucket/photos` or"]),
        (&["push", media, "s3:/bucket/x"], &["hint: a bucket or container is written s3://bucket/x"]),
        (&["push", media, "S3:bucket"], &["is written s3://bucket"]),
        (&["ls", "az:/account/x"], &["is written az://account/x"]),
        (&["push", media, "s3:/KEY:CANARY@bucket/x"], &["is written s3://..."]),
        (&["dsn", "show", "SITE"], &["`env:SITE` or `./SITE`?"]),
        (&["remote", "env", "SITE", "true"], &["`env:SITE` or `./SITE`?"]),
        (&["ls", "SITE"], &["`env:SITE`"]),
        (&["doctor", "SITE"], &["`env:SITE`"]),
        (&["trash", "list", "SITE"], &["`env:SITE`"]),
        (&["sync", "nightly"], &nowhere),
        (&["verify", "nightly"], &nowhere),
        (&["doctor", "nightly"], &nowhere),
        (&["trash", "list", "nightly"], &nowhere),
        (&["service", "print", "nightly"], &nowhere),
        (
            &["config", "check", "--config", "nope.toml"],
            &["can't read the configuration ", "work/nope.toml: No such file"],
        ),
        (
            &["config", "show", "--config", "nope.toml"],
            &["can't read the configuration ", "work/nope.toml: No such file"],
        ),
    ] {
        sandbox.run(args).exits(2).says(says).never_says("CANARY").never_says("known are \n");
    }
    sandbox.run(&["ls", "bucket/x"]).exits(1).says(&["nothing is at ", "a bucket is written s3://bucket/x"]);
    // What is there is meant.
    fs::create_dir_all(sandbox.path("work/bucket/photos")).unwrap();
    sandbox.run(&["push", media, "bucket/photos"]).exits(0);
    sandbox.run(&["push", media, "bucket/new"]).exits(0).never_says("s3://");
    sandbox.assert_changes(&[]);
}

#[test]
fn a_plan_that_is_saved_is_a_dry_run_whether_somebody_says_so_or_not() {
    let sandbox = Sandbox::with(&[("a.jpg", "a")]);
    for more in [&["--save-plan", "one"][..], &["-n", "--save-plan", "two"]] {
        sandbox.push(more).exits(0).says(&["push, nothing is changed", "a.jpg", "plan written; mediasync apply"]);
    }
    sandbox.assert_changes(&[]);
    sandbox.run(&["apply", "two"]).exits(0);
    sandbox.assert_equal();
}

const CANARIES: [&str; 4] = ["CANARYsecretINdsn", "CANARYinCONFIG", "CANARYinENVIRONMENT", "CANARYtokenVALUE"];

#[test]
fn secrets_appear_in_no_output_and_in_no_file() {
    let mut sandbox = Sandbox::with(&[("a.jpg", "a"), ("b.jpg", "b")]);
    let [in_dsn, in_config, in_env, token] = CANARIES;
    let endpoint = sandbox.server.endpoint();
    sandbox.env("AWS_ACCESS_KEY_ID", "AKIDENV");
    sandbox.env("AWS_SECRET_ACCESS_KEY", in_env);
    sandbox.env("AWS_SESSION_TOKEN", token);
    sandbox.env("CANARY_DSN", &format!("s3://AKID:{in_dsn}@media/site?endpoint={endpoint}"));
    sandbox.env("BROKEN_DSN", &format!("s3://AKID:{in_dsn}@media/si?te?endpoint={endpoint}@x"));
    sandbox.env("RUST_LOG", "trace");
    let config = format!(
        "[remote.keys]\nurl = \"s3://media/site\"\nendpoint = \"{endpoint}\"\naccess_key = \"AKIDCONF\"\nsecret_key = \
         \"{in_config}\"\n[remote.chain]\nurl = \"s3://media/site\"\nendpoint = \"{endpoint}\"\n[remote.inline]\ndsn = \
         \"s3://AKID:{in_config}@media/site?endpoint={endpoint}\"\n"
    );
    fs::write(sandbox.path("work/mediasync.toml"), config).unwrap();
    let media = sandbox.path("media");
    let media = media.to_str().unwrap().to_owned();
    let typed = format!("s3://AKID:{in_dsn}@media/site?endpoint={endpoint}");
    let wrong = typed.replace("s3://", "s4://");
    let mut all = String::new();
    for target in ["env:CANARY_DSN", "env:BROKEN_DSN", "keys:", "chain:", "inline:", REMOTE, &typed, &wrong] {
        for more in [&["-vvvv"][..], &["-vvvv", "--json"], &["-vvvv", "-n"]] {
            let args: Vec<&str> = ["push", &media, target].into_iter().chain(more.iter().copied()).collect();
            all += &sandbox.run(&args).all();
        }
    }
    for args in
        [&["sync", &typed][..], &["push", &typed, REMOTE], &["approve", &typed, "00"], &["push", &typed, &typed]]
    {
        all += &sandbox.run(args).all();
    }
    sandbox.write("a.jpg", "theirs is another");
    sandbox.put("a.jpg", "theirs");
    for args in [&["push", &media, REMOTE, "-vvvv"][..], &["status", "-vvvv"], &["history", "-vvvv", "--json"]] {
        all += &sandbox.run(args).all();
    }
    let server_secret = "only/this/server";
    for secret in CANARIES.into_iter().chain([server_secret, "only%2Fthis%2Fserver"]) {
        assert!(!all.contains(secret), "{secret} in the output:\n{all}");
        for file in sandbox.files("state").into_iter().chain(sandbox.files("home")) {
            let content = fs::read(&file).unwrap();
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} in {}", file.display());
        }
        for key in sandbox.bucket.keys() {
            assert!(!String::from_utf8_lossy(&sandbox.bucket.content(&key)).contains(secret), "{secret} in {key}");
        }
    }
    // The runs did come as far as they should: the one with the right key worked.
    assert!(all.contains("SignatureDoesNotMatch") || all.contains("InvalidAccessKeyId"), "{all}");
    assert!(all.contains("conflict: a.jpg"), "{all}");
    assert!(!all.contains("WARN"), "a warning of another crate: {all}");
}

#[test]
fn progress_and_first_lines_go_to_stderr_and_data_to_stdout() {
    let sandbox = Sandbox::new();
    sandbox.write("a.bin", bytes(1, 3_000));
    let ran = sandbox.push(&["-n"]).exits(0);
    assert!(ran.stdout.contains("a.bin") && ran.stdout.contains("2.9 KiB"), "{ran:?}");
    assert!(ran.stderr.starts_with("push, nothing is changed: from "), "{ran:?}");
    let ran = sandbox.push(&["-q"]).exits(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
}
