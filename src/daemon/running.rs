//! What is said of a cycle under way.

use serde::{Deserialize, Serialize};

use super::state::Look;

/// A cycle under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// What it looks at.
    pub look: Look,
    /// Since when.
    pub since_ns: i64,
    /// Actions planned and done; 0 while it looks.
    pub actions: u64,
    /// Of these, done.
    pub actions_done: u64,
    /// Bytes to send.
    pub bytes_to_send: u64,
    /// Of these, sent.
    pub bytes_sent: u64,
    /// While requests fail and are tried again.
    #[serde(default)]
    pub retrying: Option<Retrying>,
}

/// Requests fail and are tried again; nothing failed for good yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retrying {
    /// For so long, in seconds.
    pub for_s: u64,
    /// Why, in words.
    pub message: String,
}

impl Running {
    /// A cycle that begins.
    pub fn new(look: Look, since_ns: i64) -> Self {
        Self { look, since_ns, actions: 0, actions_done: 0, bytes_to_send: 0, bytes_sent: 0, retrying: None }
    }

    /// Whether all is done: what was sent twice, because a request was tried again, is counted twice.
    fn is_through(&self) -> bool {
        self.actions_done >= self.actions && self.bytes_sent >= self.bytes_to_send
    }

    /// Whether it looks at all and does what it found: nobody saw that change, so nothing else tells of it.
    pub fn found_differences(&self) -> bool {
        self.look != Look::Changes && !self.is_through()
    }

    /// `1.2 GiB of 4.0 GiB sent`, with sizes as `size` writes them. All is said to be sent only when all is done.
    pub fn sent(&self, size: fn(u64) -> String) -> String {
        let (sent, all) = (size(self.bytes_sent), size(self.bytes_to_send));
        let reads_as_all = self.bytes_sent >= self.bytes_to_send || sent == all;
        if reads_as_all && !self.is_through() {
            format!("nearly all of {all} sent")
        } else {
            format!("{sent} of {all} sent")
        }
    }

    /// How far it came, and where it ends, for a bar: of bytes, else of actions, else nothing is known. Full only at the end.
    pub fn bar(&self) -> Option<(u64, u64)> {
        let (done, all) = match (self.bytes_to_send, self.actions) {
            (0, 0) => return None,
            (0, actions) => (self.actions_done, actions),
            (bytes, _) => (self.bytes_sent, bytes),
        };
        let most = if self.is_through() { all } else { all - (all / 100).max(1) };
        Some((done.min(most), all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_to_be_all_before_all_is_done() {
        let size = crate::model::size;
        let at = |sent: u64, all: u64, done: u64| {
            let mut running = Running::new(Look::Changes, 0);
            (running.bytes_sent, running.bytes_to_send, running.actions, running.actions_done) = (sent, all, 2, done);
            (running.sent(size), running.bar().unwrap())
        };
        let mib = 1 << 20;
        assert_eq!(at(mib, 4 * mib, 0), ("1.0 MiB of 4.0 MiB sent".to_owned(), (mib, 4 * mib)));
        assert_eq!(at(998, 1_000, 1), ("998 B of 1000 B sent".to_owned(), (990, 1_000)));
        assert_eq!(at(4 * mib - 99, 4 * mib, 1).0, "nearly all of 4.0 MiB sent");
        // A body that was sent again.
        assert_eq!(at(1_500, 1_000, 1), ("nearly all of 1000 B sent".to_owned(), (990, 1_000)));
        assert_eq!(at(1_000, 1_000, 2), ("1000 B of 1000 B sent".to_owned(), (1_000, 1_000)));
        assert_eq!(at(1, 1, 1), ("nearly all of 1 B sent".to_owned(), (0, 1)));
        assert_eq!(at(0, 0, 1).1, (1, 2), "nothing is to be sent");
        assert_eq!(Running::new(Look::Both, 0).bar(), None);
    }
}
