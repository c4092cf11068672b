//! The integration tests, one binary: a module a theme, one line each, sorted.

mod support;
