//! `doctor --policy` for a container against what runs really send: each kind of request of each mode is allowed by the role
//! that is printed for it, and each action of a role is one that a run of its mode has used.
//!
//! Which action allows which request is written down here anew, from
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-azure-active-directory>.

use std::collections::BTreeSet;

use serde_json::Value;

use super::container::{MIB, Place, on_each_server};
use crate::support::sandbox::{REMOTE, Ran, bytes};

const BLOBS: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/";

/// What a kind of request must be allowed.
fn needed(kind: &str) -> &'static [&'static str] {
    match kind {
        "ListBlobs" | "GetBlobProperties" | "GetBlob" | "GetBlockList" => &["read"],
        // Tags that are read are sent again with the content.
        "GetBlobTags" => &["tags/read", "tags/write"],
        "PutBlob" | "PutBlock" | "PutBlockList" | "SetBlobProperties" | "SetBlobMetadata" | "SetBlobTier" => &["write"],
        "CopyBlob" => &["read", "write"],
        "DeleteBlob" => &["delete"],
        other => panic!("say what {other} needs"),
    }
}

/// A job in this mode between the media directory and the container, or the other way round.
fn configure(place: &Place, mode: &str, source_is_remote: bool, rules: &str) {
    let media = place.sandbox.path("media");
    let (media, remote) = (media.to_str().unwrap(), "live:");
    let (source, dest) = if source_is_remote { (remote, media) } else { (media, remote) };
    place.sandbox.configure_as(&format!(
        "[remote.live]\ndsn = \"{REMOTE}\"\n\n[[job]]\nname = \"m\"\nsource = {source:?}\ndestination = {dest:?}\n\
         max_delete = 100\n{mode}\n{rules}\n"
    ));
}

/// The actions of the printed role.
fn allowed(place: &Place) -> BTreeSet<String> {
    let ran = place.sandbox.by_config(&["doctor", "--policy", "m"]).exits(0);
    let role: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(role["Actions"].as_array().unwrap().is_empty(), "{role}");
    let actions = role["DataActions"].as_array().unwrap().iter();
    actions.map(|action| action.as_str().unwrap().strip_prefix(BLOBS).unwrap().to_owned()).collect()
}

/// A run, whose requests are allowed; adds what it used.
#[track_caller]
fn sync(place: &Place, role: &BTreeSet<String>, used: &mut BTreeSet<String>) -> Ran {
    let ran = place.sandbox.by_config(&["sync", "m", "--json"]).exits(0);
    for kind in ran.line("summary")["requests"].as_object().unwrap().keys() {
        for action in needed(kind) {
            assert!(role.contains(*action), "{kind} needs {action}: {role:?}");
            used.insert((*action).to_owned());
        }
    }
    ran
}

#[test]
fn what_runs_send_is_what_the_role_of_their_mode_allows() {
    for mode in ["mode = \"copy\"", "mode = \"copy\"\ndelete = true", "mode = \"mirror\"", "mode = \"two-way\""] {
        on_each_server(|place| {
            configure(&place, mode, false, "");
            let role = allowed(&place);
            let mut used = BTreeSet::new();
            // What somebody stored there with tags is overwritten.
            place.raw.dress("tagged.jpg", b"content");
            place.sandbox.write("tagged.jpg", "content");
            place.sandbox.write("a.jpg", "a");
            place.sandbox.write("b/c.jpg", "the content of c");
            place.sandbox.write("large.bin", bytes(1, 20 * MIB));
            sync(&place, &role, &mut used);
            place.sandbox.write("tagged.jpg", "other content");
            place.sandbox.write("large.bin", bytes(2, 20 * MIB));
            std::fs::rename(place.sandbox.media("b/c.jpg"), place.sandbox.media("moved.jpg")).unwrap();
            place.sandbox.remove("a.jpg");
            sync(&place, &role, &mut used);
            configure(
                &place,
                mode,
                false,
                "[[job.header]]\nmatch = \"*.jpg\"\ncache_control = \"no-store\"\nmetadata = { a = \"b\" }",
            );
            sync(&place, &role, &mut used);
            // To create is allowed by `write`, too; the action of its own is what Azure asks for where only that is done.
            let unused: Vec<&String> = role.iter().filter(|action| !used.contains(*action)).collect();
            assert_eq!(unused, ["add/action"], "{mode}");
        });
    }
}

#[test]
fn what_is_only_read_needs_no_more_than_to_read() {
    on_each_server(|place| {
        place.raw.put("a.jpg", b"content");
        place.raw.put("large.bin", &bytes(1, 20 * MIB));
        configure(&place, "mode = \"mirror\"", true, "");
        let (role, mut used) = (allowed(&place), BTreeSet::new());
        sync(&place, &role, &mut used);
        assert_eq!(role, used);
    });
}
