//! The daemon: what goes on while nobody types. Events and timers become cycles of the same engine.

pub mod manager;
pub mod state;
