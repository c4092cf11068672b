//! The program against servers that speak Azure's protocol: after each step Azure's own Python SDK says that the container
//! holds what the directory holds.

use std::time::{Duration, Instant, SystemTime};

use super::container::{MIB, Place, assert_done, on_each_server, requests};
use crate::support::sandbox::bytes;

#[test]
fn a_life_of_pushes_to_azure() {
    on_each_server(|place| {
        let sandbox = &place.sandbox;
        for n in 0..12 {
            let len = 100 + 700 * usize::try_from(n).unwrap();
            sandbox.write(&format!("photos/{}/{n}.jpg", n % 4), bytes(n, len));
        }
        sandbox.write("empty.txt", "");
        sandbox.write("große + 100%/ä b.txt", "name");
        let (ran, planned) = place.push(&["--dry-run"], 0);
        assert_eq!(planned["planned"]["creates"], 14, "{ran:?}");
        assert!(place.look()["objects"].as_object().unwrap().is_empty(), "a dry run leaves nothing");
        let (_, summary) = place.push(&[], 0);
        assert_done(&summary, &[("creates", 14)]);
        let blobs = place.assert_equal();
        assert_eq!(blobs["photos/1/1.jpg"]["content_type"], "image/jpeg");
        place.assert_idle(&[]);

        // The same size, and the time put back; touched only; a name with a dot at its end, which Azure would drop.
        let before = sandbox.mtime("photos/1/1.jpg");
        sandbox.write("photos/1/1.jpg", bytes(1001, 800));
        sandbox.set_mtime("photos/1/1.jpg", before);
        sandbox.set_mtime("photos/3/3.jpg", SystemTime::now() - Duration::from_secs(1000));
        let (_, summary) = place.push(&[], 0);
        assert_done(&summary, &[("overwrites", 1)]);
        place.assert_equal();

        // A folder gets another name: copied by the service, nothing is sent.
        std::fs::rename(sandbox.media("photos/1"), sandbox.media("album + 1")).unwrap();
        sandbox.remove("photos/0/0.jpg");
        let (ran, summary) = place.push(&["--delete"], 0);
        assert_done(&summary, &[("copies", 3), ("deletes", 4)]);
        assert_eq!((requests(&summary, "PutBlob"), &summary["done"]["bytes_sent"]), (0, &0.into()), "{ran:?}");
        place.assert_equal();
        place.assert_idle(&["--delete"]);

        sandbox.write("dot./a", "would become dot/a");
        let (ran, _) = place.push(&[], 3);
        assert!(ran.all().contains("drops the dot"), "{ran:?}");
    });
}

#[test]
fn what_others_stored_in_azure_is_adopted_left_or_reported() {
    on_each_server(|place| {
        let sandbox = &place.sandbox;
        sandbox.write("same.jpg", "the same");
        sandbox.write("large.bin", bytes(3, 9 * MIB));
        sandbox.write("other.jpg", "ours");
        sandbox.write("plain.jpg", "without an MD5");
        place.raw.put("same.jpg", b"the same");
        place.raw.put("large.bin", &bytes(3, 9 * MIB));
        place.raw.put("other.jpg", b"theirs");
        place.raw.put("extra.jpg", b"extra");
        place.raw.script("plain", "plain.jpg", b"without an MD5");
        let before = place.blobs();
        // Content-MD5 tells what is the same; where there is none, nothing is known.
        let (ran, summary) = place.push(&["--delete"], 3);
        assert_done(&summary, &[]);
        assert_eq!((&summary["conflicts"], &summary["extras"]), (&2.into(), &1.into()), "{ran:?}");
        assert_eq!(summary["done"]["bytes_sent"], 0, "{ran:?}");
        assert_eq!(place.blobs(), before);
        // What an overwrite does not set is kept.
        let (_, summary) = place.push(&["--delete", "--overwrite", "--compare", "download"], 0);
        assert_done(&summary, &[("overwrites", 1)]);
        assert_eq!(place.blobs()["other.jpg"]["cache_control"], "max-age=7");
        assert_eq!(place.blobs().len(), 5, "what we never saw stays");
        // A blob with snapshots stays, and is told.
        place.raw.script("snapshot", "same.jpg", b"");
        sandbox.remove("same.jpg");
        let (ran, _) = place.push(&["--delete"], 3);
        assert!(ran.all().contains("it has snapshots, which are never deleted"), "{ran:?}");
        assert!(place.blobs().contains_key("same.jpg"));
    });
}

#[test]
fn large_files_go_to_azure_in_blocks() {
    on_each_server(|place| {
        let sandbox = &place.sandbox;
        sandbox.write("20.bin", bytes(20, 20 * MIB));
        sandbox.write("9.bin", bytes(9, 9 * MIB));
        let (_, summary) = place.push(&[], 0);
        assert_done(&summary, &[("creates", 2)]);
        assert_eq!((requests(&summary, "PutBlock"), requests(&summary, "PutBlockList")), (5, 2));
        place.assert_equal();
        place.assert_idle(&[]);
        sandbox.write("9.bin", bytes(10, 10 * MIB + 1));
        std::fs::rename(sandbox.media("20.bin"), sandbox.media("renamed.bin")).unwrap();
        let (ran, summary) = place.push(&["--delete"], 0);
        assert_done(&summary, &[("overwrites", 1), ("copies", 1), ("deletes", 1)]);
        assert_eq!(summary["done"]["bytes_sent"], 10 * MIB + 1, "{ran:?}");
        place.assert_equal();
        // The manifest is lost: everything is recognised from the listing alone.
        sandbox.lose_the_manifest();
        let (ran, summary) = place.push(&[], 0);
        assert_done(&summary, &[]);
        assert_eq!((requests(&summary, "PutBlock"), &summary["done"]["bytes_sent"]), (0, &0.into()), "{ran:?}");
        place.assert_idle(&[]);
    });
}

#[test]
fn a_killed_upload_to_azure_goes_on_where_it_was() {
    on_each_server(|place| {
        let sandbox = &place.sandbox;
        sandbox.write("large.bin", bytes(77, 44 * MIB));
        // Six blocks, four at once: slow enough to be met in the middle.
        let run = sandbox.start_push(&["--bwlimit", "2MiB"]);
        let begun = Instant::now();
        while place.look()["blocks"] == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "no block is there after a minute");
        }
        assert_eq!(run.kill(), -9, "the run ended too early");
        assert!(place.blobs().is_empty(), "nothing is visible before all of it is");
        let (ran, summary) = place.push(&[], 0);
        let sent = requests(&summary, "PutBlock");
        assert!(sent < 6, "{sent} blocks were sent: {ran:?}");
        place.assert_equal();
        assert_eq!(place.look()["blocks"], 0);
        place.assert_idle(&[]);
    });
}

#[test]
fn azure_says_what_is_wrong_and_nothing_of_the_secret() {
    on_each_server(|mut place| {
        place.sandbox.write("a.jpg", "a");
        let wrong = "d3Jvbmcga2V5IG9mIHRoZSBhY2NvdW50";
        let line = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        let sas = |place: &Place, what: &str| line(place.raw.script("sas", what, b""));
        let (expired, readonly) = (sas(&place, "expired"), sas(&place, "readonly"));
        let container = place.server.container.clone();
        for (secret, container, code, told) in [
            (wrong, &container, 1, "ListBlobs on container devstoreaccount1/mediasync-test is not permitted"),
            (&expired, &container, 1, "the shared access signature expired at"),
            (&readonly, &container, 1, "its permissions (sp=rl) lack `w` or `c`"),
            (
                &place.server.key.clone(),
                &"no-such-container".to_owned(),
                1,
                "container devstoreaccount1/no-such-container does not exist",
            ),
        ] {
            let dsn = place.dsn(secret, container);
            place.sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
            let ran = place.sandbox.push(&["-vvv"]).exits(code).says(&[told]);
            let signature = secret.split("sig=").last().unwrap();
            ran.never_says(&signature[..8]);
        }
        // Signatures of the account and of the container are enough for everything.
        for what in ["account", "container"] {
            let place = Place::new(&place.server).with_secret(&sas(&place, what));
            place.sandbox.write("a.jpg", what);
            place.push(&[], 0);
            place.sandbox.write("b.jpg", "new");
            std::fs::rename(place.sandbox.media("a.jpg"), place.sandbox.media("c.jpg")).unwrap();
            let (_, summary) = place.push(&["--delete"], 0);
            assert_done(&summary, &[("creates", 1), ("copies", 1), ("deletes", 1)]);
            place.assert_equal();
            place.assert_idle(&["--delete"]);
        }
    });
}

#[test]
fn a_signature_without_a_permission_is_told_with_what_it_lacks() {
    on_each_server(|mut place| {
        place.sandbox.write("a.jpg", "a");
        place.sandbox.write("b.jpg", "b");
        place.push(&[], 0);
        // A listing that is denied is never an empty one: nothing is sent again, nothing is deleted here.
        let dsn = place.dsn(&place.sas("nolist"), &place.server.container);
        place.sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        let told = ["list container", "its permissions (sp=racwdt) lack `l`"];
        place.sandbox.push(&["--delete"]).exits(1).says(&told).never_says("sig=");
        place.sandbox.pull(&["--delete"]).exits(1).says(&told);
        assert_eq!((place.sandbox.local().len(), place.blobs().len()), (2, 2));
        // What may not be deleted is a problem of its key, and the rest is done.
        let dsn = place.dsn(&place.sas("nodelete"), &place.server.container);
        place.sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        place.sandbox.remove("a.jpg");
        place.sandbox.write("c.jpg", "c");
        place.sandbox.push(&["--delete"]).exits(3).says(&["a.jpg", "lack `d`"]).never_says("sig=");
        assert_eq!(place.blobs().keys().collect::<Vec<_>>(), ["a.jpg", "b.jpg", "c.jpg"]);
    });
}
