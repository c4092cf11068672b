//! What the tests share.

pub mod bench;
pub mod buckets;
pub mod daemon;
pub mod fetch;
pub mod front;
pub mod s3;
pub mod sandbox;
pub mod terminal;
pub mod tls;
