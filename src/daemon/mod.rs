//! The daemon: what goes on while nobody types. Events and timers become cycles of the same engine.
//!
//! | file | what |
//! |---|---|
//! | `agenda` | what a job does next, and when; pure |
//! | `board` | where jobs write how they stand |
//! | `control` | what other processes may ask, by a socket |
//! | `hooks` | who is told when a job is not as it should be |
//! | `http` | the read-only endpoint |
//! | `job` | one job: signs, times and orders become cycles |
//! | `manager` | what a service manager is told |
//! | `names` | what states are called |
//! | `pauses` | which jobs a person paused |
//! | `runner` | what a job needs from outside |
//! | `running` | what is said of a cycle under way |
//! | `samples` | the last day of a job |
//! | `settle` | when what a watcher saw is to be looked at |
//! | `state` | how every job stands |
//! | `temporary` | names that programs give to files that are not finished |
//! | `trouble` | what is told of what is wrong, and since when a job is well |

pub mod agenda;
mod board;
pub mod control;
pub mod hooks;
pub mod http;
pub mod job;
pub mod manager;
mod names;
pub mod pauses;
pub mod runner;
mod running;
pub mod samples;
pub mod settle;
pub mod state;
mod temporary;
pub mod trouble;
