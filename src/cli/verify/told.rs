//! What `verify` tells, for people and as the JSON of `docs/json.md`. Pure.

use serde_json::{Value, json};

use super::Told;
use crate::cli::human;
use crate::cli::json::skipped;
use crate::verify::{Extras, Finding, How, Outcome, Reading, Verified};

/// How scripts call a way of finding out.
fn way(how: How) -> &'static str {
    match how {
        How::Empty => "empty",
        How::Listed => "listed",
        How::LookedUp => "looked-up",
        How::Read => "read",
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Equal(_) => "equal",
        Outcome::Missing => "missing",
        Outcome::Extra => "extra",
        Outcome::Different => "different",
        Outcome::CannotTell | Outcome::OnlyRecorded => "cannot-tell",
    }
}

/// One line for people.
pub(super) fn row(finding: &Finding) -> String {
    let word = word(finding.outcome).replace('-', " ");
    format!("{word:<11} {:>10}  {}", human::size(finding.size), finding.key)
}

/// `"type":"verified"`.
pub(super) fn line(told: &Told<'_>, finding: &Finding) -> Value {
    let mut line = json!({
        "v": 1, "type": "verified", "outcome": word(finding.outcome),
        "key": finding.key.as_str(), "size": finding.size,
    });
    if finding.outcome == Outcome::OnlyRecorded {
        line["only_recorded"] = true.into();
    }
    with_job(&mut line, told);
    line
}

fn with_job(line: &mut Value, told: &Told<'_>) {
    if let Some(job) = told.job {
        line["job"] = job.into();
    }
}

/// `"type":"verify-summary"`.
pub(super) fn total(told: &Told<'_>, verified: &Verified) -> Value {
    let mut line = sums("verify-summary", told, verified);
    let mut left_out = json!({});
    for (reason, count) in &verified.skipped {
        left_out[skipped(*reason)] = (*count).into();
    }
    line["skipped"] = left_out;
    line["problems"] = verified.problems.into();
    line["exit"] = told.exit(verified).code().into();
    if let Reading::Sample { share, seed } = told.reading {
        let (read, of) = verified.sampled;
        line["sample"] = json!({ "of_a_million": share, "seed": seed, "files": read, "of": of });
    }
    line
}

/// `"type":"verify-interrupted"`: what was found until then, which proves nothing of the rest.
pub(super) fn partial(told: &Told<'_>, verified: &Verified) -> Value {
    let mut line = sums("verify-interrupted", told, verified);
    line["exit"] = crate::cli::exit::Exit::Interrupted.code().into();
    line
}

fn sums(of: &str, told: &Told<'_>, verified: &Verified) -> Value {
    let Verified { equal, equal_bytes, missing, extra, different, cannot_tell, only_recorded, .. } = verified;
    let by = |how| equal.get(&how).copied().unwrap_or(0);
    let mut ways = json!({});
    for how in [How::Empty, How::Listed, How::LookedUp, How::Read] {
        ways[way(how).replace('-', "_")] = by(how).into();
    }
    let mut line = json!({
        "v": 1, "type": of, "source": told.source, "destination": told.dest,
        "equal": equal.values().sum::<u64>(), "equal_bytes": equal_bytes, "equal_by": ways,
        "missing": missing, "extra": extra, "extra_is_a_difference": told.extras == Extras::Differ,
        "different": different, "cannot_tell": cannot_tell, "only_recorded": only_recorded,
    });
    with_job(&mut line, told);
    line
}

/// The end, for people.
pub(super) fn summary(told: &Told<'_>, verified: &Verified) -> String {
    let holds = if told.exit(verified) == crate::cli::exit::Exit::Done { "holds" } else { "DOES NOT PROVABLY HOLD" };
    format!("{} {holds} what {} holds: {}.", told.dest, told.source, parts(told, verified).join("; "))
}

/// What a person hears of a verification that was ended.
pub(super) fn until_then(told: &Told<'_>, verified: &Verified) -> String {
    format!("until then, and nothing is proven of the rest: {}", parts(told, verified).join("; "))
}

fn parts(told: &Told<'_>, verified: &Verified) -> Vec<String> {
    let Verified { equal, equal_bytes, missing, extra, different, cannot_tell, problems, skipped, .. } = verified;
    let count = human::count;
    let mut ways = Vec::new();
    for (how, text) in [
        (How::Listed, "by what the listing tells"),
        (How::LookedUp, "by looking up"),
        (How::Read, "by reading both"),
        (How::Empty, "empty"),
    ] {
        if let Some(number) = equal.get(&how) {
            ways.push(format!("{} {text}", count(*number)));
        }
    }
    let ways = if ways.is_empty() { String::new() } else { format!(": {}", ways.join(", ")) };
    let sum = equal.values().sum::<u64>();
    let mut all = vec![format!("equal {} ({}{ways})", human::files(sum), human::size(*equal_bytes))];
    let extra_note = if told.extras == Extras::Differ { "" } else { " (no difference for a copy)" };
    for (number, text, note) in [
        (missing, "missing", ""),
        (different, "different", ""),
        (cannot_tell, "cannot tell", ""),
        (extra, "extra", extra_note),
        (problems, "could not be looked at", ""),
    ] {
        if *number > 0 {
            all.push(format!("{text} {}{note}", count(*number)));
        }
    }
    let left: u64 = skipped.iter().map(|(_, count)| count).sum();
    if left > 0 {
        all.push(format!("left out by rules {}", count(left)));
    }
    if let Reading::Sample { .. } = told.reading {
        let (read, of) = verified.sampled;
        all.push(format!("the sample is {} of {}", count(read), human::files(of)));
    }
    all
}
