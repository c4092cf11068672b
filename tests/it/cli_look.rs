//! `ls` and `url` through the program: what is shown, what is asked for it, and that URLs can be fetched.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::fetch::fetch;
use crate::support::s3::{Acls, Effect, Faults, ListingOrder, Rule, Support};
use crate::support::sandbox::{REMOTE, Sandbox};

/// A bucket with folders, odd names and what belongs to mediasync.
fn filled() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, content) in
        [("a.jpg", "aaa"), ("b/1.jpg", "1"), ("b/c/2.jpg", "22"), ("b-side.jpg", "s"), ("ü \u{1b}[31m.jpg", "odd")]
    {
        sandbox.put(name, content);
    }
    sandbox.put(".mediasync/id", "x");
    sandbox
}

#[test]
fn a_level_shows_files_and_folders_and_the_rest_is_asked_for() {
    let sandbox = filled();
    let ran = sandbox.run(&["ls", REMOTE]).exits(0).says(&["3 files (7 B), 1 folder"]);
    assert_eq!(ran.stdout, "a.jpg\nb-side.jpg\nb/\nü \\u{1b}[31m.jpg\n");
    let below = format!("{REMOTE}/b");
    assert_eq!(sandbox.run(&["ls", &below]).exits(0).stdout, "1.jpg\nc/\n");
    assert_eq!(sandbox.run(&["ls", &format!("{below}/")]).exits(0).stdout, "1.jpg\nc/\n");
    assert_eq!(sandbox.run(&["ls", "-r", &below]).exits(0).stdout, "1.jpg\nc/2.jpg\n");
    assert!(sandbox.run(&["ls", "-a", REMOTE]).exits(0).stdout.starts_with(".mediasync/\na.jpg\n"));
    let all = sandbox.run(&["ls", "-r", "--all", REMOTE]).exits(0);
    assert!(all.stdout.starts_with(".mediasync/id\na.jpg\nb-side.jpg\nb/1.jpg\n"), "{all:?}");
    let long = sandbox.run(&["ls", "-l", &below]).exits(0);
    assert!(long.stdout.lines().next().unwrap().ends_with("         1 B  1.jpg"), "{long:?}");
    // Whatever is looked at, only listings were asked for.
    let asked: Vec<String> = sandbox.server.requests().iter().map(|entry| entry.call.operation.to_owned()).collect();
    assert!(asked.iter().all(|operation| operation == "ListObjectsV2"), "{asked:?}");

    let lines = sandbox.run(&["ls", "--json", REMOTE]).exits(0).json();
    assert_eq!(
        (&lines[0]["type"], &lines[0]["kind"], &lines[0]["key"]),
        (&"entry".into(), &"file".into(), &"a.jpg".into())
    );
    assert_eq!((&lines[0]["v"], &lines[0]["size"]), (&1.into(), &3.into()));
    assert!(lines[0]["modified"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&lines[2]["kind"], &lines[2]["key"]), (&"folder".into(), &"b/".into()));
    assert_eq!(lines[3]["key"], "ü \u{1b}[31m.jpg");
    let end = lines.last().unwrap();
    assert_eq!(
        (&end["type"], &end["files"], &end["folders"], &end["bytes"]),
        (&"listed".into(), &3.into(), &1.into(), &7.into())
    );
}

#[test]
fn a_folder_with_many_objects_is_one_line_and_one_request() {
    for list_v2 in [Support::Present, Support::Missing] {
        let sandbox = Sandbox::new();
        sandbox.server.quirks(|quirks| quirks.list_v2 = list_v2);
        for n in 0..2_500 {
            sandbox.put(&format!("big/{n}.jpg"), "x");
        }
        for n in 0..1_100 {
            sandbox.put(&format!("many/{n:04}/x.jpg"), "x");
        }
        sandbox.server.clear_log();
        assert_eq!(sandbox.run(&["ls", REMOTE]).exits(0).stdout, "big/\nmany/\n");
        let requests = sandbox.server.requests().iter().filter(|entry| entry.status == Some(200)).count();
        assert_eq!(requests, 1, "{list_v2:?}");
        // More folders than a page has.
        let ran = sandbox.run(&["ls", &format!("{REMOTE}/many")]).exits(0).says(&["1,100 folders"]);
        assert_eq!((ran.stdout.lines().count(), ran.stdout.lines().last()), (1_100, Some("1099/")));
        let ran = sandbox.run(&["ls", "-r", &format!("{REMOTE}/big")]).exits(0).says(&["2,500 files"]);
        assert_eq!(ran.stdout.lines().count(), 2_500);
    }
}

#[test]
fn a_large_trash_is_passed_over_and_not_read() {
    for list_v2 in [Support::Present, Support::Missing] {
        let sandbox = filled();
        sandbox.server.quirks(|quirks| quirks.list_v2 = list_v2);
        for n in 0..5_500 {
            sandbox.put(&format!(".mediasync/trash/20261122T194503Z-3f2a91c4/{n:04}.jpg"), "x");
        }
        for n in 0..3_000 {
            sandbox.put(&format!("below/.mediasync/trash/20261122T194503Z-3f2a91c4/{n:04}.jpg"), "x");
        }
        let listings = |args: &[&str]| {
            sandbox.server.clear_log();
            let ran = sandbox.run(args).exits(0);
            (ran.stdout, sandbox.server.requests().iter().filter(|entry| entry.status == Some(200)).count())
        };
        let all = "a.jpg\nb-side.jpg\nb/1.jpg\nb/c/2.jpg\nü \\u{1b}[31m.jpg\n";
        // One page of each trash, and the end.
        assert_eq!(listings(&["ls", "-r", REMOTE]), (all.to_owned(), 3), "{list_v2:?}");
        assert_eq!(listings(&["ls", "-r", &format!("{REMOTE}/b")]).1, 1);
        assert_eq!(listings(&["ls", REMOTE]).1, 1);
        let (shown, requests) = listings(&["ls", "-r", "--all", REMOTE]);
        assert_eq!((shown.lines().count(), requests), (8_506, 9));
    }
}

#[test]
fn a_server_that_begins_anew_or_lists_in_no_order_shows_everything_once() {
    let sandbox = filled();
    for n in 0..1_500 {
        sandbox.put(&format!(".mediasync/trash/20261122T194503Z-3f2a91c4/{n:04}.jpg"), "x");
    }
    let expected = sandbox.run(&["ls", "-r", REMOTE]).exits(0).stdout;
    for quirk in [true, false] {
        sandbox.server.quirks(|quirks| {
            quirks.start_after = if quirk { Support::Missing } else { Support::Present };
            quirks.listing_order = if quirk { ListingOrder::Bytes } else { ListingOrder::Components };
        });
        let told = sandbox.run(&["ls", "-r", REMOTE]).exits(0).stdout;
        let (mut told, mut expected): (Vec<&str>, Vec<&str>) = (told.lines().collect(), expected.lines().collect());
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "{quirk}");
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let sandbox = filled();
    for args in [&["ls", REMOTE] as &[&str], &["ls", "-r", REMOTE], &["ls", "env:DEFAULT_STORAGE_DSN/a.jpg"]] {
        let busy = Rule::new("*", Effect::Status(503, "SlowDown")).times(1);
        sandbox.server.faults(|faults| faults.add(busy));
        sandbox.run(args).exits(0);
        sandbox.server.faults(|faults| {
            assert_eq!(faults.fired(), 1, "{args:?}");
            *faults = Faults::default();
        });
    }
}

#[test]
fn odd_names_are_shown_harmlessly_and_told_exactly() {
    let sandbox = Sandbox::new();
    let names =
        ["a//b.jpg", "a/", "both", "both/1.jpg", "marker/", "line\nbreak.jpg", "tab\there", "/root.jpg", "q'\"\\.jpg"];
    for name in names {
        sandbox.put(name, if name.ends_with('/') { "" } else { "x" });
    }
    let keys = |args: &[&str]| -> Vec<String> {
        let ran = sandbox.run(args).exits(0);
        let lines = ran.json().into_iter().filter(|line| line["type"] == "entry");
        lines.map(|line| line["key"].as_str().unwrap().to_owned()).collect()
    };
    let level = keys(&["ls", "--json", REMOTE]);
    assert_eq!(level, ["/", "a/", "both", "both/", "line\nbreak.jpg", "marker/", "q'\"\\.jpg", "tab\there"]);
    let all = keys(&["ls", "-r", "--json", REMOTE]);
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(all, sorted);
    assert_eq!(keys(&["ls", "--json", &format!("{REMOTE}/a")]), ["/"]);
    // What stands in a line is one line, and no sign reaches the terminal.
    let ran = sandbox.run(&["ls", "-r", REMOTE]).exits(0);
    assert_eq!(ran.stdout.lines().count(), names.len(), "{ran:?}");
    assert!(ran.stdout.contains("line\\u{a}break.jpg\n") && !ran.stdout.contains('\t'), "{ran:?}");
    // A name that is a file and a folder: the folder is shown, and the level above has both.
    assert_eq!(keys(&["ls", "--json", &format!("{REMOTE}/both")]), ["1.jpg"]);
}

#[test]
fn one_file_is_shown_and_what_is_not_there_is_told_with_its_neighbours() {
    let sandbox = filled();
    assert_eq!(sandbox.run(&["ls", &format!("{REMOTE}/b/1.jpg")]).exits(0).stdout, "1.jpg\n");
    let line = sandbox.run(&["ls", "--json", &format!("{REMOTE}/a.jpg")]).exits(0).line("entry");
    assert_eq!((&line["key"], &line["size"]), (&"a.jpg".into(), &3.into()));
    let ran = sandbox.run(&["ls", &format!("{REMOTE}/b-sode.jpg")]).exits(1);
    ran.says(&["error: nothing is at s3://media/site/b-sode.jpg", "in s3://media/site there are b-side.jpg"]);
    let ran = sandbox.run(&["ls", &format!("{REMOTE}/zzz")]).exits(1);
    ran.says(&["there are a.jpg, b-side.jpg, b/"]).never_says(".mediasync");
    let failed = sandbox.run(&["ls", "--json", &format!("{REMOTE}/zzz")]).exits(1).line("error");
    assert_eq!(failed["exit"], 1);
    sandbox.run(&["ls", "s3://nobody"]).exits(1);
    let nowhere = sandbox.path("work/nowhere");
    sandbox.run(&["ls", nowhere.to_str().unwrap()]).exits(1).says(&["nothing is at "]);
}

#[test]
fn an_empty_place_is_no_mistake() {
    let sandbox = Sandbox::new();
    let media = sandbox.path("media");
    let ran = sandbox.run(&["ls", media.to_str().unwrap()]).exits(0);
    assert_eq!(ran.stdout, "");
    let whole = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint())).replace("/site?", "?");
    assert_eq!(sandbox.run(&["ls", &whole]).exits(0).stdout, "");
}

#[test]
fn a_directory_is_shown_with_what_is_no_file() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = Sandbox::with(&[("a.jpg", "a"), ("b/c/d.jpg", "d"), ("b.txt", "b")]);
    symlink("a.jpg", sandbox.media("link")).unwrap();
    symlink(sandbox.path("media"), sandbox.media("loop")).unwrap();
    fs::write(sandbox.media("b").join(std::ffi::OsStr::from_bytes(b"\xff.jpg")), "x").unwrap();
    let media = sandbox.path("media");
    let media = media.to_str().unwrap();
    let ran = sandbox.run(&["ls", media]).exits(0);
    assert_eq!(ran.stdout, "a.jpg\nb.txt\nb/\nlink (symbolic link)\nloop (symbolic link)\n");
    let ran = sandbox.run(&["ls", "-r", media]).exits(0).says(&["3 files (3 B), 3 others"]);
    assert!(ran.stdout.contains("b/c/d.jpg\n") && ran.stdout.contains("(its name is not UTF-8)"), "{ran:?}");
    assert_eq!(sandbox.run(&["ls", &format!("{media}/b/c/d.jpg")]).exits(0).stdout, "d.jpg\n");
    sandbox.run(&["ls", &format!("{media}/b/c/e.jpg")]).exits(1).says(&["there are d.jpg"]);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let sandbox = Sandbox::new();
    for n in 0..3_000 {
        sandbox.put(&format!("a-name-that-fills-the-pipe-{n:060}.jpg"), "x");
    }
    let program = env!("CARGO_BIN_EXE_mediasync");
    let line = format!(
        "{program} ls -r {REMOTE} --state-dir {} | head -n 1; echo ${{PIPESTATUS[0]}}",
        sandbox.path("state").display()
    );
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &line]).env_clear().stdin(Stdio::null());
    command.env("DEFAULT_STORAGE_DSN", sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint())));
    command.env("PATH", "/usr/bin:/bin").env("HOME", sandbox.path("home"));
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!((told.lines().count(), told.lines().last()), (2, Some("0")), "{told}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("error"), "{output:?}");
}

#[test]
fn a_file_is_no_folder_and_the_hints_fit_the_command() {
    let sandbox = Sandbox::with(&[("x.txt", "x")]);
    let file = sandbox.media("x.txt").display().to_string();
    let ran =
        sandbox.run(&["ls", &format!("{file}/")]).exits(2).says(&["leave away what follows the name of the file"]);
    ran.never_says("--only");
    let ran = sandbox.run(&["pull", REMOTE, &file]).exits(2).says(&["mediasync cp REMOTE_FILE ./", "is a file"]);
    assert!(sandbox.server.requests().is_empty(), "{ran:?}");
}

#[test]
fn the_url_is_that_of_the_domain_or_of_the_service() {
    let mut sandbox = Sandbox::new();
    let endpoint = sandbox.server.endpoint();
    let url = |sandbox: &Sandbox, text: &str| sandbox.run(&["url", text]).exits(0).stdout.trim_end().to_owned();
    let key = format!("{REMOTE}/b c/ü+%.jpg");
    assert_eq!(url(&sandbox, &key), format!("{endpoint}/media/site/b%20c/%C3%BC%2B%25.jpg"));
    sandbox.put("b c/ü+%.jpg", "there");
    let dsn = sandbox.dsn(&format!("endpoint={endpoint}&domain=cdn.example.org"));
    sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
    assert_eq!(url(&sandbox, &key), "https://cdn.example.org/site/b%20c/%C3%BC%2B%25.jpg");
    assert!(sandbox.server.requests().is_empty(), "nothing is asked");
    let ran = sandbox.run(&["url", &format!("{REMOTE}/none.jpg"), "--check"]).exits(1).says(&["nothing is at"]);
    assert_eq!(ran.stdout, "");
    let media = sandbox.media("a b.jpg");
    assert!(url(&sandbox, media.to_str().unwrap()).ends_with("/media/a%20b.jpg"));
    for folder in [format!("{REMOTE}/b c/"), sandbox.media("").display().to_string()] {
        sandbox.run(&["url", &folder]).exits(2).says(&["is a folder, and only files have URLs"]);
    }
    sandbox.run(&["url", &format!("{REMOTE}/b c"), "--check"]).exits(2).says(&["b c is a folder"]);
    let named = "[remote.live]\ndsn = \"env:DEFAULT_STORAGE_DSN\"\n";
    fs::write(sandbox.path("work/mediasync.toml"), named).unwrap();
    for place in ["s3://media", "live:", REMOTE] {
        for more in [&[][..], &["--sign", "1h"], &["--check"]] {
            let ran = sandbox.run(&[&["url", place], more].concat()).exits(2).says(&["is a whole place and no file"]);
            assert_eq!(ran.stdout, "", "{place} {more:?}");
        }
    }
    let private = sandbox.dsn(&format!("endpoint={endpoint}&acl="));
    sandbox.env("DEFAULT_STORAGE_DSN", &private);
    sandbox.run(&["url", &key]).exits(0).says(&["whether everybody may read it is up to the service"]);
}

#[test]
fn a_url_is_checked_as_everybody_would_ask_for_it() {
    let mut sandbox = Sandbox::with(&[("b c/ü+%.jpg", "there")]);
    let key = format!("{REMOTE}/b c/ü+%.jpg");
    let check = |sandbox: &Sandbox, more: &[&str]| sandbox.run(&[&["url", "--check", &key], more].concat());
    sandbox.push(&["--acl", "private"]).exits(0);
    let refused = check(&sandbox, &[]).exits(1).says(&[
        "not everybody can read it: http://",
        "answers with 403",
        "mediasync acl set public-read '",
    ]);
    assert_eq!(refused.stdout, "");
    check(&sandbox, &["--sign", "1h"]).exits(0);
    sandbox.run(&["acl", "set", "public-read", &key]).exits(0);
    let ran = check(&sandbox, &[]).exits(0).never_says("whether everybody");
    assert_eq!(fetch(ran.stdout.trim_end()), (200, b"there".to_vec()));
    let asked = sandbox.server.requests();
    let head = asked.iter().rfind(|one| one.call.operation == "HeadObject").unwrap();
    assert!(!head.headers.contains_key("authorization") && !head.headers.contains_key("x-amz-date"), "{head:?}");
    // A domain that leads elsewhere.
    let endpoint = sandbox.server.endpoint();
    for (domain, says) in [
        (&*format!("url={endpoint}/media/other"), "answers with 40"),
        ("domain=cdn.invalid", "names a host that is not known"),
        ("url=http://127.0.0.1:9", "refuses connections"),
    ] {
        let dsn = sandbox.dsn(&format!("endpoint={endpoint}&{domain}"));
        sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        check(&sandbox, &[]).exits(1).says(&["the file is there, but not everybody can read it", says]);
    }
}

#[test]
fn the_check_of_a_url_names_the_policy_where_acls_do_nothing() {
    let sandbox = Sandbox::with(&[("a.jpg", "there")]);
    let key = format!("{REMOTE}/a.jpg");
    sandbox.server.quirks(|quirks| quirks.acls = Acls::Unheard);
    let check = || sandbox.run(&["url", "--check", &key]).exits(1);
    sandbox.push(&["--acl", "private"]).exits(0);
    check().says(&["acl set public-read", "where the server does nothing with ACLs, the bucket's policy"]);
    sandbox.write("b.jpg", "new");
    sandbox.push(&["--acl", "public-read"]).exits(0);
    check().says(&["ignores the ACLs of uploads", "bucket's policy"]).never_says("acl set public-read");
}

#[test]
fn a_signed_url_is_fetched_until_it_ends_and_for_nothing_else() {
    let mut sandbox = Sandbox::new();
    let private = sandbox.dsn(&format!("endpoint={}&acl=", sandbox.server.endpoint()));
    sandbox.env("DEFAULT_STORAGE_DSN", &private);
    sandbox.put("b c/ü+%.jpg", "the content");
    sandbox.put("other.jpg", "another");
    let ran = sandbox.run(&["url", "--sign", "1h", &format!("{REMOTE}/b c/ü+%.jpg")]).exits(0);
    let url = ran.stdout.trim_end();
    assert_eq!(fetch(url), (200, b"the content".to_vec()));
    assert_eq!(fetch(url.split('?').next().unwrap()).0, 403, "not without the signature");
    assert_eq!(fetch(&url.replace("b%20c/%C3%BC%2B%25.jpg", "other.jpg")).0, 403);
    assert!(!ran.all().contains(sandbox.server.secret_key()));

    let ran = sandbox.run(&["url", "--sign", "1s", &format!("{REMOTE}/other.jpg")]).exits(0);
    std::thread::sleep(Duration::from_millis(2_100));
    assert_eq!(fetch(ran.stdout.trim_end()).0, 403, "it has ended");
    sandbox.run(&["url", "--sign", "8d", &format!("{REMOTE}/a.jpg")]).exits(2).says(&["7 days at most", "--sign 7d"]);
    sandbox.run(&["url", "--sign", "1h", "./a.jpg"]).exits(2).says(&["a file of this machine"]);
    assert!(sandbox.server.requests().iter().all(|entry| entry.call.operation == "GetObject"), "no other was asked");
}
