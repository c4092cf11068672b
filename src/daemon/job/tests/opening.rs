//! A pair that can't be opened for long: orders are heard all the same.

use tokio::time::timeout;

use super::*;

/// Longer than an answer may take.
const SOON: Duration = Duration::from_secs(1);

impl Rig {
    async fn say(&self, order: Order) {
        self.orders.send(order).await.unwrap();
        self.later(1).await;
    }

    async fn borrow(&self) -> Loan {
        let (reply, loan) = oneshot::channel();
        self.orders.send(Order::Lend(reply)).await.unwrap();
        timeout(SOON, loan).await.expect("it is lent at once").unwrap()
    }

    /// A watched job whose pair is being opened anew, without an end.
    async fn stuck() -> Self {
        let rig = Self::watching(3).await;
        rig.stuck.set(true);
        drop(rig.borrow().await);
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(100).await;
        assert!(!rig.is_equal(), "nothing is open");
        rig
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_pair_is_being_opened_pauses_lends_and_goes_on() {
    local(async {
        let rig = Rig::stuck().await;
        rig.say(Order::Pause).await;
        assert_eq!(rig.job().phase, Phase::Paused);
        rig.say(Order::Resume).await;
        assert_ne!(rig.job().phase, Phase::Paused);
        let loan = rig.borrow().await;
        assert_eq!(rig.job().phase, Phase::Lent);
        drop(loan);
        rig.later(100).await;
        assert!(!rig.is_equal());
        // A run that is asked for begins anew, and what was seen meanwhile is not forgotten.
        rig.stuck.set(false);
        rig.say(Order::Run).await;
        rig.later(5).await;
        assert!(rig.is_equal(), "{:?}", rig.job());
        assert_eq!(rig.job().phase, Phase::Idle);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_pair_is_being_opened_ends_when_it_is_told_to() {
    local(async {
        let Rig { task, orders, stuck, .. } = Rig::stuck().await;
        assert!(stuck.get());
        drop(orders);
        timeout(SOON, task).await.expect("it ends at once").unwrap();
    })
    .await;
}
