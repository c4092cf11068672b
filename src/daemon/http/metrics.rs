//! `/metrics`: the text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Labels are names from the configuration and words of ours; never a path, so that there are as many series as jobs.

use std::fmt::{Display, Write as _};

use crate::daemon::state::{DaemonState, Health, JobState, Look, Phase, Running, SECOND};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub(super) fn text(state: &DaemonState, now_ns: i64) -> String {
    let mut page = Page::default();
    page.family("mediasync_build_info", "gauge", "The version that runs.");
    page.line("mediasync_build_info", &[("version", &state.version)], 1);
    page.family("mediasync_start_time_seconds", "gauge", "When the daemon began, in seconds since the epoch.");
    page.line("mediasync_start_time_seconds", &[], Seconds(state.started_ns));
    let failed = u8::from(state.reload_error.is_some());
    page.family("mediasync_config_reload_failed", "gauge", "1 if the configuration on disk could not be taken over.");
    page.line("mediasync_config_reload_failed", &[], failed);
    gauges(&mut page, state, now_ns);
    states(&mut page, state, now_ns);
    running(&mut page, state);
    totals(&mut page, state);
    page.0
}

fn gauges(page: &mut Page, state: &DaemonState, now_ns: i64) {
    let waited = u64::try_from((now_ns - state.started_ns) / SECOND).unwrap_or(0);
    let help = "Seconds for which both sides are not known to be equal; before they were for the first time, since \
                the daemon began.";
    page.gauge(state, "mediasync_job_lag_seconds", help, |job| Some(job.lag_s(now_ns).unwrap_or(waited)));
    let help = "The lag from which on the job counts as stale.";
    page.gauge(state, "mediasync_job_max_age_seconds", help, |job| Some(job.max_age_s));
    let help = "When both sides were last known to be equal: now, while a watched job has nothing to do. Missing \
                before the first time.";
    page.gauge(state, "mediasync_job_last_success_timestamp_seconds", help, |job| {
        let lag = i64::try_from(job.lag_s(now_ns)?).unwrap_or(i64::MAX);
        Some(Seconds(now_ns.saturating_sub(lag.saturating_mul(SECOND))))
    });
    let help = "When both sides are looked at next. Missing if nothing is scheduled.";
    page.gauge(state, "mediasync_job_next_run_timestamp_seconds", help, |job| job.next_ns.map(Seconds));
    page.gauge(state, "mediasync_job_dirty_keys", "Keys that changed and are not done yet.", |job| Some(job.dirty));
    page.gauge(state, "mediasync_job_synced_files", "Files that are equal on both sides.", |job| Some(job.synced.0));
    page.gauge(state, "mediasync_job_synced_bytes", "Their bytes.", |job| Some(job.synced.1));
    let help = "Keys that could not be handled and are left.";
    page.gauge(state, "mediasync_job_problem_keys", help, |job| Some(job.problem_count));
    page.gauge(state, "mediasync_job_conflict_keys", "Keys in conflict that are left.", |job| Some(job.conflict_count));
    let help = "How often the job failed in a row.";
    page.gauge(state, "mediasync_job_failed_tries", help, |job| {
        Some(job.error.as_ref().map_or(0, |error| error.tries))
    });
    let help = "Directories that are watched. Missing for a job that is not.";
    page.gauge(state, "mediasync_job_watched_directories", help, |job| {
        job.watch.as_ref().map(|watch| watch.directories)
    });
}

/// What a job is, one series for each thing that it could be: 1 for the one that it is.
fn states(page: &mut Page, state: &DaemonState, now_ns: i64) {
    page.family("mediasync_job_health", "gauge", "1 for how the job stands, 0 for the others.");
    for job in &state.jobs {
        let is = job.health(now_ns, state.started_ns);
        for health in Health::ALL {
            page.line("mediasync_job_health", &[("job", &job.name), ("health", health.name())], u8::from(health == is));
        }
    }
    page.family(
        "mediasync_job_watch_coverage",
        "gauge",
        "1 for how much of the directory is watched, 0 for the others.",
    );
    for job in &state.jobs {
        let is = job.watch.as_ref().map_or("none", |watch| watch.coverage.name());
        for coverage in ["none", "full", "degraded", "polling", "lost"] {
            let labels = [("job", job.name.as_str()), ("coverage", coverage)];
            page.line("mediasync_job_watch_coverage", &labels, u8::from(coverage == is));
        }
    }
    page.gauge(state, "mediasync_job_paused", "1 while a person paused the job.", |job| {
        Some(u8::from(job.phase == Phase::Paused))
    });
}

fn running(page: &mut Page, state: &DaemonState) {
    let none = Running::new(Look::Both, 0);
    let running = |job: &JobState| job.running.clone().unwrap_or(none.clone());
    page.gauge(state, "mediasync_job_running", "1 while a cycle is under way.", |job| {
        Some(u8::from(job.running.is_some()))
    });
    page.gauge(state, "mediasync_job_running_actions", "Actions of the cycle under way.", |job| {
        Some(running(job).actions)
    });
    let help = "Of these, done.";
    page.gauge(state, "mediasync_job_running_actions_done", help, |job| Some(running(job).actions_done));
    let help = "Bytes that the cycle under way has to send.";
    page.gauge(state, "mediasync_job_running_bytes", help, |job| Some(running(job).bytes_to_send));
    page.gauge(state, "mediasync_job_running_bytes_sent", "Of these, sent.", |job| Some(running(job).bytes_sent));
}

fn totals(page: &mut Page, state: &DaemonState) {
    page.family("mediasync_job_cycles_total", "counter", "Cycles that ended, by what they looked at.");
    for job in &state.jobs {
        let totals = job.totals;
        for (look, count) in
            [("changes", totals.cycles_changes), ("watched", totals.cycles_watched), ("both", totals.cycles_both)]
        {
            page.line("mediasync_job_cycles_total", &[("job", &job.name), ("look", look)], count);
        }
    }
    page.family("mediasync_job_changes_total", "counter", "Keys changed, by what was done to them.");
    for job in &state.jobs {
        let done = job.totals.done;
        let kinds = [
            ("create", done.creates),
            ("overwrite", done.overwrites),
            ("copy", done.copies),
            ("delete", done.deletes),
            ("restyle", done.restyles),
        ];
        for (kind, count) in kinds {
            page.line("mediasync_job_changes_total", &[("job", &job.name), ("kind", kind)], count);
        }
    }
    page.counter(state, "mediasync_job_sent_bytes_total", "Bytes sent.", |job| job.totals.done.bytes);
    page.counter(state, "mediasync_job_failures_total", "Cycles that failed.", |job| job.totals.failures);
    page.counter(state, "mediasync_job_halts_total", "Cycles that a guard refused.", |job| job.totals.halts);
    let help = "Keys that could not be handled, summed over cycles.";
    page.counter(state, "mediasync_job_problems_total", help, |job| job.totals.problems);
    page.counter(state, "mediasync_job_requests_total", "Requests to object stores.", |job| job.totals.requests);
}

/// Nanoseconds since the epoch, written as seconds.
struct Seconds(i64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.div_euclid(1_000_000);
        write!(f, "{}.{:03}", ms.div_euclid(1_000), ms.rem_euclid(1_000))
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            self.write(format_args!("{}{label}=\"", if n == 0 { '{' } else { ',' }));
            for c in text.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        self.write(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }

    fn gauge<V: Display>(
        &mut self,
        state: &DaemonState,
        name: &str,
        help: &str,
        value: impl Fn(&JobState) -> Option<V>,
    ) {
        self.family(name, "gauge", help);
        for job in &state.jobs {
            if let Some(value) = value(job) {
                self.line(name, &[("job", &job.name)], value);
            }
        }
    }

    fn counter(&mut self, state: &DaemonState, name: &str, help: &str, value: impl Fn(&JobState) -> u64) {
        self.family(name, "counter", help);
        for job in &state.jobs {
            self.line(name, &[("job", &job.name)], value(job));
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes all");
    }
}
