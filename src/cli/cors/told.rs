//! What the commands about CORS tell, for people and as the JSON of `docs/json.md`. Pure.

use serde_json::json;

use crate::cli::json::stage as stage_name;
use crate::cli::place::End;
use crate::replica::admin::{Change, CorsRule, Needed};
use crate::sync::Stage;

/// One rule of a difference.
pub(super) fn line(sign: char, rule: &CorsRule) -> String {
    format!("{sign} {rule}")
}

/// The difference, rule by rule, and what became of it.
pub(super) fn difference(whole: &str, change: &Change, stage: Stage) -> String {
    let lines = [('-', &change.removed), ('+', &change.added), (' ', &change.kept)];
    let mut text: Vec<String> =
        lines.into_iter().flat_map(|(sign, rules)| rules.iter().map(move |rule| line(sign, rule))).collect();
    let begin = match stage {
        Stage::Planned => "Would change the CORS rules of",
        Stage::Done => "Changed the CORS rules of",
    };
    text.push(if change.needed == Needed::No {
        match change.kept.len() {
            0 => format!("{whole} has no CORS rules."),
            _ => format!("The CORS rules of {whole} are like this already."),
        }
    } else {
        let count = |rules: &[CorsRule], what: &str| format!("{} {what}", rules.len());
        let counts = [count(&change.removed, "removed"), count(&change.added, "added"), count(&change.kept, "kept")];
        format!("{begin} {whole}: {}.", counts.join(", "))
    });
    text.join("\n")
}

/// `"type":"cors"`.
pub(super) fn rules(end: &End, rules: &[CorsRule]) -> String {
    json!({ "v": 1, "type": "cors", "place": end.location.display(), "rules": rules }).to_string()
}

/// `"type":"cors-change"`.
pub(super) fn change(end: &End, change: &Change, stage: Stage) -> String {
    json!({
        "v": 1,
        "type": "cors-change",
        "place": end.location.display(),
        "stage": stage_name(stage),
        "removed": change.removed,
        "added": change.added,
        "kept": change.kept,
        "lost": change.lost,
    })
    .to_string()
}
