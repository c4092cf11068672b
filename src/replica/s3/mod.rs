//! A bucket prefix on S3 or one of its relatives.

mod address;

pub use address::{Addressing, Credentials, S3Address};
