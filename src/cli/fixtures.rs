//! Values that the tests of this folder share.

use std::path::Path;
use std::sync::Arc;

use super::commands::Commands;
use super::human::Colour;
use super::output::{Format, Output, Verbosity};
use super::pairs::Known;
use super::setup::{Master, Setup};
use super::texts::Texts;
use crate::config::Config;
use crate::model::{Action, Digests, Entry, Expect, Key, Readable, Reason, Side, Verb, Version};

pub(super) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(super) fn entry(size: u64, modified_ns: Option<i64>) -> Entry {
    Entry { size, version: Version::new("v"), modified_ns, digests: Digests::none(), readable: Readable::Yes }
}

pub(super) fn action(verb: Verb, reason: Reason, size: u64, name: &str) -> Action {
    Action {
        key: key(name),
        side: Side::Dest,
        verb,
        reason,
        expect: Expect::Absent,
        size,
        from: None,
        at: None,
        digests: Digests::none(),
    }
}

/// A quiet set-up without a configuration, with its state below `dir`.
pub(super) fn setup(dir: &Path) -> Setup {
    Setup {
        output: Arc::new(Output::new(Format::Human, Verbosity::Quiet, Colour::Off)),
        config: Config::default(),
        config_file: None,
        state_dir: dir.join("state"),
        repeated: String::new(),
        warning: None,
        project: None,
        commands: Arc::new(Commands::default()),
        texts: Texts::default(),
        master: Master::Person,
    }
}

/// A pair that was pushed by hand.
pub(super) fn known() -> Known {
    Known {
        job: None,
        command: "push".into(),
        source: "file:///a".into(),
        dest: "s3://aws/b/".into(),
        names: ("/a".into(), "s3://b".into()),
        spelled: (Some("/a".into()), None),
        mode: Some(crate::plan::Mode::Copy),
    }
}
