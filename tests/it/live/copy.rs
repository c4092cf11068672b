//! `cp` on real servers: in both directions, from one place to another, and between two kinds of store.

use std::fs;

use super::container::{MIB, on_each_server};
use super::place::Place;
use super::servers;
use crate::support::sandbox::{REMOTE, Ran, Sandbox, bytes};

const ODD: &str = "b c/ü + 100%.jpg";

fn fill(sandbox: &Sandbox) {
    sandbox.write("a.jpg", "content of a");
    sandbox.write(ODD, "odd");
    sandbox.write("large.bin", bytes(7, 17 * MIB));
    sandbox.write("b c/.DS_Store", "junk");
}

fn cp(sandbox: &Sandbox, args: &[&str], code: i32) -> Ran {
    sandbox.run(&[&["cp"], args].concat()).exits(code)
}

/// `other` is a variable with a second place of the same kind.
fn assert_copies(sandbox: &Sandbox, other: &str, server: &str) {
    let media = sandbox.path("media");
    let media = media.to_str().unwrap();
    let (file, at) = (format!("{media}/a.jpg"), |name: &str| format!("{REMOTE}/{name}"));
    println!("cp: {server}");
    // One file, there and back.
    cp(sandbox, &[&file, &at("p/"), "-n"], 0).says(&["Would copy 1 file"]);
    cp(sandbox, &[&file, &at("p/")], 0).says(&["Copied 1 file"]);
    cp(sandbox, &[&file, &at("p")], 0).says(&["1 already there"]);
    cp(sandbox, &[&at("p/a.jpg"), "./back.jpg"], 0);
    assert_eq!(fs::read_to_string(sandbox.path("work/back.jpg")).unwrap(), "content of a", "{server}");
    // A folder, there and back, with a large file and odd names.
    let sums = cp(sandbox, &["-r", media, &at("all"), "--json"], 0).line("copy-summary");
    assert_eq!((&sums["created"], &sums["skipped"]["junk"]), (&3.into(), &1.into()), "{server}: {sums}");
    let sums = cp(sandbox, &["-r", media, &at("all"), "--json"], 0).line("copy-summary");
    assert_eq!((&sums["created"], &sums["already_there"]), (&0.into(), &3.into()), "{server}: {sums}");
    let sums = cp(sandbox, &["-r", &at("all"), "./all", "--json"], 0).line("copy-summary");
    assert_eq!(sums["created"], 3, "{server}: {sums}");
    for name in ["a.jpg", ODD, "large.bin"] {
        let (here, back) = (fs::read(sandbox.media(name)).unwrap(), sandbox.path("work/all").join(name));
        assert!(fs::read(&back).unwrap() == here, "{server}: {name}");
        let time = |path| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(time(back), time(sandbox.media(name)), "{server}: {name}");
    }
    // From one place to another.
    let sums = cp(sandbox, &["-r", &at("all"), &format!("{other}/copy"), "--json"], 0).line("copy-summary");
    assert_eq!(sums["created"], 3, "{server}: {sums}");
    let sums = cp(sandbox, &["-r", &at("all"), &format!("{other}/copy"), "--json"], 0).line("copy-summary");
    assert_eq!(sums["already_there"], 3, "{server}: {sums}");
    cp(sandbox, &[&format!("{other}/copy/{ODD}"), "./odd.jpg"], 0);
    assert_eq!(fs::read_to_string(sandbox.path("work/odd.jpg")).unwrap(), "odd", "{server}");
    // What differs stays, and is kept when it is replaced.
    sandbox.write("a.jpg", "another a");
    cp(sandbox, &[&file, &at("p/")], 1).says(&["something else is there", "--overwrite replaces it"]);
    let ran = cp(sandbox, &[&file, &at("p/"), "--overwrite"], 0).says(&["over what was there"]);
    cp(sandbox, &[&at("p/a.jpg"), "./new.jpg"], 0);
    assert_eq!(fs::read_to_string(sandbox.path("work/new.jpg")).unwrap(), "another a", "{server}");
    sandbox.paste(&ran, "mediasync trash restore").exits(0);
    cp(sandbox, &[&at("p/a.jpg"), "./old.jpg"], 0);
    assert_eq!(fs::read_to_string(sandbox.path("work/old.jpg")).unwrap(), "content of a", "{server}");
    // What is not there.
    cp(sandbox, &[&at("p/b.jpg"), "./"], 1).says(&["nothing is at", "there are a.jpg"]);
    cp(sandbox, &[&at("p"), "./"], 2).says(&["is a folder", "-r copies"]);
}

#[test]
fn files_are_copied_to_buckets_from_them_and_between_them() {
    for live in servers() {
        if matches!(&*live.name, "rclone" | "garage") {
            println!("skipped: {} (see the contract for what they lack)", live.name);
            continue;
        }
        let (mut place, other) = (Place::new(&live), Place::new(&live));
        fill(&place.sandbox);
        place.sandbox.env("OTHER", other.dsn());
        assert_copies(&place.sandbox, "env:OTHER", &live.name);
        let seen = place.look();
        assert!(seen.uploads.is_empty(), "{}: {seen:?}", live.name);
        assert!(other.look().own.is_empty(), "{}: nothing of ours is left where nothing was replaced", live.name);
    }
}

#[test]
fn files_are_copied_to_containers_from_them_and_between_them() {
    on_each_server(|mut place| {
        let other = place.beside();
        let dsn = other.dsn(&other.server.key.clone(), &other.server.container.clone());
        fill(&place.sandbox);
        place.sandbox.env("OTHER", &dsn);
        assert_copies(&place.sandbox, "env:OTHER", &place.server.name);
        // From one kind of store to the other, and back.
        let s3 = place.sandbox.dsn(&format!("endpoint={}", place.sandbox.server.endpoint()));
        place.sandbox.env("S3", &s3);
        let all = format!("{REMOTE}/all");
        cp(&place.sandbox, &["-r", &all, "env:S3/across"], 0).says(&["Copied 3 files"]);
        cp(&place.sandbox, &["-r", &all, "env:S3/across"], 0).says(&["3 already there"]);
        cp(&place.sandbox, &["-r", "env:S3/across", &format!("{REMOTE}/home")], 0).says(&["Copied 3 files"]);
        cp(&place.sandbox, &["-r", &all, &format!("{REMOTE}/home")], 0).says(&["3 already there"]);
    });
}
