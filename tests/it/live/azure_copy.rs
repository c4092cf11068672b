//! Copies that the service makes by itself between two containers of one account: no content comes through here, each copy is
//! of the version that was seen, and where the service can't, the content is streamed.

use serde_json::Value;

use super::container::{MIB, Place, assert_done, on_each_server};
use crate::support::front::{Call, Front, Then};
use crate::support::sandbox::{Ran, bytes};

/// Two places in containers of their own, with something in front of the server that counts.
struct Two {
    live: Place,
    backup: Place,
    front: Front,
}

impl Two {
    fn new(live: Place) -> Self {
        let (backup, front) = (live.beside(), live.front());
        let key = live.server.key.clone();
        let mut two = Self { live, backup, front };
        two.secrets(&key, &key);
        two
    }

    /// Who asks at each side.
    fn secrets(&mut self, live: &str, backup: &str) {
        let (from, to) = (self.live.dsn_by(&self.front, live), self.backup.dsn_by(&self.front, backup));
        self.live.sandbox.env("LIVE", &from);
        self.live.sandbox.env("BACKUP", &to);
    }

    #[track_caller]
    fn mirror(&self, code: i32) -> (Ran, Value) {
        let ran = self.live.sandbox.run(&["mirror", "env:LIVE", "env:BACKUP", "--json"]).exits(code);
        let summary = ran.line("summary");
        (ran, summary)
    }

    /// Bytes of content that went through the program, read or sent; texts of mediasync's own do not count.
    fn moved(&self) -> usize {
        let calls = self.front.calls();
        let content =
            calls.iter().filter(|call| !call.path.contains(".mediasync") && !call.query.contains("comp=list"));
        content.map(|call| if call.method == "GET" { call.answered } else { call.body.len() }).sum()
    }

    /// The backup holds what the live side does, with all that it carries.
    #[track_caller]
    fn assert_equal(&self) {
        let [live, backup] = [self.live.blobs(), self.backup.blobs()];
        assert_eq!(live.keys().collect::<Vec<_>>(), backup.keys().collect::<Vec<_>>());
        for (name, blob) in &live {
            for what in ["size", "sha256", "md5", "content_type", "cache_control"] {
                assert_eq!(blob[what], backup[name][what], "{what} of {name}");
            }
            let foreign = |blob: &Value| {
                let mut metadata = blob["metadata"].as_object().unwrap().clone();
                metadata.retain(|name, _| name != "blake3" && name != "mtime");
                metadata
            };
            assert_eq!(foreign(blob), foreign(&backup[name]), "metadata of {name}");
        }
    }

    /// A further run plans nothing and changes nothing.
    #[track_caller]
    fn assert_idle(&self) {
        self.front.clear();
        let (ran, _) = self.mirror(0);
        let changing = |method: &str| self.front.calls().iter().filter(|call| call.method == method).count();
        assert_eq!((changing("PUT"), changing("DELETE"), changing("POST")), (0, 0, 0), "{ran:?}");
        assert_eq!(self.moved(), 0);
    }
}

fn filled(place: Place) -> Two {
    let two = Two::new(place);
    two.live.raw.put("a.jpg", b"a");
    two.live.raw.put("empty.bin", b"");
    two.live.raw.dress("d/\u{fc} + 100%? #.jpg", b"dressed");
    two.live.raw.script("plain", "plain.bin", b"without an MD5");
    two.live.raw.put("large.bin", &bytes(5, 9 * MIB));
    two
}

#[test]
fn one_account_copies_between_containers_without_a_byte_of_content() {
    on_each_server(|place| {
        let two = filled(place);
        let (ran, summary) = two.mirror(0);
        assert_done(&summary, &[("creates", 5)]);
        assert_eq!(two.moved(), 0, "{ran:?}");
        let looks = |call: &&Call| call.method == "HEAD" && !call.path.contains(".mediasync");
        assert_eq!(two.front.calls().iter().filter(looks).count(), 0, "one request a copy");
        two.assert_equal();
        assert_eq!(two.backup.raw.dressed("d/\u{fc} + 100%? #.jpg").len(), 3, "tags belong to the place");
        two.assert_idle();
        // An overwrite, a rename, a deletion: nothing comes through here either, and what was there is kept.
        two.live.raw.put("large.bin", &bytes(6, 10 * MIB));
        two.live.raw.delete("a.jpg");
        two.live.raw.put("renamed.jpg", b"a");
        two.live.raw.delete("empty.bin");
        two.front.clear();
        let (ran, summary) = two.mirror(0);
        assert_eq!((&summary["done"]["overwrites"], &summary["done"]["deletes"]), (&1.into(), &2.into()), "{ran:?}");
        assert_eq!(two.moved(), 0, "{ran:?}");
        two.assert_equal();
        two.assert_idle();
    });
}

#[test]
fn each_kind_of_signature_is_leave_enough_to_copy() {
    on_each_server(|place| {
        let key = place.server.key.clone();
        let mut two = filled(place);
        let (live, backup) = (two.live.sas("container"), two.backup.sas("container"));
        let readonly = two.live.sas("readonly");
        for (from, to) in [(&live, &backup), (&key, &backup), (&live, &key), (&readonly, &backup)] {
            two.secrets(from, to);
            two.front.clear();
            let (ran, summary) = two.mirror(0);
            assert_done(&summary, &[("creates", 5)]);
            assert_eq!(two.moved(), 0, "{ran:?}");
            for secret in [&live, &backup, &readonly] {
                let signature = secret.split("sig=").last().unwrap();
                assert!(!ran.all().contains(&signature[..8]), "{ran:?}");
            }
            ran.never_says("sig=");
            two.assert_equal();
            two.assert_idle();
            two.backup.raw.clear();
            two.live.sandbox.lose_the_manifest();
        }
    });
}

#[test]
fn what_the_service_can_not_copy_is_streamed_and_told_once() {
    on_each_server(|place| {
        for (status, code) in
            [(403, "CannotVerifyCopySource"), (401, "NoAuthenticationInformation"), (501, "NotImplemented")]
        {
            let two = filled(Place::new(&place.server));
            two.front.on(move |call| {
                let ours = call.path.contains(".mediasync");
                (!ours && !call.header("x-ms-copy-source").is_empty()).then(|| Then::refuse(status, code))
            });
            let (ran, summary) = two.mirror(0);
            assert_done(&summary, &[("creates", 5)]);
            assert_eq!(ran.stderr.matches("by itself").count(), 1, "{ran:?}");
            two.front.pass_all();
            let [live, backup] = [two.live.blobs(), two.backup.blobs()];
            for (name, blob) in &live {
                assert_eq!(blob["sha256"], backup[name]["sha256"], "{name}");
            }
            two.assert_idle();
        }
    });
}

#[test]
fn a_live_blob_that_changes_before_its_copy_is_left_to_the_next_run() {
    on_each_server(|place| {
        let two = filled(place);
        two.mirror(0);
        two.live.raw.put("a.jpg", b"second");
        let gate = two.front.hold(|call| call.path.ends_with("a.jpg") && !call.header("x-ms-copy-source").is_empty());
        let run = two.live.sandbox.start(&["mirror", "env:LIVE", "env:BACKUP"]);
        gate.reached();
        two.live.raw.put("a.jpg", b"third");
        drop(gate);
        run.wait().exits(3).says(&["a.jpg"]);
        assert_eq!(two.backup.blobs()["a.jpg"]["size"], 1, "what was there stays");
        two.mirror(0);
        two.assert_equal();
    });
}
