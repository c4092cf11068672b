//! `/`: one page for people. Without scripts and requests of its own; it says first whether all is in sync, and since when.
//!
//! Whatever others chose (names, places, messages) goes through `maud`, which escapes it, and [`words::shown`], which
//! takes the sting out of control characters. The style sheet is the only style, allowed by its hash.

mod chart;
mod job;
mod words;

use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::daemon::state::{DaemonState, Health, JobState, SECOND};
use words::{Clock, Tone, counted, duration, shown};

const STYLE: &str = include_str!("style.css");
/// A page that is looked at stays as fresh as this, in seconds; faster while something moves.
const REFRESH: u32 = 60;
const REFRESH_MOVING: u32 = 10;

/// Whether the page loads itself again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    Yes,
    No,
}

/// What the browser may do with the page: show it, with our style and the icon in its tab, and nothing else.
pub(super) fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; frame-ancestors 'none'; base-uri 'none'; \
             form-action 'none'"
        )
    })
}

/// The page.
pub(super) fn page(state: &DaemonState, refresh: Refresh, (now_ns, zone): (i64, TimeZone)) -> String {
    let clock = Clock { now_ns, zone };
    let answer = Answer::of(state, &clock);
    let moving = state.jobs.iter().any(|job| job.running.is_some());
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if refresh == Refresh::Yes {
                    meta http-equiv="refresh" content=(if moving { REFRESH_MOVING } else { REFRESH });
                }
                title { (answer.headline) " · mediasync" }
                link rel="icon" href=(answer.tone.favicon());
                style { (PreEscaped(STYLE)) }
            }
            body {
                (top(&answer, &clock))
                main {
                    @if let Some(error) = &state.reload_error {
                        div.note.bad role="group" aria-label="Configuration" {
                            p { strong { "The configuration on disk could not be taken over; the one before is in use." } }
                            p.said { (shown(error)) }
                        }
                    }
                    @if state.jobs.is_empty() { (nobody(state)) }
                    @if state.jobs.len() > 1 { (overview(state, &clock)) }
                    @for (n, job) in state.jobs.iter().enumerate() { (job::section(job, n, state, &clock)) }
                }
                (bottom(state, refresh, moving, &clock))
            }
        }
    };
    markup.into_string()
}

/// What stands at the top.
struct Answer {
    tone: Tone,
    headline: String,
    detail: Markup,
}

impl Answer {
    fn of(state: &DaemonState, clock: &Clock) -> Self {
        let healths: Vec<Health> = state.jobs.iter().map(|job| job.health(clock.now_ns, state.started_ns)).collect();
        let number = |wanted: Health| healths.iter().filter(|health| **health == wanted).count();
        let jobs = |number: usize| counted(number as u64, "job", "jobs");
        let is = |number: usize| if number == 1 { "is" } else { "are" };
        let failing = state.jobs.iter().filter(|job| job.is_failing()).count();
        let first = state.jobs.iter().zip(&healths);
        let first = first.filter(|(job, health)| **health == Health::Syncing && job.awaits_its_first_run()).count();
        let (halted, stale, problems) = (number(Health::Halted), number(Health::Stale), number(Health::Problems));
        let (tone, headline) = if healths.is_empty() {
            (Tone::Still, "No jobs yet".to_owned())
        } else if halted > 0 {
            (
                Tone::Bad,
                format!("{} halted and {} for your decision", jobs(halted), if halted == 1 { "waits" } else { "wait" }),
            )
        } else if stale > 0 {
            (Tone::Bad, format!("{} {} late", jobs(stale), is(stale)))
        } else if failing > 0 {
            let again = if failing == 1 { "fails and tries again" } else { "fail and try again" };
            (Tone::Warn, format!("{} {again}", jobs(failing)))
        } else if problems > 0 {
            (Tone::Warn, format!("{} left something behind", jobs(problems)))
        } else if number(Health::Syncing) > first {
            (Tone::Busy, "Changes are on their way".to_owned())
        } else if first > 0 {
            let waits = if first == 1 { "waits for its first run" } else { "wait for their first run" };
            (Tone::Still, format!("{} {waits}", jobs(first)))
        } else if number(Health::Paused) > 0 {
            (
                Tone::Still,
                format!("In sync, but for {} that {} paused", jobs(number(Health::Paused)), is(number(Health::Paused))),
            )
        } else if number(Health::Standby) > 0 {
            (Tone::Still, format!("Another host works on {}", jobs(number(Health::Standby))))
        } else {
            (Tone::Good, "Everything is in sync".to_owned())
        };
        Self { tone, headline, detail: detail(state, &healths, clock) }
    }
}

/// The second line of the answer: since when, or who lags most.
fn detail(state: &DaemonState, healths: &[Health], clock: &Clock) -> Markup {
    let all = healths.len();
    let fine = healths.iter().filter(|health| **health == Health::InSync).count();
    if all == 0 {
        return html! { "The daemon runs and waits for its first job." };
    }
    if fine == all {
        let since = |job: &JobState| job.in_sync_since(clock.now_ns, state.started_ns);
        let since = state.jobs.iter().filter_map(since).max();
        return html! {
            @if let Some(since) = since { "for " (duration(clock.since(since))) ", since " (clock.time(since)) }
            @else { "as of now" }
        };
    }
    let lag = |job: &&JobState| job.lag_s(clock.now_ns).unwrap_or(u64::MAX);
    // What waits for a person comes before what is late.
    let halted: Vec<&JobState> = state.jobs.iter().filter(|job| job.halt.is_some()).collect();
    if all > 1 && !halted.is_empty() {
        return html! {
            (fine) " of " (all) " jobs are in sync. Halted: "
            @for (n, job) in halted.iter().enumerate() {
                @if n > 0 { ", " } span.name { (shown(&job.name)) }
            }
            "."
        };
    }
    let last = state.jobs.iter().max_by_key(lag).filter(|job| lag(job) > 0);
    let paused: Vec<&JobState> = state.jobs.iter().filter(|job| job.is_paused()).collect();
    html! {
        @if all > 1 { (fine) " of " (all) " jobs are in sync. " }
        @if let Some(job) = last {
            @if all > 1 { span.name { (shown(&job.name)) } " is " } @else { "It is " }
            @match job.lag_s(clock.now_ns) {
                Some(lag) => { (duration(lag)) " behind" @if all > 1 { ", the most of all" } "." }
                None if job.peer_seen_ns.is_some() => { "left to another host: this one has not looked at both sides yet." }
                None if job.error.is_some() => { "not in sync yet: each try failed." }
                None if job.awaits_its_first_run() => { "not in sync yet: its time has not come." }
                None => { "not in sync yet: the first look at both sides is under way." }
            }
        }
        @if all > 1 && !paused.is_empty() {
            " Paused: " @for (n, job) in paused.iter().enumerate() { @if n > 0 { ", " } span.name { (shown(&job.name)) } } "."
        }
    }
}

fn top(answer: &Answer, clock: &Clock) -> Markup {
    html! {
        header class=(answer.tone.class()) {
            div.wide {
                (answer.tone.icon())
                div.answer {
                    h1 { (answer.headline) }
                    p { (answer.detail) }
                }
                p.asof { span.brand { "mediasync" } " " (clock.now()) }
            }
        }
    }
}

fn nobody(state: &DaemonState) -> Markup {
    html! {
        section.card.empty {
            h2 { "Nothing to keep in sync" }
            p {
                "Add a " code { "[[job]]" } " to "
                @match &state.config { Some(config) => code { (shown(config)) }, None => "the configuration" }
                " and reload the daemon. It shows up here by itself."
            }
        }
    }
}

fn overview(state: &DaemonState, clock: &Clock) -> Markup {
    html! {
        section.card aria-labelledby="all" {
            h2 #all { "All jobs" }
            table.jobs {
                thead { tr {
                    th scope="col" { "Job" } th scope="col" { "State" } th.number scope="col" { "Behind" }
                    th.number scope="col" { "Waiting" } th scope="col" { "Last run" } th scope="col" { "Next run" }
                } }
                tbody {
                    @for (n, job) in state.jobs.iter().enumerate() {
                        @let health = job.health(clock.now_ns, state.started_ns);
                        tr {
                            th scope="row" { a href=(format!("#job-{n}")) { (shown(&job.name)) } }
                            td { (badge(Tone::of_job(job, health), words::state(job, health))) }
                            td.number { span.label { "Behind " } (lag(job, clock)) }
                            td.number { span.label { "Waiting " } (waiting(job)) }
                            td { span.label { "Last run " } @match &job.last {
                                Some(last) => (clock.relative(last.started_ns)),
                                None => span.muted { "never" },
                            } }
                            td { span.label { "Next run " } (next(job, clock)) }
                        }
                    }
                }
            }
        }
    }
}

fn bottom(state: &DaemonState, refresh: Refresh, moving: bool, clock: &Clock) -> Markup {
    html! {
        footer {
            div.wide {
                p {
                    @match refresh {
                        Refresh::Yes => {
                            "This page loads itself again every " (if moving { REFRESH_MOVING } else { REFRESH }) " s. "
                            a href="/?still" { "Hold it still" }
                        }
                        Refresh::No => { "This page holds still. " a href="/" { "Let it refresh" } }
                    }
                    " · " a href="/healthz" { "healthz" } " · " a href="/metrics" { "metrics" }
                }
                p {
                    "mediasync " (shown(&state.version)) ", process " (state.pid) ", running since " (clock.time(state.started_ns))
                    " (" (duration(clock.since(state.started_ns))) "). "
                    @if let Some(config) = &state.config { "Configuration " code { (shown(config)) } ", " }
                    "state " code { (shown(&state.state_dir)) } "."
                }
            }
        }
    }
}

/// A state with its shape, its colour and its word.
fn badge(tone: Tone, word: &str) -> Markup {
    html! { span class=(format!("badge {}", tone.class())) { (tone.icon()) (word) } }
}

fn lag(job: &JobState, clock: &Clock) -> Markup {
    html! {
        @match job.lag_s(clock.now_ns) { Some(lag) => (duration(lag)), None => span.muted { "not known" } }
    }
}

/// How many changes wait; those of a halted job are in its plan.
fn waiting(job: &JobState) -> Markup {
    html! { @if job.halt.is_some() && job.dirty == 0 { "a plan" } @else { (words::count(job.dirty)) } }
}

fn next(job: &JobState, clock: &Clock) -> Markup {
    match job.next_ns {
        Some(next) if next > clock.now_ns + SECOND => html! { (clock.relative(next)) },
        Some(_) => html! { "due" },
        None => html! { span.muted { "when files change" } },
    }
}

#[cfg(test)]
mod tests;
