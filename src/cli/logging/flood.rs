//! At most so many events a minute from one place in the code; the others are counted, and told in one line.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::callsite::Identifier;

use super::line::Line;

/// Events of one place that are told in a minute.
pub(super) const MOST: u32 = 30;
const MINUTE: Duration = Duration::from_secs(60);

/// What each place in the code said lately. Grows with the code, not with what happens.
#[derive(Default)]
pub(super) struct Flood {
    sites: HashMap<Identifier, Site>,
}

struct Site {
    /// When its minute began.
    since: Instant,
    told: u32,
    held: Option<Held>,
}

/// What is told later.
struct Held {
    count: u64,
    /// The first of them, for its words.
    first: Line,
}

/// What becomes of an event.
pub(super) enum Taken {
    /// It is printed.
    Told(Line),
    /// It is the first that is held back in this minute.
    HeldFirst,
    /// It is held back too.
    Held,
}

impl Flood {
    /// Takes an event of `site`. `line` is asked for only if somebody will read it.
    pub(super) fn take(&mut self, site: Identifier, now: Instant, line: impl FnOnce() -> Line) -> Taken {
        let site = self.sites.entry(site).or_insert(Site { since: now, told: 0, held: None });
        // A minute with something held back ends when that is told.
        if now - site.since >= MINUTE && site.held.is_none() {
            (site.since, site.told) = (now, 0);
        }
        if site.told < MOST {
            site.told += 1;
            return Taken::Told(line());
        }
        if let Some(held) = &mut site.held {
            held.count += 1;
            return Taken::Held;
        }
        site.held = Some(Held { count: 1, first: line() });
        Taken::HeldFirst
    }

    /// When something that is held back has to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.sites.values().filter(|site| site.held.is_some()).map(|site| site.since + MINUTE).min()
    }

    /// What was held back in minutes that are over.
    pub(super) fn over(&mut self, now: Instant) -> Vec<Line> {
        let over = self.sites.values_mut().filter(|site| now - site.since >= MINUTE);
        over.filter_map(|site| {
            let held = site.held.take()?;
            (site.since, site.told) = (now, 0);
            Some(held.first.of_many(held.count))
        })
        .collect()
    }

    /// What is held back.
    pub(super) fn all(&mut self) -> Vec<Line> {
        self.sites.values_mut().filter_map(|site| site.held.take()).map(|held| held.first.of_many(held.count)).collect()
    }
}
