//! Schedules.

use super::*;

const BY_ITSELF: Rhythm = Rhythm { scan_ns: None, list_ns: None };

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_watches_runs_at_its_times() {
    local(async {
        let every = Schedule::Every(Duration::from_secs(900));
        let rig = Rig::begin(3, Rhythm { scan_ns: None, list_ns: None }, Some(every)).await;
        assert!(rig.is_equal(), "it never ran, so it runs at once");
        advance(Duration::from_secs(1)).await;
        for round in 0..4 {
            rig.source.write(&key(&format!("new/{round}")), "new");
            rig.later(890).await;
            rig.later(12).await;
        }
        assert!(rig.is_equal());
        assert_eq!(rig.job().totals.cycles_both, 5);
        assert_eq!(rig.job().watch.map(|watch| watch.coverage), None::<Seen>);
    })
    .await;
}

fn hourly() -> Schedule {
    Schedule::cron("0 * * * *", jiff::tz::TimeZone::UTC).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_run_that_was_not_carried_out_is_made_up_at_once() {
    local(async {
        let this_hour = Timestamp::from_second(HOUR_SHARP).unwrap();
        let rig = Rig::begin_after(3, BY_ITSELF, Some(hourly()), Past::Done(this_hour)).await;
        assert_eq!((rig.job().totals.cycles_both, rig.job().phase), (0, Phase::Idle));
        let rig = Rig::begin_after(3, BY_ITSELF, Some(hourly()), Past::Undone(this_hour)).await;
        assert!(rig.is_equal());
        rig.later(3_500).await;
        assert_eq!(rig.job().totals.cycles_both, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_an_hour_repeats_no_run_and_stops_none() {
    local(async {
        let this_hour = Timestamp::from_second(HOUR_SHARP).unwrap();
        let rig = Rig::begin_after(3, BY_ITSELF, Some(hourly()), Past::Done(this_hour)).await;
        rig.later(3_600).await;
        assert_eq!(rig.job().totals.cycles_both, 1, "09:00");
        rig.skew.set(-3_600);
        rig.later(3_700).await;
        assert_eq!(rig.job().totals.cycles_both, 1, "09:00 for the second time");
        rig.later(3_600).await;
        assert_eq!(rig.job().totals.cycles_both, 2, "10:00");
        // What goes by its own rhythm does not look at the wall.
        let every = Schedule::Every(Duration::from_secs(900));
        let rig = Rig::begin(3, BY_ITSELF, Some(every)).await;
        rig.skew.set(-3_600);
        rig.later(3_610).await;
        assert_eq!(rig.job().totals.cycles_both, 5);
        let rig = Rig::watching(3).await;
        rig.skew.set(-3_600);
        rig.source.write(&key("new.jpg"), "new");
        rig.tell([Sign::Finished(key("new.jpg"))]);
        rig.later(1).await;
        assert!(rig.is_equal());
    })
    .await;
}
