//! The page as text: what others chose is harmless, the answer stands at the top, nothing is asked of anybody.

use super::*;
use crate::daemon::http::tests::{NOW, job, state};
use crate::daemon::state::{Done, Ended, Failing, Fault, Halted, Last, Look, Phase, Retrying, Running, Told};

fn shown_at(state: &DaemonState, refresh: Refresh) -> String {
    page(state, refresh, (NOW, TimeZone::UTC))
}

fn page_of(jobs: Vec<JobState>) -> String {
    shown_at(&state(jobs), Refresh::Yes)
}

const HOSTILE: &str =
    "</style><script>alert(1)</script><img src=x onerror=alert(1)>\" onload=\"x' &amp; \u{202e}gpj\u{1b}[31m\n";

fn hostile() -> JobState {
    let mut job = job(HOSTILE);
    let text = || HOSTILE.to_owned();
    (job.source, job.dest, job.mode) = (text(), text(), text());
    job.problems = vec![Told { message: text(), hint: Some(text()), fault: Fault::File }];
    (job.problem_count, job.conflict_count) = (3, 1);
    job.watch.as_mut().unwrap().why = Some(text());
    job.halt =
        Some(Halted { message: text(), plan: Some(text()), command: Some(text()), since_ns: NOW, again_ns: None });
    job.error = Some(Failing { message: text(), hint: Some(text()), since_ns: NOW, retry_ns: None, tries: 1 });
    job
}

#[test]
fn hostile_names_are_only_text() {
    let mut state = state(vec![hostile(), hostile()]);
    state.reload_error = Some(HOSTILE.to_owned());
    state.config = Some(HOSTILE.to_owned());
    (state.state_dir, state.version) = (HOSTILE.to_owned(), HOSTILE.to_owned());
    let text = shown_at(&state, Refresh::Yes);
    for tag in ["<script", "<img", "</style><script"] {
        assert!(!text.contains(tag), "{tag}");
    }
    assert_eq!(text.matches("</style>").count(), 1);
    assert!(!text.contains(['\u{202e}', '\u{1b}']), "controls are escaped");
    assert!(text.matches("&lt;script&gt;alert(1)").count() > 20);
    // No attribute was left early: outside of texts nothing of the name stands in a tag.
    let tags = text.split('<').skip(1).map(|part| part.split('>').next().unwrap());
    for tag in tags {
        assert!(!tag.contains("onload") && !tag.contains("onerror"), "{tag}");
    }
}

#[test]
fn nothing_is_asked_of_anybody_and_nothing_runs() {
    let text = page_of(vec![hostile(), job("media")]);
    for word in ["http://", "https://", "@import", "url(", " style=\"", "<script", "<link rel=\"stylesheet"] {
        let ours = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!ours.contains(word), "{word}");
    }
    let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = BASE64_STANDARD.encode(Sha256::digest(style));
    assert!(policy().contains(&format!("style-src 'sha256-{hash}';")), "{}", policy());
    assert!(policy().starts_with("default-src 'none';") && !policy().contains("unsafe"));
}

#[test]
fn the_answer_stands_at_the_top() {
    let top = |jobs: Vec<JobState>| {
        let text = page_of(jobs);
        let header = text.split_once("<header").unwrap().1.split_once("</header>").unwrap().0.to_owned();
        let plain = |from: &str, to: &str| {
            let part = header.split_once(from).unwrap().1.split_once(to).unwrap().0;
            part.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text)).collect::<String>()
        };
        (plain("<h1>", "</h1>"), plain("</h1><p>", "</p>"))
    };
    let mut media = job("media");
    media.equal_since_ns = Some(NOW - 299 * 60 * SECOND);
    assert_eq!(top(vec![media.clone()]), pair("Everything is in sync", "for 4 h 59 min, since 00:01"));
    let mut backup = job("backup");
    backup.equal_since_ns = Some(NOW - 99 * 60 * SECOND);
    assert_eq!(top(vec![media.clone(), backup.clone()]).1, "for 1 h 39 min, since 03:21");
    (backup.dirty, backup.dirty_since_ns) = (2, Some(NOW - 7 * SECOND));
    let busy = top(vec![media.clone(), backup.clone()]);
    let detail = "1 of 2 jobs are in sync. backup is 7 s behind, the most of all.";
    assert_eq!(busy, pair("Changes are on their way", detail));
    backup.problem_count = 1;
    assert_eq!(top(vec![media.clone(), backup.clone()]).0, "1 job left something behind");
    let error = Failing { message: String::new(), hint: None, since_ns: NOW, retry_ns: None, tries: 2 };
    let failed = Some(error.clone());
    let failing = JobState { error: Some(error), phase: Phase::Failing, ..backup.clone() };
    assert_eq!(top(vec![media.clone(), failing.clone()]).0, "1 job fails and tries again");
    let trying = JobState { phase: Phase::Running, problem_count: 0, ..failing.clone() };
    let page = page_of(vec![failing, trying.clone()]);
    assert!(page.contains("<header class=\"warn\"") && page.contains("<h1>2 jobs fail and try again</h1>"));
    assert!(page_of(vec![trying]).contains("</svg>Retrying</span>"));
    backup.fresh_ns = Some(NOW - 90_000 * SECOND);
    backup.phase = Phase::Failing;
    assert_eq!(top(vec![media.clone(), backup.clone()]).0, "1 job is late");
    backup.halt = Some(Halted { message: String::new(), plan: None, command: None, since_ns: NOW, again_ns: None });
    let halted = pair("1 job halted and waits for your decision", "1 of 2 jobs are in sync. Halted: backup.");
    assert_eq!(top(vec![media.clone(), backup.clone()]), halted);
    let next_ns = Some(NOW + 60 * SECOND);
    let first = JobState { fresh_ns: None, last: None, next_ns, max_age_s: 100_000, watch: None, ..job("nightly") };
    let waits = pair(
        "1 job waits for its first run",
        "1 of 2 jobs are in sync. nightly is not in sync yet: its time has not come.",
    );
    assert_eq!(top(vec![media.clone(), first.clone()]), waits);
    assert!(page_of(vec![first.clone()]).contains("</svg>Not run yet</span>"));
    let each = top(vec![media.clone(), JobState { error: failed, ..first }]).1;
    assert_eq!(each, "1 of 2 jobs are in sync. nightly is not in sync yet: each try failed.");
    media.phase = Phase::Paused;
    assert_eq!(top(vec![media.clone()]).0, "In sync, but for 1 job that is paused");
    let left = JobState { problem_count: 1, ..media.clone() };
    let paused = top(vec![job("nightly"), left]);
    assert_eq!(paused.0, "1 job left something behind");
    assert!(paused.1.ends_with(" Paused: media."), "{paused:?}");
    assert_eq!(top(vec![]).0, "No jobs yet");
    media = JobState { fresh_ns: None, phase: Phase::Starting, ..media };
    let never = "It is not in sync yet: the first look at both sides is under way.";
    assert_eq!(top(vec![JobState { max_age_s: 100_000, ..media }]), pair("Changes are on their way", never));
}

#[test]
fn a_paused_job_and_one_whose_server_does_not_answer_say_so_first() {
    let told = |message: &str, fault| Told { message: message.to_owned(), hint: None, fault };
    let mut job = job("media");
    job.problems = vec![told("own: unreadable", Fault::File), told("sent: 503", Fault::Server)];
    (job.problem_count, job.unanswered_count, job.phase) = (2, 1, Phase::Paused);
    job.paused_since_ns = Some(NOW - 180 * SECOND);
    let text = page_of(vec![job.clone()]);
    for words in ["</svg>Problems, paused</span>", "Paused for 3 min, since ", "<h3>2 problems</h3>", "sent: 503"] {
        assert!(text.contains(words), "{words}");
    }
    let again_ns = Some(NOW + 120 * SECOND);
    job.halt = Some(Halted { since_ns: NOW, again_ns, ..Halted::new("too many") });
    let text = page_of(vec![job.clone()]);
    assert!(
        text.contains("</svg>Halted, paused</span>") && text.contains("It looks again by itself in 2 min"),
        "{text}"
    );
    (job.halt, job.phase) = (None, Phase::Running);
    let retry_ns = Some(NOW + 7 * SECOND);
    job.error =
        Some(Failing { message: "no route".to_owned(), hint: None, since_ns: NOW - 60 * SECOND, retry_ns, tries: 3 });
    let text = page_of(vec![job]);
    assert!(text.contains("</svg>Retrying</span>") && text.contains("<h3>1 problem</h3>"), "{text}");
    assert!(text.contains("own: unreadable") && !text.contains("sent: 503"), "{text}");
    assert!(text.find("no route") < text.find("own: unreadable") && text.contains(" Next try in 7 s."), "{text}");
}

fn pair(headline: &str, detail: &str) -> (String, String) {
    (headline.to_owned(), detail.to_owned())
}

#[test]
fn a_job_shows_what_it_does_and_what_to_type() {
    let mut job = job("media");
    let running = Running {
        look: Look::Changes,
        since_ns: NOW - 130 * SECOND,
        actions: 1_000,
        actions_done: 250,
        bytes_to_send: 4_096,
        bytes_sent: 1_024,
        retrying: Some(Retrying { for_s: 12, message: "the server answers 503 for <b>".to_owned() }),
    };
    job.running = Some(running);
    (job.equal_since_ns, job.checked_ns) = (Some(NOW - 120 * SECOND), Some(NOW - 180 * SECOND));
    let command = Some("mediasync approve media 1f3a".to_owned());
    job.halt = Some(Halted { message: "60 % would go".to_owned(), plan: None, command, since_ns: NOW, again_ns: None });
    job.problems = (0..30)
        .map(|n| Told { message: format!("f{n}: bad"), hint: Some("rename it".to_owned()), fault: Fault::File })
        .collect();
    job.problem_count = 1_234;
    job.runs = [Last {
        look: Look::Both,
        started_ns: NOW,
        took_ms: 50,
        ending: Ended::Finished,
        done: Done { deletes: 7, ..Done::default() },
    }]
    .into();
    let text = page_of(vec![job]);
    for words in [
        "250 of 1,000 changes done",
        "1.0 KiB of 4.0 KiB sent",
        "max=\"4096\" value=\"1024\"",
        "<dt>In sync since</dt><dd>not now",
        "<dt>All last checked</dt><dd><time",
        "<pre><code>mediasync approve media 1f3a</code></pre>",
        "1,234 problems",
        "f19: bad",
        "and 1,214 more",
        "content=\"10\"",
        "<dt>Waiting</dt><dd>the plan",
        "<td class=\"number\"><span class=\"label\">Deleted </span>7</td>",
        "<td class=\"number none\"><span class=\"label\">New </span>",
    ] {
        assert!(text.contains(words), "{words}");
    }
    assert!(!text.contains("f20: bad"));
    assert!(!shown_at(&state(vec![]), Refresh::No).contains("http-equiv"), "whoever reads slowly can hold it still");
}

#[test]
fn everything_that_is_pointed_at_is_there_once() {
    let text = page_of(vec![job("a"), hostile(), job("b")]);
    let of = |name: &str| -> Vec<String> {
        let begin = format!(" {name}=\"");
        let parts = text.split(&begin).skip(1);
        parts.map(|part| part.split('"').next().unwrap().to_owned()).collect()
    };
    let mut ids = of("id");
    ids.sort();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    let links = of("href").into_iter().filter_map(|link| link.strip_prefix('#').map(str::to_owned));
    let labels =
        of("aria-labelledby").into_iter().flat_map(|ids| ids.split(' ').map(str::to_owned).collect::<Vec<_>>());
    for id in links.chain(labels) {
        assert!(ids.contains(&id), "{id}");
    }
}
