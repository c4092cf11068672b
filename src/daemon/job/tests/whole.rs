//! What belongs together is looked at together, and nothing that failed or has to wait is forgotten.

use super::*;
use crate::replica::{Cause, Error};

impl Rig {
    fn remove(&self, name: &str) {
        self.source.remove(&key(name));
        self.tell([Sign::Gone(key(name))]);
    }

    fn put_in(&self, name: &str, content: impl Into<bytes::Bytes>) {
        self.source.write(&key(name), content);
        self.tell([Sign::Finished(key(name))]);
    }

    /// Content of these keys can't be stored from now on.
    fn break_keys(&self, cause: Cause, is_broken: impl Fn(&str) -> bool + Send + 'static) {
        self.dest.inject(move |call| match (call.operation, &call.key) {
            ("put" | "copy", Some(key)) if is_broken(key.as_str()) => Fault::Before(Error::new(cause, "broken")),
            _ => Fault::None,
        });
    }
}

#[tokio::test(start_paused = true)]
async fn two_thousand_of_five_thousand_files_that_go_over_minutes_halt() {
    local(async {
        let rig = Rig::watching(5_000).await;
        rig.later(30).await;
        assert!(rig.is_equal());
        for n in 0..2_000 {
            rig.remove(&format!("dir/{n}.jpg"));
            sleep(Duration::from_millis(150)).await;
        }
        rig.later(60).await;
        let left = rig.dest.contents().len();
        assert_eq!(rig.job().phase, Phase::Halted, "{:?}", rig.job());
        // A tenth may go in a day.
        assert!((4_500..=5_000).contains(&left), "{left}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_deletions_is_looked_at_as_one_however_large_it_is() {
    local(async {
        let rig = Rig::watching(21_000).await;
        rig.later(30).await;
        // A part of it that one cycle may look at is not even a tenth.
        for n in 0..20_000 {
            rig.remove(&format!("dir/{n}.jpg"));
        }
        rig.later(60).await;
        assert_eq!((rig.job().phase, rig.dest.contents().len()), (Phase::Halted, 21_000), "{:?}", rig.job());
    })
    .await;
}

/// A sign that comes while a cycle looks makes it leave nothing alone that it then takes for done.
#[tokio::test(start_paused = true)]
async fn what_goes_while_a_deletion_is_looked_at_makes_nobody_forget_it() {
    local(async {
        for scope in ["key", "everything"] {
            let rig = Rig::watching(900).await;
            for round in 0..20 {
                let (gone, next) = (format!("dir/{round}.jpg"), format!("dir/{}.jpg", 400 + round));
                let (first, second) = (key(&gone), key(&next));
                let (source, script, told) = (Arc::clone(&rig.source), Arc::clone(&rig.script), Arc::default());
                let told: Arc<std::sync::atomic::AtomicBool> = told;
                rig.source.inject(move |call| {
                    let is_it = call.operation == "list" || call.key.as_ref() == Some(&first);
                    if is_it && !told.swap(true, std::sync::atomic::Ordering::Relaxed) {
                        script.lock().unwrap().as_ref().unwrap().tell([Sign::Gone(second.clone())]);
                    }
                    Fault::None
                });
                source.remove(&key(&gone));
                rig.tell([Sign::Gone(key(&gone))]);
                if scope == "everything" {
                    sleep(Duration::from_millis(1_900)).await;
                    rig.tell([Sign::Rescan(Missed::Overflow)]);
                }
                sleep(Duration::from_millis(2_050)).await;
                source.remove(&key(&next));
                rig.later(90).await;
                rig.source.heal();
                assert!(rig.is_equal(), "{scope}, round {round}: {:?}", rig.job());
            }
        }
    })
    .await;
}

/// Both halves wait together: while something comes and goes they would meet different cycles otherwise.
#[tokio::test(start_paused = true)]
async fn the_old_name_stays_as_long_as_the_new_one_can_not_be_made_whatever_happens_beside() {
    for directory in [false, true] {
        local(async {
            // So many that the scratch files are no matter for the guard.
            let rig = Rig::watching(600).await;
            rig.later(10).await;
            rig.break_keys(Cause::Refused, |key| key.starts_with("moved/"));
            let names: Vec<usize> = if directory { (0..600).collect() } else { vec![3] };
            for n in &names {
                let bytes = rig.source.contents()[&key(&format!("dir/{n}.jpg"))].clone();
                rig.source.remove(&key(&format!("dir/{n}.jpg")));
                rig.source.write(&key(&format!("moved/{n}.jpg")), bytes);
            }
            rig.tell([if directory {
                Sign::MovedDirectory { from: key("dir"), to: key("moved") }
            } else {
                Sign::Moved { from: key("dir/3.jpg"), to: key("moved/3.jpg") }
            }]);
            for n in 0..40 {
                rig.put_in(&format!("scratch{n}"), "x");
                sleep(Duration::from_millis(300)).await;
                rig.remove(&format!("scratch{n}"));
                sleep(Duration::from_millis(700)).await;
                let there = if n % 8 == 0 { rig.dest.contents() } else { continue };
                for n in &names {
                    let has = |name: String| there.contains_key(&key(&name));
                    assert!(has(format!("dir/{n}.jpg")) || has(format!("moved/{n}.jpg")), "{n}: {:?}", rig.job());
                }
            }
            rig.dest.heal();
            rig.later(700).await;
            assert!(rig.is_equal(), "{:?}", rig.job());
            assert_eq!((rig.job().phase, rig.job().dirty, rig.job().problem_count), (Phase::Idle, 0, 0));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn however_many_keys_fail_none_is_forgotten() {
    local(async {
        let rig = Rig::watching(30).await;
        let broken = Cause::Transient { throttled: false, after: None };
        rig.break_keys(broken, |key| key.starts_with("bad/"));
        for n in 0..1_500 {
            rig.put_in(&format!("bad/{n}"), format!("bad {n}"));
        }
        rig.put_in("good", "good");
        rig.later(30).await;
        let job = rig.job();
        assert!(rig.dest.contents().contains_key(&key("good")));
        assert!(job.problem_count >= 1_000, "{}", job.problem_count);
        assert_ne!(job.health(0, 0), Health::InSync);
        rig.dest.heal();
        rig.later(700).await;
        assert!(rig.is_equal());
        assert_eq!((rig.job().phase, rig.job().dirty, rig.job().problem_count), (Phase::Idle, 0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_all_the_time_is_tried_now_and_then_and_keeps_nobody_waiting() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.calls();
        rig.break_keys(Cause::Changed, |key| key == "app.log");
        for n in 0..900 {
            rig.source.write(&key("app.log"), format!("{n}"));
            rig.tell([if n % 2 == 0 { Sign::Writing(key("app.log")) } else { Sign::Finished(key("app.log")) }]);
            if n % 10 == 0 {
                rig.put_in("photo.jpg", format!("photo {n}"));
            }
            sleep(Duration::from_millis(100)).await;
            if n % 10 == 0 {
                assert_eq!(rig.dest.contents()[&key("photo.jpg")], format!("photo {n}"), "{:?}", rig.job());
            }
        }
        let calls = rig.dest.take_calls();
        let tries = calls.iter().filter(|call| call.key == Some(key("app.log")) && call.operation == "put").count();
        assert!((1..20).contains(&tries), "{tries} tries in 90 s");
        rig.dest.heal();
        rig.later(700).await;
        assert!(rig.is_equal(), "{:?}", rig.job());
    })
    .await;
}
