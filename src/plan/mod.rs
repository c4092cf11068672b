//! The decision: pure functions from values to values. No I/O, no async, no clock, no logging.

#![warn(clippy::wildcard_enum_match_arm)]

mod policy;

pub use policy::{Budget, Compare, Limit, Mode, OnConflict, Policy};
