//! One job on the page: how it stands, what it does, what is wrong and what to type, its last day, its last runs.

use maud::{Markup, html};

use super::chart::{BAR_MINUTES, Day, Measure, scale};
use super::words::{self, Clock, Tone, bytes, count, counted, duration, shown};
use super::{badge, lag, next};
use crate::daemon::state::{Coverage, DaemonState, Failing, Halted, JobState, Last, Retrying, Running, Totals};

/// Runs that are shown: of a few jobs more than of many.
const RUNS_OF_FEW: usize = 20;
const RUNS_OF_MANY: usize = 5;
/// Problems that are shown.
const PROBLEMS: usize = 20;

pub(super) fn section(job: &JobState, n: usize, state: &DaemonState, clock: &Clock) -> Markup {
    let id = format!("job-{n}");
    let health = job.health(clock.now_ns, state.started_ns);
    let shown_runs = if state.jobs.len() > 2 { RUNS_OF_MANY } else { RUNS_OF_FEW };
    html! {
        section.card id=(id) aria-labelledby=(format!("{id}-h")) {
            div.title {
                h2 id=(format!("{id}-h")) { (shown(&job.name)) }
                (badge(Tone::of_job(job, health), words::state(job, health)))
            }
            p.places {
                code { (shown(&job.source)) }
                span.arrow aria-hidden="true" { (if job.mode == "two-way" { " ⇄ " } else { " → " }) }
                span.hidden { (if job.mode == "two-way" { " and " } else { " to " }) }
                code { (shown(&job.dest)) }
                span.muted { " " (shown(words::mode(&job.mode))) }
            }
            @if let Some(error) = &job.error { (failing(error, clock)) }
            @if job.is_paused() { (paused(job, clock)) }
            @if let Some(halt) = &job.halt { (halted(halt, clock)) }
            @if let Some(running) = &job.running { (under_way(running, &id, clock)) }
            (facts(job, state, clock))
            (problems(job))
            (charts(job, &id, state, clock))
            (runs(job, &id, shown_runs, clock))
            (totals(&job.totals))
        }
    }
}

fn paused(job: &JobState, clock: &Clock) -> Markup {
    html! {
        div.note role="group" aria-label="Paused" {
            p { strong {
                "Paused"
                @if let Some(since) = job.paused_since_ns { " for " (duration(clock.since(since))) ", since " (clock.time(since)) }
                ". Nothing is done until somebody resumes it."
            } }
            @if let Some(why) = &job.unsure { p.said { "Nobody can know whether it was: " (shown(why)) } }
        }
    }
}

fn halted(halt: &Halted, clock: &Clock) -> Markup {
    html! {
        div.note.bad role="group" aria-label="Halted" {
            p { strong { "Halted " (clock.relative(halt.since_ns)) ". Nothing is changed until you decide." } }
            p.said { (shown(&halt.message)) }
            @if let Some(again) = halt.again_ns.filter(|at| *at > clock.now_ns) {
                p.muted { "It looks again by itself " (clock.relative(again)) ", and goes on if all is put right." }
            }
            @if let Some(command) = &halt.command {
                p { "To carry out exactly this plan, type" }
                pre { code { (shown(command)) } }
            }
            @if let Some(plan) = &halt.plan { p.muted { "Plan " code { (shown(plan)) } } }
        }
    }
}

fn failing(error: &Failing, clock: &Clock) -> Markup {
    html! {
        div.note.warn role="group" aria-label="Failing" {
            p { strong {
                "Failing for " (duration(clock.since(error.since_ns))) ", " (counted(error.tries.into(), "try", "tries")) "."
                @if let Some(retry) = error.retry_ns {
                    @if retry > clock.now_ns { " Next try " (clock.relative(retry)) "." } @else { " Trying now." }
                }
            } }
            p.said { (shown(&error.message)) }
            @if let Some(hint) = &error.hint { p.hint { (shown(hint)) } }
        }
    }
}

fn under_way(running: &Running, id: &str, clock: &Clock) -> Markup {
    let what = match running.actions {
        0 => "Looking at what changed".to_owned(),
        actions => format!("{} of {} done", count(running.actions_done), counted(actions, "change", "changes")),
    };
    let id = format!("{id}-p");
    html! {
        div.running {
            p {
                strong id=(id) { (what) }
                @if running.bytes_to_send > 0 { ", " (running.sent(bytes)) }
                span.muted { ", for " (duration(clock.since(running.since_ns))) }
            }
            @if let Some(Retrying { for_s, message }) = &running.retrying {
                p { "Requests have been tried again for " (for_s) " s: " (message) }
            }
            @match running.bar() {
                Some((done, all)) => progress aria-labelledby=(id) max=(all) value=(done) {},
                None => progress aria-labelledby=(id) {},
            }
        }
    }
}

fn facts(job: &JobState, state: &DaemonState, clock: &Clock) -> Markup {
    let (files, size) = job.synced;
    html! {
        dl.facts {
            div { dt { "Behind" } dd { (lag(job, clock)) } }
            div { dt { "Waiting" } dd {
                @if job.halt.is_some() && job.dirty == 0 { "the plan" span.sub { "for your decision" } }
                @else { (counted(job.dirty, "change", "changes")) }
                @if let Some(since) = job.dirty_since_ns { span.sub { "for " (duration(clock.since(since))) } }
            } }
            div { dt { "Equal" } dd { (counted(files, "file", "files")) span.sub { (bytes(size)) } } }
            div { dt { "In sync since" } dd {
                @match job.in_sync_since(clock.now_ns, state.started_ns) {
                    Some(at) => { (clock.time(at)) span.sub { "for " (duration(clock.since(at))) } },
                    None => "not now",
                }
            } }
            div { dt { "All last checked" } dd {
                @match job.checked_ns { Some(at) => { (clock.time(at)) span.sub { (clock.relative(at)) } }, None => "not yet" }
            } }
            div { dt { "Next run" } dd {
                (next(job, clock))
                @if let Some(at) = job.next_ns.filter(|at| *at > clock.now_ns) { span.sub { (clock.time(at)) } }
            } }
            div { dt { "Watching" } dd { (watching(job)) } }
        }
    }
}

fn watching(job: &JobState) -> Markup {
    let Some(watch) = &job.watch else { return html! { "no" span.sub { "it runs on its schedule" } } };
    let told = match watch.coverage {
        Coverage::Full => "all changes",
        Coverage::Degraded => "some changes",
        Coverage::Polling => "by looking now and then",
        Coverage::Lost => "directory lost",
    };
    html! {
        (told)
        span.sub {
            (counted(watch.directories, "directory", "directories"))
            @if let Some(why) = &watch.why { ": " (shown(why)) }
        }
    }
}

fn problems(job: &JobState) -> Markup {
    let (left, problems) = job.left();
    if problems + job.conflict_count == 0 {
        return html! {};
    }
    let listed = left.len().min(PROBLEMS) as u64;
    let more = (problems + job.conflict_count).saturating_sub(listed);
    html! {
        h3 {
            @if problems > 0 { (counted(problems, "problem", "problems")) }
            @if problems > 0 && job.conflict_count > 0 { ", " }
            @if job.conflict_count > 0 { (counted(job.conflict_count, "conflict", "conflicts")) }
        }
        ul.problems {
            @for problem in left.iter().take(PROBLEMS) {
                li {
                    p.said { (shown(&problem.message)) }
                    @if let Some(hint) = &problem.hint { p.hint { (shown(hint)) } }
                }
            }
        }
        @if more > 0 {
            p.muted { "and " (count(more)) " more; " code { "mediasync status" } " has them" }
        }
    }
}

fn charts(job: &JobState, id: &str, state: &DaemonState, clock: &Clock) -> Markup {
    html! {
        h3 { "The last 24 hours" }
        div.charts {
            @for (n, measure) in [Measure::Bytes, Measure::Changes, Measure::Lag].into_iter().enumerate() {
                (chart(job, measure, &format!("{id}-c{n}"), (state.started_ns, clock)))
            }
        }
    }
}

fn chart(job: &JobState, measure: Measure, id: &str, (started_ns, clock): (i64, &Clock)) -> Markup {
    let day = Day::of(job, measure, clock, started_ns);
    let (peak, at) = day.peak(clock);
    let top = scale(measure, peak);
    let text: fn(u64) -> String = match measure {
        Measure::Bytes => bytes,
        Measure::Changes => count,
        Measure::Lag => duration,
    };
    let (name, class, total) = match measure {
        Measure::Bytes => ("Sent", "bytes", text(day.sum())),
        Measure::Changes => ("Files changed", "changes", text(day.sum())),
        Measure::Lag => ("Longest lag", "lag", text(peak)),
    };
    let highest = html! { "most " (text(peak)) " from " (clock.time(at)) };
    let desc = match peak {
        0 => format!("Nothing but zero in the last 24 hours, in steps of {BAR_MINUTES} minutes."),
        _ => format!("Bars of {BAR_MINUTES} minutes over the last 24 hours. The highest is {}.", text(peak)),
    };
    html! {
        figure class=(class) {
            figcaption { (name) strong { (total) } span.sub { @if peak > 0 { (highest) } @else { "none" } } }
            div.plot {
                (day.picture(id, (&format!("{name} over the last day: {total}"), &desc), top))
                span.top aria-hidden="true" { (text(top)) }
            }
            p.axis aria-hidden="true" { span { "24 h ago" } span { "12 h ago" } span { "now" } }
        }
    }
}

fn runs(job: &JobState, id: &str, shown_runs: usize, clock: &Clock) -> Markup {
    let runs: Vec<&Last> = job.runs.iter().rev().take(shown_runs).collect();
    html! {
        h3 id=(format!("{id}-r")) { "Last runs" }
        @if runs.is_empty() { p.muted { "None has ended since the daemon began." } }
        @else {
            div.scroll tabindex="0" role="region" aria-labelledby=(format!("{id}-r")) {
                table.runs {
                    thead { tr {
                        th scope="col" { "Began" } th scope="col" { "Result" } th scope="col" { "Looked at" }
                        th.number scope="col" { "New" } th.number scope="col" { "Replaced" } th.number scope="col" { "Copied" }
                        th.number scope="col" { "Deleted" } th.number scope="col" { "Restyled" } th.number scope="col" { "Sent" } th.number scope="col" { "Took" }
                    } }
                    tbody { @for run in runs { (one_run(run, clock)) } }
                }
            }
        }
    }
}

fn one_run(run: &Last, clock: &Clock) -> Markup {
    let (tone, word) = words::ended(run.ending);
    // On a narrow screen each cell has its heading in it, and cells with nothing are left out.
    let cell = |name: &str, number: u64, text: fn(u64) -> String| {
        html! {
            td.number.none[number == 0] {
                span.label { (name) " " } @if number == 0 { span.muted { "0" } } @else { (text(number)) }
            }
        }
    };
    let took = match run.took_ms {
        0..10_000 => format!("{}.{} s", run.took_ms / 1_000, run.took_ms % 1_000 / 100),
        ms => duration(ms / 1_000),
    };
    html! {
        tr {
            th scope="row" { (clock.time(run.started_ns)) }
            td { (badge(tone, word)) }
            td { (words::look(run.look)) }
            (cell("New", run.done.creates, count)) (cell("Replaced", run.done.overwrites, count))
            (cell("Copied", run.done.copies, count)) (cell("Deleted", run.done.deletes, count))
            (cell("Restyled", run.done.restyles, count)) (cell("Sent", run.done.bytes, bytes))
            td.number { span.label { "Took " } (took) }
        }
    }
}

fn totals(totals: &Totals) -> Markup {
    let runs = totals.cycles_both + totals.cycles_watched + totals.cycles_changes;
    let done = totals.done;
    html! {
        p.totals {
            "Since the daemon began: " (counted(runs, "run", "runs")) ", " (count(done.creates)) " new, "
            (count(done.overwrites)) " replaced, " (count(done.copies)) " copied, " (count(done.deletes)) " deleted, "
            (count(done.restyles)) " restyled, "
            (bytes(done.bytes)) " sent in " (counted(totals.requests, "request", "requests")) "; "
            (counted(totals.failures, "failure", "failures")) ", " (counted(totals.halts, "halt", "halts")) "."
        }
    }
}
