//! The decision: pure functions from values to values. No I/O, no async, no clock, no logging.
//!
//! [`Join`] turns three ordered inputs into [`Triple`]s; [`decide`] says what is to be done about one, or what must be
//! found out first; [`pairing`] recognises moved content; [`guard`] looks at the whole plan before anything changes.

#![warn(clippy::wildcard_enum_match_arm)]

mod compare;
mod decide;
pub mod guard;
mod join;
pub mod pairing;
mod policy;
mod resolution;
mod restyle;
mod two_way;

pub use compare::{Evidence, Known, Need, comparable};
pub use decide::{Context, Decision, decide};
pub use join::{Input, Join, JoinError, Joined, Triple};
pub use policy::{Budget, Compare, Limit, Mode, OnConflict, Policy, Raise};
pub use resolution::{Take, UNDECIDABLE_NS, settle};
pub use restyle::{Restyling, Styling, Trust, restyle, waits};
