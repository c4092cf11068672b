//! The command line: what is typed becomes work, work becomes calls of the engine, and what it tells is printed.

pub mod args;
pub mod exit;
pub mod failure;
#[cfg(test)]
mod fixtures;
pub mod human;
pub mod json;
pub mod logging;
pub mod output;
pub mod progress;
