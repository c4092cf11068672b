//! All integration tests, as one program.

mod cycle;
mod s3_live;
mod s3_replica;
mod support;
