//! All integration tests, as one program: a module a theme, one line each, sorted.
#![expect(unreachable_pub, reason = "a test program has no outside")]

mod cycle;
mod model;
mod support;
