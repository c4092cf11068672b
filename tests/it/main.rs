//! All integration tests, as one program.

mod cycle;
mod support;
