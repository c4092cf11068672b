//! The daemon: what goes on while nobody types. Events and timers become cycles of the same engine.
//!
//! | file | what |
//! |---|---|
//! | `hooks` | who is told when a job is not as it should be |
//! | `http` | the read-only endpoint |
//! | `manager` | what a service manager is told |
//! | `names` | what states are called |
//! | `samples` | the last day of a job |
//! | `settle` | when what a watcher saw is to be looked at |
//! | `state` | how every job stands |
//! | `temporary` | names that programs give to files that are not finished |

pub mod hooks;
pub mod http;
pub mod manager;
mod names;
mod samples;
pub mod settle;
pub mod state;
mod temporary;
