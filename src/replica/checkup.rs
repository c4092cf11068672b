//! What a store is found to be when somebody wants to know why it does not work: plain values that every kind of store
//! gives. What is told may be shown: no secrets.

use super::{Ability, Error};

/// What is done at a place, from which the permissions follow that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    /// It is read.
    Read,
    /// Content is put there; only what is our own is ever deleted.
    Add,
    /// Content is put there and deleted.
    Delete,
}

/// Whether something may be written to find out more: tiny objects below `.mediasync/probe/`, which are removed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tries {
    /// It may.
    Allowed,
    /// It may not; why, as a part of a sentence.
    Forbidden(String),
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Ok,
    /// It was not looked at, or can't be.
    Skip,
    /// It works, and somebody should know.
    Warn,
    /// It does not work.
    Fail,
}

impl State {
    /// For people and scripts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found, in a sentence without a stop.
    pub found: String,
    /// What to do about it; there is one for [`State::Warn`] and [`State::Fail`].
    pub fix: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), fix: None }
    }

    /// It was not looked at.
    pub fn skip(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Skip, found: found.into(), fix: None }
    }

    /// Somebody should know.
    pub fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, state: State::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    /// It does not work.
    pub fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, state: State::Fail, found: found.into(), fix: Some(fix.into()) }
    }

    /// A request failed that should not.
    pub fn of_error(name: &'static str, error: Error) -> Self {
        let fix = error.hint.unwrap_or_else(|| "Ask the provider; the request's id is in the message".to_owned());
        Self::fail(name, error.message, fix)
    }
}

/// Whether preconditions of writes are honoured.
pub(super) fn conditional_writes(ability: Ability, whence: &str) -> Finding {
    const NAME: &str = "conditional-writes";
    match ability {
        Ability::Proven => Finding::ok(NAME, format!("honoured ({whence})")),
        Ability::Missing => Finding::warn(
            NAME,
            format!(
                "the server ignores preconditions ({whence}): each key is looked at right before it is written instead"
            ),
            "Let nobody else write there while a run is under way; a lease can't be held there",
        ),
        Ability::Unknown => Finding::skip(NAME, format!("not known ({whence})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::Cause;

    #[test]
    fn what_is_wrong_always_has_a_way_out() {
        let bare = Finding::of_error("bucket", Error::new(Cause::Stop, "no"));
        let hinted = Finding::of_error("bucket", Error::new(Cause::Stop, "no").hint("do"));
        assert!(bare.fix.is_some() && hinted.fix.as_deref() == Some("do"));
        for ability in [Ability::Proven, Ability::Missing, Ability::Unknown] {
            let finding = conditional_writes(ability, "x");
            assert_eq!(finding.fix.is_some(), finding.state >= State::Warn);
        }
    }
}
