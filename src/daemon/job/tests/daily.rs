//! What is seen is done, once, and nothing else is asked.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_idle_day_asks_for_nothing_but_its_listing() {
    local(async {
        let rig = Rig::watching(30).await;
        assert!(rig.is_equal());
        assert_eq!(rig.job().health(0, 0), Health::InSync);
        let since = rig.job().equal_since_ns;
        let checked = rig.job().checked_ns;
        rig.calls();
        rig.source.take_calls();
        rig.later(24 * 3_600 - 60).await;
        assert_eq!(rig.calls(), Vec::<String>::new(), "a day without a request");
        let scans = rig.source.take_calls().into_iter().filter(|call| call.operation == "list").count();
        assert_eq!(scans, 23);
        let totals = rig.job().totals;
        assert_eq!((totals.cycles_changes, totals.cycles_watched, totals.cycles_both), (0, 23, 1));
        rig.later(120).await;
        assert_eq!(rig.calls().iter().filter(|op| *op == "list").count(), 1);
        assert_eq!(rig.job().equal_since_ns, since, "in sync without a break");
        assert!(since.is_some() && rig.job().checked_ns > checked.map(|at| at + 23 * HOUR), "and checked again");
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(1).await;
        assert!(rig.job().equal_since_ns > since.map(|at| at + 23 * HOUR), "since the change was sent");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_sent_at_once_and_nothing_else_is_asked() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.calls();
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        sleep(Duration::from_millis(50)).await;
        assert!(rig.is_equal());
        assert_eq!(rig.calls(), ["put"]);
        // Gone, and back before anybody was told.
        let bytes = rig.source.contents()[&key("dir/1.jpg")].clone();
        rig.source.remove(&key("dir/1.jpg"));
        rig.tell([Sign::Gone(key("dir/1.jpg"))]);
        sleep(Duration::from_secs(1)).await;
        rig.source.write(&key("dir/1.jpg"), bytes);
        rig.tell([Sign::Finished(key("dir/1.jpg"))]);
        rig.later(60).await;
        assert_eq!(rig.calls(), Vec::<String>::new());
        // Gone for good.
        rig.source.remove(&key("dir/2.jpg"));
        rig.tell([Sign::Gone(key("dir/2.jpg"))]);
        sleep(Duration::from_secs(1)).await;
        assert_eq!((rig.job().dirty, rig.calls().len()), (1, 0));
        rig.later(5).await;
        assert!(rig.is_equal());
        assert_eq!((rig.job().dirty, rig.job().health(i64::MAX, 0)), (0, Health::InSync));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_leaves_alone_what_is_away_for_a_moment() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.calls();
        rig.source.remove(&key("dir/1.jpg"));
        rig.source.remove(&key("dir/2.jpg"));
        rig.tell([Sign::Gone(key("dir/1.jpg"))]);
        sleep(Duration::from_millis(500)).await;
        rig.orders.send(Order::Run).await.unwrap();
        sleep(Duration::from_millis(500)).await;
        assert_eq!(rig.dest.contents().len(), 29, "nobody said that the second one may come back");
        rig.later(5).await;
        assert!(rig.is_equal(), "and what was left alone is not forgotten");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_asked_again_and_nothing_is_forgotten() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.dest.inject(|_| Fault::Before(crate::replica::Error::new(crate::replica::Cause::Stop, "down")));
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(60).await;
        let job = rig.job();
        assert!(!rig.is_equal());
        assert_eq!(job.phase, Phase::Failing, "{job:?}");
        assert!(job.error.is_some_and(|error| error.tries > 3));
        rig.dest.heal();
        rig.later(61).await;
        assert!(rig.is_equal());
        assert_eq!((rig.job().phase, rig.job().error), (Phase::Idle, None));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_looked_for_when_it_is_quiet() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.calls();
        rig.source.write(&key("unseen.jpg"), "new");
        rig.tell([Sign::Rescan(Missed::Overflow)]);
        rig.later(3).await;
        assert!(rig.is_equal());
        assert_eq!((rig.calls(), rig.job().totals.cycles_watched), (vec!["put".to_owned()], 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lent_pair_is_left_alone_until_it_comes_back() {
    local(async {
        let rig = Rig::watching(30).await;
        let (reply, loan) = oneshot::channel();
        rig.orders.send(Order::Lend(reply)).await.unwrap();
        let loan = loan.await.unwrap();
        assert_eq!(rig.job().phase, Phase::Lent);
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(100).await;
        assert!(!rig.is_equal());
        drop(loan);
        rig.later(1).await;
        assert!(rig.is_equal());
        rig.orders.send(Order::Pause).await.unwrap();
        rig.source.write(&key("newer.jpg"), "new");
        rig.tell([Sign::Finished(key("newer.jpg"))]);
        rig.later(100).await;
        assert_eq!((rig.is_equal(), rig.job().phase, rig.job().dirty), (false, Phase::Paused, 1));
        rig.orders.send(Order::Resume).await.unwrap();
        rig.later(1).await;
        assert!(rig.is_equal());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_while_another_host_has_the_lease_is_done_afterwards_without_a_scan() {
    local(async {
        let rig = Rig::watching(3).await;
        let before = rig.job().totals;
        rig.leased.set(true);
        for n in 0..5 {
            let new = key(&format!("new/{n}.jpg"));
            rig.source.write(&new, "new");
            rig.tell([Sign::Finished(new)]);
            rig.later(60).await;
            let job = rig.job();
            assert_eq!((job.phase, job.dirty, job.totals.failures), (Phase::Standby, n + 1, 0));
            assert_eq!(job.health(job.peer_seen_ns.unwrap() + 14 * SECOND, 0), Health::Standby);
        }
        rig.leased.set(false);
        rig.later(11).await;
        let job = rig.job();
        assert!(rig.is_equal());
        assert_eq!((job.phase, job.peer_seen_ns, job.error), (Phase::Idle, None, None));
        let looks = (job.totals.cycles_watched - before.cycles_watched, job.totals.cycles_both - before.cycles_both);
        assert_eq!(looks, (0, 0), "the changes are known");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_went_away_while_the_pair_was_lent_is_not_taken_for_gone_at_once() {
    local(async {
        let rig = Rig::watching(30).await;
        let (reply, loan) = oneshot::channel();
        rig.orders.send(Order::Lend(reply)).await.unwrap();
        let loan = loan.await.unwrap();
        rig.source.remove(&key("dir/1.jpg"));
        rig.tell([Sign::Gone(key("dir/1.jpg"))]);
        sleep(Duration::from_millis(100)).await;
        drop(loan);
        sleep(Duration::from_millis(500)).await;
        assert_eq!((rig.job().totals.cycles_both, rig.dest.contents().len()), (2, 30), "an editor may be saving");
        rig.later(5).await;
        assert!(rig.is_equal());
    })
    .await;
}
