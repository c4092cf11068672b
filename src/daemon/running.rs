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
}
