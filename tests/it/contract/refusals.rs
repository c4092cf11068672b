//! Creations that a server refuses although nothing is there: folders that are kept, and what is done about them.

use mediasync::model::Expect;
use mediasync::replica::{Cause, Content, Replica};

use crate::s3_replica::{Memory, Putter, cause, key};
use crate::s3_server::Site;
use crate::support::s3::{Effect, Folders, Moment, Rule};

/// A refusal because of something that is not there: believed by then, and never gone around.
#[tokio::test]
async fn a_creation_that_is_refused_again_and_again_is_not_sent_without_its_condition() {
    let site = Site::new();
    let s3 = site.connected().await;
    let deny = |times| Rule::new("PutObject", Effect::Status(412, "PreconditionFailed")).times(times);
    site.server.clear_log();
    site.server.faults(|faults| faults.add(deny(1)));
    Putter::new().create(&*s3, "a", b"1").await.unwrap();
    assert_eq!(site.bucket.content("p/a"), "1");
    site.server.faults(|faults| faults.add(deny(2)));
    assert_eq!(cause(Putter::new().create(&*s3, "b", b"ours").await), Cause::Precondition);
    assert!(site.bucket.get("p/b").is_none());
    assert_eq!((site.server.count("PutObject"), site.server.count("DeleteObject")), (4, 0));
    let a = s3.look_up(&key("a")).await.unwrap().unwrap();
    let (putter, refused) = (Putter::new(), Effect::Status(412, "PreconditionFailed"));
    site.server.faults(|faults| faults.add(Rule::new("CopyObject", refused).times(2)));
    let copied = s3.copy(&key("a"), &a.version, &key("b"), &putter.as_put(&Expect::Absent, &a.digests, None)).await;
    assert_eq!(cause(copied), Cause::Precondition);
    assert_eq!((site.server.count("CopyObject"), site.server.count("DeleteObject")), (2, 0));
}

/// SeaweedFS answers 412 to `If-None-Match: *` where a folder is or was.
#[tokio::test]
async fn a_server_that_takes_a_folder_for_an_object_blocks_neither_a_file_nor_a_copy() {
    let site = Site::with(|quirks| quirks.folders = Folders::Kept);
    let (s3, putter) = (site.connected().await, Putter::new());
    let large = Memory::new(vec![7; 6 << 20]);
    let hashes = large.hashes(5 << 20);
    let large = Content::Pieces(large);
    let put = async |to: &str| putter.put(&*s3, to, &large, &Expect::Absent, Some(&hashes)).await;
    let former = |name: &str| {
        site.bucket.put(&format!("p/{name}/inside"), "");
        site.bucket.remove(&format!("p/{name}/inside"));
    };
    for name in ["small", "large", "copied"] {
        former(name);
    }
    let small = putter.create(&*s3, "small", b"1").await.unwrap();
    let as_put = putter.as_put(&Expect::Absent, &small.digests, None);
    let copy = async |to: &str| s3.copy(&key("small"), &small.version, &key(to), &as_put).await;
    put("large").await.unwrap();
    copy("copied").await.unwrap();
    assert_eq!(site.bucket.content("p/small"), "1");
    assert_eq!((site.bucket.content("p/large").len(), &site.bucket.content("p/copied")[..]), (6 << 20, &b"1"[..]));

    // A folder that holds something, is marked by an object or can't be removed is no leftover: nothing is sent.
    site.bucket.put("p/held/inside", "");
    site.bucket.put("p/marked/", "");
    former("eternal");
    site.server.clear_log();
    for name in ["held", "marked", "eternal"] {
        let folders = if name == "eternal" { Folders::Eternal } else { Folders::Kept };
        site.server.quirks(|quirks| quirks.folders = folders);
        for error in [put(name).await.unwrap_err(), copy(name).await.unwrap_err()] {
            assert_eq!(error.cause, Cause::Refused, "{error}");
            assert!(error.message.contains("has a folder of this name"), "{error}");
        }
    }
    assert!(site.bucket.get("p/held/inside").is_some() && site.bucket.get("p/marked/").is_some());
    assert_eq!((site.server.count("CreateMultipartUpload"), site.server.count("DeleteObject")), (0, 2));
}

/// Where something is, a refusal holds: here it comes between the look and the request.
#[tokio::test]
async fn a_creation_that_is_refused_once_still_loses_to_what_came_meanwhile() {
    let site = Site::new();
    let (s3, putter) = (site.connected().await, Putter::new());
    let large = Memory::new(vec![7; 6 << 20]);
    let hashes = large.hashes(5 << 20);
    let large = Content::Pieces(large);
    let small = putter.create(&*s3, "small", b"1").await.unwrap();
    let as_put = putter.as_put(&Expect::Absent, &small.digests, None);
    for (operation, at) in [("CompleteMultipartUpload", "large"), ("CopyObject", "copied"), ("PutObject", "put")] {
        let deny = Rule::new(operation, Effect::Status(412, "PreconditionFailed")).times(1);
        site.server.faults(|faults| faults.add(deny));
        let gate = site.server.hold(Moment::BeforeHandling, operation, "*");
        let theirs = async {
            gate.reached(1).await;
            site.bucket.put(&format!("p/{at}"), "theirs");
            gate.release();
        };
        let ours = async {
            match operation {
                "CopyObject" => s3.copy(&key("small"), &small.version, &key(at), &as_put).await,
                "PutObject" => putter.create(&*s3, at, b"ours").await,
                _ => putter.put(&*s3, at, &large, &Expect::Absent, Some(&hashes)).await,
            }
        };
        let (result, ()) = tokio::join!(ours, theirs);
        assert_eq!(
            (cause(result), &site.bucket.content(&format!("p/{at}"))[..]),
            (Cause::Precondition, &b"theirs"[..])
        );
    }
    assert!(site.bucket.uploads().is_empty());
}
