//! The SQLite file of a pair: what both sides held when they last agreed, and what this host knows besides.
#[derive(Debug)]
pub struct Manifest {}
