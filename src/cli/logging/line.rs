//! One event as one line, in each of the forms that a reader can ask for.

use std::fmt::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tracing::Level;
use tracing::field::{Field, Visit};

use crate::dsn;

/// The field that says which job an event is about.
const JOB: &str = "job";

/// What an event says beside where it comes from.
#[derive(Debug, Default, Clone)]
pub(super) struct Fields {
    message: String,
    others: Vec<(&'static str, Value, String)>,
}

impl Fields {
    /// Adds what the span around it says, unless the event says it itself.
    pub(super) fn surround(&mut self, outer: &Self) {
        for other in &outer.others {
            if self.others.iter().all(|(name, ..)| *name != other.0) {
                self.others.push(other.clone());
            }
        }
    }

    fn add(&mut self, field: &Field, value: Value, text: String) {
        self.others.push((field.name().trim_start_matches("r#"), value, text));
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::from(value), value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::from(value), value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::from(value), value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::from(value), value.to_string());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let value = without_secrets(value);
        if field.name() == "message" {
            self.message = value;
        } else {
            let text = format!("{value:?}");
            self.add(field, Value::from(value), text);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = without_secrets(&format!("{value:?}"));
        match field.name() {
            "message" => self.message = text,
            _ => self.add(field, Value::from(text.clone()), text),
        }
    }
}

/// An event that is to be printed.
#[derive(Debug)]
pub(super) struct Line {
    level: Level,
    target: &'static str,
    fields: Fields,
    /// How many events it stands for, if it is not one itself.
    many: Option<u64>,
}

impl Line {
    pub(super) fn new(level: Level, target: &'static str, fields: Fields) -> Self {
        Self { level, target, fields, many: None }
    }

    /// The line that stands for `count` events like this one.
    pub(super) fn of_many(self, count: u64) -> Self {
        Self { many: Some(count), ..self }
    }

    /// Level and text.
    pub(super) fn plain(&self) -> String {
        escaped(&format!("{:>5} {}", self.level, self.text()))
    }

    /// With the time of a place.
    pub(super) fn human(&self, now: Timestamp, zone: &TimeZone) -> String {
        let time = now.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S");
        escaped(&format!("{time} {:>5} {}", self.level, self.text()))
    }

    /// With the priority that `sd-daemon(3)` has: <https://www.freedesktop.org/software/systemd/man/latest/sd-daemon.html>.
    pub(super) fn journal(&self) -> String {
        let priority = match self.level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        escaped(&format!("<{priority}>{}", self.text()))
    }

    /// One object. Fields never take the place of what every line has.
    pub(super) fn json(&self, now: Timestamp) -> String {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| {
            object.entry(name).or_insert(value);
        };
        put("time", format!("{now:.3}").into());
        put("level", self.level.as_str().to_ascii_lowercase().into());
        put("message", self.message().into());
        if let Some(count) = self.many {
            put("held_back", count.into());
        }
        put("target", self.target.into());
        for (name, value, _) in &self.fields.others {
            put(name, value.clone());
        }
        // What the format lets through can still turn a terminal's text around.
        let mut line = String::new();
        for c in Value::Object(object).to_string().chars() {
            if is_harmful(c) {
                write!(line, "\\u{:04x}", u32::from(c)).expect("a string takes everything");
            } else {
                line.push(c);
            }
        }
        line
    }

    fn message(&self) -> String {
        match self.many {
            Some(count) => format!("… {count} more like this: {}", self.fields.message),
            None => self.fields.message.clone(),
        }
    }

    fn text(&self) -> String {
        // What people look for first, in a log of several jobs.
        let job = self.fields.others.iter().find(|(name, ..)| *name == JOB);
        let job = job.map_or_else(String::new, |(_, job, _)| format!("{}: ", job.as_str().unwrap_or_default()));
        let mut text = job + &self.message();
        for (name, _, value) in self.fields.others.iter().filter(|(name, ..)| *name != JOB) {
            let separator = if text.is_empty() { "" } else { " " };
            write!(text, "{separator}{name}={value}").expect("a string takes everything");
        }
        text
    }
}

/// Control characters and those that turn the direction of text; all of them have at most four hexadecimal digits.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One line, whatever names with control characters an event holds.
pub(super) fn escaped(event: &str) -> String {
    let mut line = String::with_capacity(event.len());
    for c in event.trim_end().chars() {
        if is_harmful(c) { line.extend(c.escape_unicode()) } else { line.push(c) }
    }
    line
}

/// Parameters of URLs whose values are signatures or sessions, at Azure and at S3.
const SIGNATURES: [&str; 4] = ["sig=", "X-Amz-Signature=", "X-Amz-Security-Token=", "AccountKey="];

/// The second net: what another crate's error took along is cut, if it looks like credentials.
fn without_secrets(text: &str) -> String {
    let mut text = dsn::redact(text).into_owned();
    for name in SIGNATURES {
        let mut from = 0;
        while let Some(at) = text[from..].find(name).map(|at| from + at) {
            let value = at + name.len();
            let own = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            let end = text[value..].find(['&', ';', ' ', '"', '\'', '<', '>']).map_or(text.len(), |end| value + end);
            if own {
                text.replace_range(value..end, "***");
            }
            from = value;
        }
    }
    text
}
