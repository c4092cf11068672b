//! The trash of a container and two-way jobs with one, by the program.

use std::fs;

use serde_json::Value;

use super::container::{Place, on_each_server};
use crate::support::sandbox::{REMOTE, Ran, bytes};

/// The names in the container's trash, without the run.
fn trash(place: &Place) -> Vec<String> {
    let shown = place.look();
    let start = format!("{}/.mediasync/trash/", place.prefix);
    let names = shown["objects"].as_object().unwrap().keys();
    names.filter_map(|name| Some(name.strip_prefix(&start)?.split_once('/')?.1.to_owned())).collect()
}

fn mirror(place: &Place, more: &[&str]) -> Ran {
    let media = place.sandbox.path("media");
    place.sandbox.run(&[&["mirror", media.to_str().unwrap(), REMOTE], more].concat())
}

/// What a restore has to bring back.
fn told(blobs: &std::collections::BTreeMap<String, Value>) -> Vec<(String, Value, Value, Value)> {
    let one = |(name, blob): (&String, &Value)| {
        (name.clone(), blob["sha256"].clone(), blob["content_type"].clone(), blob["cache_control"].clone())
    };
    blobs.iter().map(one).collect()
}

#[test]
fn what_a_mirror_replaces_and_deletes_in_azure_comes_back_as_it_was() {
    on_each_server(|place| {
        let sandbox = &place.sandbox;
        for n in 0..12 {
            sandbox.write(&format!("d/{n} \u{fc} + %.jpg"), bytes(n, 300));
        }
        mirror(&place, &[]).exits(0);
        place.raw.script("headers", "d/1 \u{fc} + %.jpg", b"");
        place.raw.script("headers", "d/7 \u{fc} + %.jpg", b"");
        mirror(&place, &[]).exits(0);
        let before = told(&place.blobs());
        assert_eq!(before.iter().filter(|(_, _, kind, _)| kind == "application/x-special").count(), 2);
        for n in 0..5 {
            sandbox.write(&format!("d/{n} \u{fc} + %.jpg"), format!("damaged {n}"));
        }
        for n in 5..10 {
            sandbox.remove(&format!("d/{n} \u{fc} + %.jpg"));
        }
        let ran = mirror(&place, &[]).exits(0).says(&["Kept in the trash for 30d: 10 files"]);
        let all = ran.all();
        let run = all.split("--run ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a way back");
        assert_eq!((trash(&place).len(), place.blobs().len()), (10, 7));
        let listed = sandbox.run(&["trash", "list", REMOTE, "--json"]).exits(0).json();
        assert_eq!(listed.iter().filter(|line| line["type"] == "trashed").count(), 10);
        sandbox.run(&["trash", "restore", REMOTE, "--run", run, "-n"]).exits(0).says(&["Would restore 10 files"]);
        sandbox.run(&["trash", "restore", REMOTE, "--run", run]).exits(0).says(&["Restored 10 files"]);
        assert_eq!(told(&place.blobs()), before, "content, type and cache headers");
        // What the restore replaced is kept itself, and goes when the trash is emptied.
        assert_eq!(trash(&place).len(), 5);
        sandbox.run(&["trash", "empty", REMOTE, "--yes"]).exits(0).says(&["Removed 5 files"]);
        assert_eq!(trash(&place), Vec::<String>::new());
        assert_eq!(told(&place.blobs()), before);
    });
}

#[test]
fn two_ways_between_a_directory_and_azure() {
    on_each_server(|place| {
        let sandbox = &place.sandbox;
        let media = sandbox.path("media");
        let config = format!(
            "[remote.live]\ndsn = \"{REMOTE}\"\n[[job]]\nname = \"both\"\nsource = {media:?}\ndestination = \"live:\"\n\
             mode = \"two-way\"\n"
        );
        fs::write(sandbox.path("work/mediasync.toml"), config).unwrap();
        let idle = || {
            let ran = sandbox.run(&["sync", "--json"]).exits(0);
            let summary = ran.line("summary");
            for count in ["creates", "overwrites", "copies", "deletes", "records"] {
                assert_eq!(summary["planned"][count], 0, "{ran:?}");
            }
        };
        for name in ["edit.jpg", "back.jpg", "gone.jpg", "lost.jpg", "both.jpg", "stays.jpg"] {
            sandbox.write(name, name);
        }
        place.raw.put("there.jpg", b"only there");
        sandbox.run(&["sync"]).exits(0);
        assert_eq!(sandbox.local()["there.jpg"], "only there");
        place.assert_equal();
        idle();
        sandbox.write("edit.jpg", "edited here");
        place.raw.put("back.jpg", b"edited there");
        sandbox.remove("gone.jpg");
        place.raw.delete("lost.jpg");
        sandbox.run(&["sync"]).exits(0);
        let local = sandbox.local();
        assert_eq!((&local["edit.jpg"], &local["back.jpg"]), (&"edited here".into(), &"edited there".into()));
        assert!(!local.contains_key("gone.jpg") && !local.contains_key("lost.jpg"));
        place.assert_equal();
        assert_eq!(trash(&place), ["edit.jpg", "gone.jpg"], "what is replaced or deleted is kept at its side");
        idle();
        // Both changed: nobody wins by itself.
        sandbox.write("both.jpg", "here");
        place.raw.put("both.jpg", b"there");
        sandbox.run(&["sync"]).exits(3).says(&["both.jpg"]);
        assert_eq!(sandbox.local()["both.jpg"], "here");
        sandbox.run(&["resolve", "both", "both.jpg", "--take", "destination"]).exits(0);
        assert_eq!(sandbox.local()["both.jpg"], "there");
        place.assert_equal();
        idle();
    });
}

#[test]
fn the_variables_of_the_azure_cli_name_who_asks() {
    on_each_server(|mut place| {
        let (account, endpoint) = (place.server.account.clone(), place.server.endpoint.clone());
        let to = format!("az://{account}/{}/{}?endpoint={endpoint}", place.server.container, place.prefix);
        let plain = to.split('?').next().unwrap().to_owned();
        let key = place.server.key.clone();
        let string =
            format!("DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};BlobEndpoint={endpoint};");
        let signed = format!("BlobEndpoint={endpoint};SharedAccessSignature={}", place.sas("account"));
        let media = place.sandbox.path("media").to_str().unwrap().to_owned();
        for (n, (to, variables)) in [
            (&plain, vec![("AZURE_STORAGE_CONNECTION_STRING", string)]),
            (&to, vec![("AZURE_STORAGE_CONNECTION_STRING", signed)]),
            (&to, vec![("AZURE_STORAGE_ACCOUNT", account.clone()), ("AZURE_STORAGE_KEY", key)]),
            (&to, vec![("AZURE_STORAGE_SAS_TOKEN", format!("?{}", place.sas("container")))]),
        ]
        .into_iter()
        .enumerate()
        {
            place.sandbox.write(&format!("{n}.jpg"), format!("file {n}"));
            for (name, value) in &variables {
                place.sandbox.env(name, value);
            }
            place.sandbox.run(&["push", &media, to, "-vvv"]).exits(0).never_says("sig=");
            place.assert_equal();
            for (name, _) in &variables {
                place.sandbox.env(name, "");
            }
        }
    });
}
