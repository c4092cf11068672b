//! What halts a job or is told as a conflict, and how that ends.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_somebody_else_wrote_there_is_a_conflict_and_stays() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.dest.write(&key("dir/1.jpg"), "theirs");
        rig.source.write(&key("dir/1.jpg"), "ours");
        rig.tell([Sign::Finished(key("dir/1.jpg"))]);
        rig.later(10).await;
        assert_eq!(rig.dest.contents()[&key("dir/1.jpg")], "theirs");
        let job = rig.job();
        assert_eq!((job.conflict_count, job.problem_count, job.health(0, 0)), (1, 0, Health::Problems), "{job:?}");
        rig.source.write(&key("dir/1.jpg"), "theirs");
        rig.tell([Sign::Finished(key("dir/1.jpg"))]);
        rig.later(10).await;
        assert_eq!((rig.job().conflict_count, rig.job().health(0, 0)), (0, Health::InSync));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn too_many_deletions_halt_and_putting_them_right_ends_that() {
    local(async {
        let rig = Rig::watching(100).await;
        let before = rig.source.contents();
        for n in 0..60 {
            rig.source.remove(&key(&format!("dir/{n}.jpg")));
        }
        rig.tell((0..60).map(|n| Sign::Gone(key(&format!("dir/{n}.jpg")))));
        rig.later(10).await;
        let job = rig.job();
        assert_eq!((job.phase, job.health(0, 0)), (Phase::Halted, Health::Halted), "{job:?}");
        let again = |job: &JobState| job.halt.as_ref().map(|halt| (halt.again_ns.unwrap() - halt.since_ns) / SECOND);
        assert_eq!(again(&job), Some(600), "when it looks again by itself");
        assert!(job.halt.is_some_and(|halt| halt.plan.is_some()));
        assert_eq!(rig.dest.contents().len(), 100);
        // New files wait too: a halt changes nothing.
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(10).await;
        assert_eq!((rig.dest.contents().len(), again(&rig.job())), (100, Some(60)), "sooner, since something changed");
        for (key, bytes) in before.iter().take(58) {
            rig.source.write(key, bytes.clone());
        }
        rig.tell(before.keys().take(58).map(|key| Sign::Finished(key.clone())));
        rig.later(120).await;
        assert!(rig.is_equal(), "{:?}", rig.job());
        assert_eq!(rig.job().phase, Phase::Idle);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_is_deleted_slowly_is_one_deletion_for_the_guard() {
    local(async {
        let rig = Rig::watching(100).await;
        for n in 0..60 {
            rig.source.remove(&key(&format!("dir/{n}.jpg")));
            rig.tell([Sign::Gone(key(&format!("dir/{n}.jpg")))]);
            sleep(Duration::from_millis(100)).await;
        }
        rig.later(40).await;
        assert_eq!((rig.job().phase, rig.dest.contents().len()), (Phase::Halted, 100), "nothing of it was done");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_directory_in_the_place_of_the_root_halts() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.source.change_identity("another");
        for n in 0..30 {
            rig.source.remove(&key(&format!("dir/{n}.jpg")));
        }
        rig.tell([Sign::Lost(Lost { message: "the root was replaced".into(), hint: String::new() })]);
        rig.later(10).await;
        let job = rig.job();
        assert_eq!((job.phase, rig.dest.contents().len()), (Phase::Halted, 30), "{job:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_another_host_settles_is_over() {
    local(async {
        let (rig, edited) = (Rig::among_hosts(3).await, key("dir/1.jpg"));
        for (n, tells) in [Vec::new(), vec![Sign::Rescan(Missed::Overflow)]].into_iter().enumerate() {
            rig.dest.write(&edited, format!("sent by the other host, of which this one heard nothing: {n}"));
            rig.source.write(&edited, format!("edited again: {n}"));
            rig.tell([Sign::Finished(edited.clone())]);
            // Now it looks again by itself less often than every minute.
            rig.later(120).await;
            assert_eq!(rig.job().conflict_count, 1);
            rig.dest.write(&edited, format!("edited again: {n}"));
            // It looks again by itself, or a look at all of the source finds it, which asks the other side.
            let wait = if tells.is_empty() { 300 } else { 10 };
            rig.tell(tells);
            rig.later(wait).await;
            assert_eq!((rig.job().conflict_count, rig.job().totals.cycles_both), (0, 1));
        }
    })
    .await;
}
