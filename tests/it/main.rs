//! All integration tests, as one program: a module a theme, one line each, sorted.
#![cfg(test)]
#![expect(unreachable_pub, reason = "a test program has no outside")]

mod architecture;
mod cycle;
mod model;
mod s3_faults;
mod s3_live;
mod s3_replica;
mod s3_server;
mod support;
