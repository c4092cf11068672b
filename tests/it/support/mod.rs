//! What the tests share.

pub mod bench;
pub mod buckets;
pub mod daemon;
pub mod front;
pub mod s3;
pub mod sandbox;
