//! Roots that go, come back, or are others.

use super::super::raw::Raw;
use super::super::system::begin;
use super::*;
use crate::replica::local::watch::Lost;

fn lost(told: &[Sign]) -> Option<&Lost> {
    told.iter().find_map(|sign| if let Sign::Lost(lost) = sign { Some(lost) } else { None })
}

fn returned(told: &[Sign]) -> bool {
    told.contains(&Sign::Rescan(Missed::Returned))
}

#[tokio::test]
async fn a_root_that_was_renamed_is_lost_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = inside(&dir, "root");
    let mut ears = Ears::on(&root).await;
    assert_eq!(ears.watched.check().await, None);
    fs::rename(&root, dir.path().join("away")).unwrap();
    let told = ears.until(|told| lost(told).is_some()).await;
    assert!(lost(&told).unwrap().message.contains("is gone"), "{told:?}");
    // Another directory in its place is not it.
    fs::create_dir(&root).unwrap();
    let message = ears.watched.check().await.unwrap().message;
    assert!(message.contains("replaced by another directory"), "{message}");
    let told = ears.until(|told| lost(told).is_some()).await;
    assert_eq!(lost(&told).unwrap().message, message);
    fs::remove_dir(&root).unwrap();
    fs::rename(dir.path().join("away"), &root).unwrap();
    assert_eq!(ears.watched.check().await, None);
    ears.until(returned).await;
    fs::create_dir(root.join("d")).unwrap();
    ears.until_told(Sign::Below(key("d"))).await;
    fs::write(root.join("d/x"), "x").unwrap();
    ears.until_told(Sign::Finished(key("d/x"))).await;
}

#[tokio::test]
async fn a_root_that_is_made_again_is_another_one_even_with_the_same_number() {
    let dir = tempfile::tempdir().unwrap();
    let root = inside(&dir, "root");
    let mut ears = Ears::on(&root).await;
    fs::remove_dir(&root).unwrap();
    // Many file systems give the number of an inode anew at once.
    fs::create_dir(&root).unwrap();
    assert!(ears.watched.check().await.is_some());
    ears.until(|told| lost(told).is_some()).await;
}

/// Nothing below the root tells when a directory above it is renamed: the regular look does.
#[tokio::test(start_paused = true)]
async fn a_root_that_goes_without_an_event_is_noticed_by_the_regular_look() {
    let dir = tempfile::tempdir().unwrap();
    let above = inside(&dir, "above");
    fs::create_dir(above.join("root")).unwrap();
    let mut watched = watch(spec(&above.join("root"))).await.unwrap();
    fs::rename(&above, dir.path().join("elsewhere")).unwrap();
    let told = watched.next().await;
    assert!(lost(&told).is_some(), "{told:?}");
}

#[tokio::test]
async fn a_root_that_is_missing_or_no_directory_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let error = watch(spec(&dir.path().join("nothing"))).await.unwrap_err();
    assert!(error.message.contains("there is no directory"), "{error:?}");
    fs::write(dir.path().join("file"), "x").unwrap();
    let error = watch(spec(&dir.path().join("file"))).await.unwrap_err();
    assert!(error.message.contains("is not a directory"), "{error:?}");
}

/// After an unmount and a mount of the same disk nothing is told any more, and no event says so.
#[tokio::test]
async fn a_watch_that_died_in_silence_is_found_and_set_anew() {
    use notify::Watcher as _;
    let dir = tempfile::tempdir().unwrap();
    let (mut teller, events, mut signs) = begin(spec(dir.path()), 64).unwrap();
    teller.take(Raw::Check);
    assert_eq!(teller.signs, [], "it hears");
    teller.notify.as_mut().unwrap().unwatch(dir.path()).unwrap();
    teller.take(Raw::Check);
    assert_eq!(teller.signs, [Sign::Rescan(Missed::Deaf)]);
    fs::write(dir.path().join("x"), "x").unwrap();
    let thread = std::thread::spawn(move || teller.run(&events));
    let mut told = Vec::new();
    while !told.contains(&Sign::Finished(key("x"))) {
        told.extend(signs.recv().await.unwrap());
    }
    drop(signs);
    // The next event finds nobody listening.
    while !thread.is_finished() {
        fs::write(dir.path().join("y"), "y").unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
