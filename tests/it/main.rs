//! Integration tests.

mod s3_live;
mod s3_replica;
