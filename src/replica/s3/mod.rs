//! A bucket prefix on S3 or one of its relatives.

mod address;
pub mod endpoint;
mod hosts;
pub mod names;

pub use address::{Addressing, Credentials, S3Address};
