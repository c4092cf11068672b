//! The integration tests, one binary: a module a theme, one line each, sorted.

#[cfg(test)]
mod s3_faults;
#[cfg(test)]
mod s3_live;
#[cfg(test)]
mod s3_replica;
#[cfg(test)]
mod s3_server;
mod support;
