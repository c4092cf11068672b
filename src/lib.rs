//! mediasync keeps a media directory and cloud object storage the same.
pub mod cli;
pub mod config;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod replica;
pub mod secret;
pub mod sync;
