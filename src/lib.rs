//! mediasync keeps a media directory and cloud object storage the same.
pub mod apply;
pub mod cli;
pub mod config;
pub mod dsn;
mod examine;
mod execute;
mod hash;
pub mod location;
pub mod manifest;
pub mod model;
mod pair_up;
pub mod plan;
mod plan_store;
mod recover;
pub mod replica;
pub mod secret;
mod survey;
pub mod sync;
