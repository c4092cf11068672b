//! `acl get` and `acl set`.

use std::fs;

use serde_json::json;

use crate::support::s3::{Acls, Effect, Faults, Rule};
use crate::support::sandbox::{Ran, Sandbox};

/// A sandbox with a remote `live:`, four objects, and one of our own.
fn site() -> Sandbox {
    let sandbox = Sandbox::new();
    remote(&sandbox, "write");
    for name in
        ["a.jpg", "photos/b.jpg", "photos/c.jpg", "photos/d/e.jpg", ".mediasync/own", ".mediasync/trash/r/a.jpg"]
    {
        sandbox.put(name, name);
    }
    sandbox
}

fn remote(sandbox: &Sandbox, access: &str) {
    let text = format!("[remote.live]\ndsn = \"env:DEFAULT_STORAGE_DSN\"\naccess = \"{access}\"\n");
    fs::write(sandbox.path("work/mediasync.toml"), text).unwrap();
}

fn acl(sandbox: &Sandbox, args: &[&str]) -> Ran {
    sandbox.run(&[&["acl"], args].concat())
}

/// The ACL of each object, by its name.
fn held(sandbox: &Sandbox) -> Vec<(String, String)> {
    let keys = sandbox.bucket.keys().into_iter();
    keys.map(|key| {
        let acl = sandbox.bucket.get(&key).unwrap().acl.name;
        (key.strip_prefix("site/").unwrap().to_owned(), acl)
    })
    .collect()
}

fn public(sandbox: &Sandbox) -> Vec<String> {
    held(sandbox).into_iter().filter(|(_, acl)| acl == "public-read").map(|(key, _)| key).collect()
}

#[test]
fn one_object_is_made_public_and_shown_and_nothing_is_sent_again() {
    let sandbox = site();
    acl(&sandbox, &["get", "live:photos/b.jpg"]).exits(0).says(&[
        "s3://media/site/photos/b.jpg: private",
        "full-control",
        "owner",
    ]);
    sandbox.server.clear_log();
    acl(&sandbox, &["set", "public-read", "live:photos/b.jpg"]).exits(0).says(&["Set public-read on 1 object."]);
    assert_eq!(public(&sandbox), ["photos/b.jpg"]);
    sandbox.assert_changes(&["PutObjectAcl site/photos/b.jpg"]);
    acl(&sandbox, &["get", "live:photos/b.jpg"]).exits(0).says(&["b.jpg: public-read", "read          everybody"]);
    sandbox.server.clear_log();
    acl(&sandbox, &["set", "public-read", "live:photos/b.jpg"])
        .exits(0)
        .says(&["Nothing to do; 1 object has it already."]);
    sandbox.assert_changes(&[]);
}

#[test]
fn all_below_a_place_gets_it_but_nothing_of_ours_and_what_has_it_is_left_alone() {
    let sandbox = site();
    acl(&sandbox, &["set", "public-read", "live:photos/c.jpg"]).exits(0);
    sandbox.server.clear_log();
    let ran = acl(&sandbox, &["set", "public-read", "-r", "-n", "live:"]).exits(0);
    ran.says(&["all objects below s3://media/site", "Would set public-read on 3 objects; 1 object has it already."])
        .says(&["set public-read  photos/d/e.jpg"])
        .never_says(".mediasync");
    sandbox.assert_changes(&[]);
    let ran = acl(&sandbox, &["set", "public-read", "-r", "live:"]).exits(0);
    ran.says(&["Set public-read on 3 objects; 1 object has it already."]).never_says("photos/d/e.jpg");
    sandbox.assert_changes(&[
        "PutObjectAcl site/a.jpg",
        "PutObjectAcl site/photos/b.jpg",
        "PutObjectAcl site/photos/d/e.jpg",
    ]);
    assert_eq!(public(&sandbox), ["a.jpg", "photos/b.jpg", "photos/c.jpg", "photos/d/e.jpg"]);
    for command in [&["get", "-r", "live:fotos"][..], &["set", "private", "-r", "live:fotos"]] {
        let ran = acl(&sandbox, command).exits(1);
        ran.says(&["nothing is below s3://media/site/fotos: check the spelling"]).never_says("0 objects");
        let lines = acl(&sandbox, &[command, &["--json"]].concat()).exits(1).json();
        let types: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!((types, &lines[0]["exit"]), (vec!["error"], &json!(1)));
    }
    acl(&sandbox, &["set", "private", "-r", "live:photos"])
        .exits(0)
        .says(&["below s3://media/site/photos", "Set private on 3"]);
    assert_eq!(public(&sandbox), ["a.jpg"]);
    let ran = acl(&sandbox, &["get", "-r", "live:"]).exits(0);
    ran.says(&["public-read                a.jpg", "4 objects: 3 private, 1 public-read."]);
}

#[test]
fn a_name_is_an_object_first_and_a_place_with_r_only() {
    let sandbox = site();
    // An object, and things below the same name.
    sandbox.put("photos", "an object");
    acl(&sandbox, &["set", "public-read", "-r", "live:photos"]).exits(0).says(&["the object s3://media/site/photos"]);
    assert_eq!(public(&sandbox), ["photos"]);
    acl(&sandbox, &["set", "public-read", "-r", "live:photos/"])
        .exits(0)
        .says(&["all objects below s3://media/site/photos"]);
    assert_eq!(public(&sandbox).len(), 4);
    let places = [&["get", "live:"][..], &["set", "private", "live:"], &["get", "env:DEFAULT_STORAGE_DSN"]];
    for command in places.into_iter().chain([&["get", "live:photos/"][..], &["set", "private", "live:photos/d"]]) {
        sandbox.server.clear_log();
        let ran = acl(&sandbox, command).exits(2).says(&["is a place and no object", "-r means all objects below"]);
        ran.never_says("there is no object");
        sandbox.assert_changes(&[]);
    }
    for command in [&["get", "live:nothing"][..], &["set", "private", "live:photos/nothing"]] {
        sandbox.server.clear_log();
        acl(&sandbox, command).exits(1).says(&["there is no object s3://media/site/", "mediasync ls shows"]);
        sandbox.assert_changes(&[]);
    }
    for command in [&["get", "live:.mediasync/id"][..], &["set", "public-read", "-r", "live:.mediasync/trash"]] {
        sandbox.server.clear_log();
        acl(&sandbox, command).exits(2).says(&["mediasync's own"]);
        assert_eq!(sandbox.server.requests().len(), 0);
    }
    let media = sandbox.path("media");
    acl(&sandbox, &["get", media.to_str().unwrap()]).exits(2).says(&["is a directory"]);
}

#[test]
fn json_has_a_line_for_each_object_and_the_sums() {
    let sandbox = site();
    let lines = acl(&sandbox, &["set", "public-read", "-r", "--json", "live:photos"]).exits(0).json();
    let expected = json!({"v": 1, "type": "acl-action", "place": "s3://media/site/photos", "stage": "done", "key": "b.jpg", "acl": "public-read"});
    assert!(lines.contains(&expected), "{lines:?}");
    let expected = json!({"v": 1, "type": "acl-summary", "command": "set", "place": "s3://media/site/photos", "stage": "done",
        "acl": "public-read", "set": 3, "already": 0, "problems": 0});
    assert_eq!(lines.last(), Some(&expected));
    let lines = acl(&sandbox, &["set", "public-read", "-r", "-n", "--json", "live:"]).exits(0).json();
    assert_eq!((lines.len(), &lines[0]["stage"], &lines[1]["already"]), (2, &json!("planned"), &json!(3)));
    let line = acl(&sandbox, &["get", "--json", "live:photos/b.jpg"]).exits(0).line("acl");
    assert_eq!((&line["key"], &line["acl"], &line["public"]), (&json!("b.jpg"), &json!("public-read"), &json!(true)));
    assert_eq!(line["grants"][1], json!({"who": "everybody", "id": null, "permission": "read"}));
    let line = acl(&sandbox, &["get", "-r", "--json", "live:"]).exits(0).line("acl-summary");
    assert_eq!(line["acls"], json!({"private": 1, "public-read": 3}));
}

#[test]
fn lines_come_in_the_order_of_the_keys_however_answers_come() {
    let sandbox = site();
    let slow = Rule::new("GetObjectAcl", Effect::Delay(std::time::Duration::from_millis(300))).key("site/a.jpg");
    sandbox.server.faults(|faults| faults.add(slow));
    let ran = acl(&sandbox, &["get", "-r", "--json", "live:"]).exits(0);
    let keys: Vec<String> = ran.json().iter().filter_map(|line| Some(line["key"].as_str()?.to_owned())).collect();
    assert_eq!(keys, ["a.jpg", "photos/b.jpg", "photos/c.jpg", "photos/d/e.jpg"]);
}

#[test]
fn what_fails_is_told_key_by_key_and_the_rest_is_done() {
    let sandbox = site();
    let denied = Rule::new("PutObjectAcl", Effect::Status(403, "AccessDenied")).key("site/photos/b.jpg");
    let gone = Rule::new("GetObjectAcl", Effect::Status(404, "NoSuchKey")).key("site/a.jpg");
    sandbox.server.faults(|faults| {
        faults.add(denied.times(usize::MAX));
        faults.add(gone.times(usize::MAX));
    });
    let ran = acl(&sandbox, &["set", "public-read", "-r", "live:"]).exits(3);
    ran.says(&[
        "problem: set the ACL of site/photos/b.jpg: s3:PutObjectAcl",
        "s3:PutObjectAcl",
        "problem: read the ACL of site/a.jpg",
        "Set public-read on 2 objects.\nProblems: 2",
    ]);
    assert_eq!(public(&sandbox), ["photos/c.jpg", "photos/d/e.jpg"]);
    let ran = acl(&sandbox, &["get", "-r", "live:"]).exits(3);
    ran.says(&["problem: read the ACL of site/a.jpg", "3 objects: 1 private, 2 public-read, 1 with problems."]);
    // One that is meant alone fails as such.
    acl(&sandbox, &["set", "public-read", "live:photos/b.jpg"]).exits(1).says(&["s3:PutObjectAcl", "hint: "]);
    // A listing that breaks says nothing of the rest.
    sandbox.server.faults(Faults::clear);
    let broken = Rule::new("ListObjectsV2", Effect::Status(403, "AccessDenied")).times(usize::MAX);
    sandbox.server.faults(|faults| faults.add(broken));
    acl(&sandbox, &["set", "private", "-r", "live:"]).exits(1).says(&["s3:ListBucket"]);
    assert_eq!(public(&sandbox), ["photos/c.jpg", "photos/d/e.jpg"]);
}

#[test]
fn a_bucket_that_forbids_it_says_so_once_and_what_to_do() {
    for (acls, text, hint) in [
        (Acls::Refused, "the bucket media disables ACLs", "Object Ownership"),
        (Acls::Blocked, "Block Public Access of the bucket media forbids public-read", "BlockPublicAcls"),
        (Acls::NotImplemented, "has no ACLs of objects", "decided for the bucket as a whole"),
    ] {
        let sandbox = site();
        sandbox.server.quirks(|quirks| quirks.acls = acls);
        let ran = acl(&sandbox, &["set", "public-read", "-r", "live:"]).exits(1).says(&[text, hint]);
        assert_eq!(ran.stderr.matches("error: ").count(), 1, "{ran:?}");
        assert_eq!(public(&sandbox), Vec::<String>::new());
    }
    let sandbox = site();
    sandbox.server.quirks(|quirks| quirks.acls = Acls::Blocked);
    let ran = acl(&sandbox, &["set", "public-read", "-r", "-n", "live:"]).exits(0);
    ran.says(&["refuses public ACLs", "BlockPublicAcls, IgnorePublicAcls"]);
    acl(&sandbox, &["set", "private", "-r", "live:"]).exits(0).never_says("Block");
}

#[test]
fn what_the_remote_allows_is_what_is_done() {
    let sandbox = site();
    remote(&sandbox, "read-only");
    let set = ["set", "public-read", "-r", "live:"];
    acl(&sandbox, &set).exits(2).says(&["read-only", "remote.live", "-n shows"]);
    acl(&sandbox, &[&set[..], &["-n"]].concat()).exits(0).says(&["Would set public-read on 4 objects."]);
    remote(&sandbox, "confirm");
    acl(&sandbox, &set).exits(2).says(&["confirm", "--yes"]);
    sandbox.assert_changes(&[]);
    acl(&sandbox, &[&set[..], &["--yes"]].concat()).exits(0);
    assert_eq!(public(&sandbox).len(), 4);
    acl(&sandbox, &["set", "public", "live:a.jpg"]).exits(2).says(&["public-read", "bucket-owner-full-control"]);
}

#[test]
fn a_push_without_an_acl_next_to_public_objects_says_once_that_new_ones_are_not_public() {
    let warning = "no ACL is stated for new ones";
    let push = |sandbox: &Sandbox, name: &str| {
        sandbox.write(name, name);
        sandbox.server.clear_log();
        sandbox.push(&[]).exits(0)
    };
    let asked = |sandbox: &Sandbox| {
        let mut asked = sandbox.requested("GetObjectAcl");
        asked.retain(|key| !key.starts_with(".mediasync"));
        asked
    };
    let with = |parameters: &str| {
        let mut sandbox = site();
        let dsn = sandbox.dsn(&format!("endpoint={}{parameters}", sandbox.server.endpoint()));
        sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        sandbox.push(&[]).exits(0);
        sandbox
    };
    let sandbox = with("&acl=");
    // Those that are there are private: so is what comes.
    push(&sandbox, "new-1.jpg").never_says(warning);
    assert_eq!(asked(&sandbox), ["a.jpg"]);
    acl(&sandbox, &["set", "public-read", "live:a.jpg"]).exits(0);
    sandbox.write("new-3.jpg", "one more");
    let ran = push(&sandbox, "new-2.jpg").says(&[warning, "s3://media/site", "--acl public-read"]);
    assert_eq!((ran.all().matches(warning).count(), asked(&sandbox)), (1, vec!["a.jpg".to_owned()]), "{ran:?}");
    assert_eq!(public(&sandbox), ["a.jpg"]);
    // Nothing new, nothing asked.
    sandbox.server.clear_log();
    sandbox.push(&[]).exits(0).never_says(warning);
    assert_eq!(asked(&sandbox), Vec::<String>::new());
    for stated in ["&acl=private", "&acl=public-read", ""] {
        let sandbox = with(stated);
        acl(&sandbox, &["set", "public-read", "live:a.jpg"]).exits(0);
        push(&sandbox, "new.jpg").never_says(warning);
        // What was stored with a public ACL is looked at once: whether it has it.
        let own = if stated == "&acl=private" { vec![] } else { vec!["new.jpg".to_owned()] };
        assert_eq!(asked(&sandbox), own, "{stated}");
    }
}

#[test]
fn a_wrong_key_is_told_as_such_though_an_answer_to_head_has_no_body() {
    let mut sandbox = site();
    let right = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    let (user, rest) = right.split_once('@').unwrap();
    let key = user.rsplit_once(':').unwrap().0.to_owned();
    for (dsn, code, way) in [
        (format!("{key}:wr0ng@{rest}"), "SignatureDoesNotMatch", "Check the secret key"),
        (format!("s3://AKIDNOBODY:wr0ng@{rest}"), "InvalidAccessKeyId", "The access key is not known there"),
    ] {
        sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        for args in [&["get", "live:a.jpg"][..], &["set", "public-read", "live:a.jpg"]] {
            let ran = acl(&sandbox, args).exits(1).says(&[code, way]).never_says("wr0ng");
            ran.never_says("s3:GetObject");
        }
    }
    sandbox.env("DEFAULT_STORAGE_DSN", &right);
    sandbox.server.faults(|faults| faults.add(Rule::new("HeadObject", Effect::Status(403, "AccessDenied"))));
    sandbox.server.faults(|faults| faults.add(Rule::new("GetObject", Effect::Status(403, "AccessDenied"))));
    sandbox.server.clear_log();
    acl(&sandbox, &["get", "live:a.jpg"]).exits(1).says(&["s3:GetObject on bucket media is not permitted"]);
    let asked: Vec<String> = sandbox.server.requests().into_iter().map(|one| one.call.operation.to_string()).collect();
    assert_eq!(asked, ["HeadObject", "GetObject"]);
}

#[test]
fn where_a_server_was_seen_to_ignore_acls_that_is_said_after_one_was_set() {
    let sandbox = site();
    sandbox.server.quirks(|quirks| quirks.acls = Acls::Unheard);
    sandbox.write("new.jpg", "new");
    let set = |name: &str| acl(&sandbox, &["set", name, "live:a.jpg"]).exits(0);
    set("public-read").never_says("note: the server");
    sandbox.push(&["--acl", "public-read"]).exits(0);
    set("public-read").says(&["ignores the ACLs of uploads", "mediasync url --check", "bucket's policy"]);
    set("private").never_says("ignores the ACLs");
}
