//! What others do between a look of ours and what we do then.

use super::*;
use crate::replica::local::write::Temp;
use crate::replica::local::{delete, seam};

/// A file that is written and has no name yet.
fn ours(root: &Arc<Root>, at: &str, expect: &Expect) -> Temp {
    let temp = Temp::create(root, &key(at), expect).unwrap();
    temp.write(b"ours", 0).unwrap();
    temp
}

#[test]
fn a_change_between_the_first_and_the_last_look_is_not_overwritten() {
    let dir = tree(&["x"]);
    let root = Arc::new(root(dir.path()));
    let old = version_of(&root, "x");
    for (at, expect) in [("x", Expect::Version(old)), ("new", Expect::Absent)] {
        let temp = ours(&root, at, &expect);
        let path = dir.path().join(at);
        let theirs = move |point: &str, _: &str| {
            if point == "publish" {
                std::fs::write(&path, "theirs").unwrap();
            }
            Ok(())
        };
        let error = seam::with(theirs, || temp.publish(&expect, None).unwrap_err());
        assert_eq!(error.cause, Cause::Precondition);
        assert_eq!(std::fs::read(dir.path().join(at)).unwrap(), b"theirs");
    }
    assert_eq!(everything(dir.path()), ["new", "x"]);
}

#[test]
fn a_file_that_appears_after_the_last_look_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let root = Arc::new(root(dir.path()));
    let temp = Temp::create(&root, &key("new"), &Expect::Absent).unwrap();
    let path = dir.path().join("new");
    let theirs = move |point: &str, _: &str| {
        if point == "rename" {
            std::fs::write(&path, "theirs").unwrap();
        }
        Ok(())
    };
    let error = seam::with(theirs, || temp.publish(&Expect::Absent, None).unwrap_err());
    assert_eq!(error.cause, Cause::Precondition);
    assert_eq!(std::fs::read(dir.path().join("new")).unwrap(), b"theirs");
    assert_eq!(everything(dir.path()), ["new"]);
}

#[test]
fn what_is_written_into_a_file_right_after_it_has_its_name_is_not_taken_for_ours() {
    let dir = tree(&["x"]);
    let root = Arc::new(root(dir.path()));
    let old = version_of(&root, "x");
    for (at, expect) in [("x", Expect::Version(old)), ("new", Expect::Absent)] {
        for theirs in ["them", "longer than ours", "ours"] {
            let expect = if theirs == "them" { expect.clone() } else { Expect::Version(version_of(&root, at)) };
            let temp = ours(&root, at, &expect);
            let path = dir.path().join(at);
            let edit = move |point: &str, _: &str| {
                if point == "renamed" && theirs != "ours" {
                    std::fs::write(&path, theirs).unwrap();
                }
                Ok(())
            };
            let entry = seam::with(edit, || temp.publish(&expect, Some(1_000_000_000)).unwrap());
            assert_eq!(entry.version == version_of(&root, at), theirs == "ours", "{at}: {theirs}");
        }
    }
}

#[test]
fn a_change_right_before_a_deletion_is_not_deleted() {
    let dir = tree(&["x"]);
    let root = root(dir.path());
    let seen = version_of(&root, "x");
    let path = dir.path().join("x");
    let theirs = move |point: &str, _: &str| {
        if point == "delete" {
            std::fs::write(&path, "theirs").unwrap();
        }
        Ok(())
    };
    let results = seam::with(theirs, || delete::delete(&root, &[(key("x"), seen)]));
    assert_eq!(results[0].as_ref().unwrap_err().cause, Cause::Precondition);
    assert!(dir.path().join("x").exists());
}

/// Whoever was interrupted looks what became of it: nothing may come afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn after_dropped_calls_came_to_rest_nothing_appears_or_goes() {
    let dir = tempfile::tempdir().unwrap();
    let replica = Local::open(dir.path()).unwrap();
    replica.connect(Contact::Prepare).await.unwrap();
    let mut partly = 0;
    for round in 0..20_u64 {
        let put = async |name: String| {
            PutParts::new(Expect::Absent).put(&replica, &name, &whole(name.as_bytes())).await.map(drop)
        };
        let all = futures_util::future::join_all((0..300).map(|n| put(format!("{round}/{n}"))));
        tokio::time::timeout(std::time::Duration::from_millis(2 * round), all).await.ok();
        replica.quiet().await;
        let seen = everything(dir.path());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(everything(dir.path()), seen, "round {round}");
        let count = seen.iter().filter(|name| name.starts_with(&format!("{round}/"))).count();
        partly += usize::from(count > 0 && count < 300);
        // Deletions alike.
        let mut there = Vec::new();
        for name in seen.iter().filter(|name| dir.path().join(name).is_file()) {
            there.push((key(name), replica.look_up(&key(name)).await.unwrap().unwrap().version));
        }
        tokio::time::timeout(std::time::Duration::from_millis(1), replica.delete(&there)).await.ok();
        replica.quiet().await;
        let seen = everything(dir.path());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(everything(dir.path()), seen, "round {round}");
    }
    println!("{partly} rounds ended in between");
}
