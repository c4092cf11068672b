//! mediasync keeps a media directory and cloud object storage the same, with the smallest set of requests that makes
//! both sides right, and without losing a file that the user did not delete.
//!
//! This is the crate in data-flow order; ARCHITECTURE.md has the contracts, [`sync`] is where to read first.
//!
//! **Words.** [`model`] holds what crosses the borders between stages: keys, entries, digests, actions, problems,
//! filters. Plain values; nothing there waits, looks or prints.
//!
//! **Typed.** [`cli`] reads the command line, [`config`] the file with all defaults, [`location`] and [`dsn`] what
//! people write for a place; [`secret`] keeps credentials out of every output. The result is two addresses and a
//! [`plan::Policy`].
//!
//! **Replicas.** An address becomes a [`replica::Replica`]: a local directory, a bucket prefix, or a map in memory,
//! behind decorators that retry, throttle and protect. From here on both sides are the same kind of thing.
//!
//! **Memory.** [`manifest`] is the SQLite file of the pair: what both sides held when they last agreed, digests of what
//! was read, uploads in flight, runs and budgets. It may be behind the truth, never ahead of it.
//!
//! **Recover.** `recover` looks at what a killed run was sending, so that our own content is never taken for
//! somebody else's.
//!
//! **Survey.** `survey` lists both sides as streams in key order and joins them with the base ([`plan::Join`]), with one
//! pending item an input. [`plan::decide()`] says for each key what is to be done, or what must be found out first.
//!
//! **Examine.** `examine` finds that out: a look-up, or a hash (`hash`) that is remembered under the version it belongs
//! to. Then the key is decided again.
//!
//! **Plan.** Actions go into `plan_store`, on disk and in the order of execution. `pair_up` refines the finished plan:
//! moved content becomes a copy inside the destination, look-alike names are left alone, deletions make room.
//!
//! **Guard.** [`plan::guard`] compares the totals with the pair's budgets and with who answered. It lets the plan pass, or
//! halts it; a halted plan is stored, and [`apply`] carries out exactly that after a person approved it.
//!
//! **Execute.** `execute` carries the plan out, phase by phase and bounded, each change with the version that was seen, and
//! records what the replicas acknowledged. Deletions come last, after one more look.
//!
//! **Daemon.** [`daemon`] is what `mediasync daemon` runs for years: what a watcher saw and what the clock says become
//! cycles of the same engine.
//!
//! **Tell.** Stages tell what happens to a [`sync::Observer`]; [`cli`] prints it for people or as JSON, and turns the
//! [`sync::Report`] into an exit code.
pub mod apply;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod dsn;
mod examine;
mod execute;
mod hash;
pub mod lanes;
pub mod lease;
pub mod location;
pub mod manifest;
mod meet;
pub mod model;
mod pair_up;
pub mod plan;
mod plan_store;
pub mod reach;
mod recover;
pub mod replica;
mod report;
pub mod resolve;
pub mod schedule;
pub mod secret;
mod survey;
pub mod sync;
pub mod transport;
pub mod verify;
