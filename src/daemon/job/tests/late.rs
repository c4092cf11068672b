//! A server that does what it was asked for after the daemon has given up: nobody tells of it.

use super::*;
use crate::replica::{Cause, Error};

impl Rig {
    /// The next write is given up, and goes on at the server.
    fn gives_up(&self) {
        let error = Error::new(Cause::Transient { throttled: false, after: None }, "no answer");
        self.dest.inject(move |call| if call.operation == "put" { Fault::Before(error.clone()) } else { Fault::None });
    }

    async fn given_up(&self, what: &str, content: &'static str) {
        self.gives_up();
        self.source.write(&key(what), content);
        self.tell([Sign::Finished(key(what))]);
        self.later(1).await;
        assert_eq!(self.job().problem_count, 1, "{:?}", self.job());
        self.dest.heal();
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_after_it_was_deleted_is_taken_away_again() {
    for after in [1, 9, 70, 200, 290] {
        local(async {
            let rig = Rig::watching(30).await;
            rig.given_up("new.jpg", "new").await;
            rig.source.remove(&key("new.jpg"));
            rig.tell([Sign::Gone(key("new.jpg"))]);
            rig.later(10).await;
            assert!(rig.is_equal());
            let job = rig.job();
            assert_eq!(
                (job.health(i64::MAX / 2, 0), job.dirty),
                (Health::InSync, 0),
                "what may come is no lag: {job:?}"
            );
            rig.later(after).await;
            rig.dest.arrives(&key("new.jpg"), "new");
            assert!(!rig.is_equal());
            rig.later(after + 15).await;
            assert!(rig.is_equal(), "after {after} s: {:?}", rig.job());
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_is_taken_away_though_a_cycle_failed_meanwhile() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.given_up("new.jpg", "new").await;
        rig.source.remove(&key("new.jpg"));
        rig.tell([Sign::Gone(key("new.jpg"))]);
        rig.later(10).await;
        let looks = rig.job().totals;
        rig.dest.inject(|call| match call.operation {
            "put" => Fault::Before(Error::new(Cause::Stop, "refused")),
            _ => Fault::None,
        });
        rig.source.write(&key("dir/1.jpg"), "edited");
        rig.tell([Sign::Finished(key("dir/1.jpg"))]);
        // It becomes due while the pair is closed, which is no reason to be awake.
        let wakes = rig.wakes_in(120).await;
        assert!(wakes < 100, "{wakes}");
        assert_eq!(rig.job().phase, Phase::Failing);
        rig.dest.heal();
        rig.later(61).await;
        assert!(rig.is_equal(), "{:?}", rig.job());
        rig.dest.arrives(&key("new.jpg"), "new");
        rig.later(200).await;
        assert!(rig.is_equal(), "{:?}", rig.job());
        let now = rig.job().totals;
        let whole = (now.cycles_watched - looks.cycles_watched, now.cycles_both - looks.cycles_both);
        assert_eq!(whole, (0, 0), "nothing else would have found it");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_arrives_in_front_of_a_newer_edit_is_no_conflict() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.given_up("dir/1.jpg", "first edit").await;
        rig.dest.inject(|call| match call.operation {
            "put" => Fault::Behind(key("dir/1.jpg"), Some("first edit".into())),
            _ => Fault::None,
        });
        rig.source.write(&key("dir/1.jpg"), "second edit");
        rig.tell([Sign::Finished(key("dir/1.jpg"))]);
        rig.later(1).await;
        rig.dest.heal();
        rig.later(10).await;
        let job = rig.job();
        assert!(rig.is_equal(), "{job:?}");
        assert_eq!((job.conflict_count, job.problem_count), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_never_arrives_is_not_looked_for_for_ever() {
    local(async {
        let rig = Rig::watching(30).await;
        rig.given_up("new.jpg", "new").await;
        rig.source.remove(&key("new.jpg"));
        rig.tell([Sign::Gone(key("new.jpg"))]);
        rig.later(10).await;
        rig.calls();
        rig.later(400).await;
        let looks = rig.calls();
        assert!((3..=14).contains(&looks.len()) && looks.iter().all(|call| call == "look_up"), "{looks:?}");
        rig.later(3_000).await;
        assert_eq!(rig.calls(), Vec::<String>::new());
    })
    .await;
}
