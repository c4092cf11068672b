//! Logs to stderr: warnings; `-v` adds what is rare and worth knowing, `-vv` details, `-vvv` everything of ours.
//!
//! Other crates never get beyond warnings. The AWS crates log requests with their headers, session tokens and
//! values of variables and profiles at `debug` and `trace` (`aws-sigv4` in `sign.rs`, `aws-runtime` in
//! `env_config.rs`), and whole lines of `~/.aws` files as warnings: the latter are cut too.

use std::io::{self, Write};
use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::output::Output;

/// Starts logging through `output`. A second call in one process changes nothing.
pub fn start(output: &Arc<Output>, verbose: u8) {
    let format = tracing_subscriber::fmt::layer()
        .with_writer(Lines(Arc::clone(output)))
        .with_ansi(false)
        .with_target(false)
        .without_time();
    tracing_subscriber::registry().with(format).with(targets(verbose)).try_init().ok();
}

/// What is logged at which number of `-v`.
fn targets(verbose: u8) -> Targets {
    let ours = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(LevelFilter::WARN)
        // What they warn about comes back as an error, said for people; in their own words it is pages of debug output.
        .with_target("aws_runtime", LevelFilter::ERROR)
        .with_target("aws_config", LevelFilter::ERROR)
        .with_target("mediasync", ours)
}

/// Makes a [`Line`] for every event.
struct Lines(Arc<Output>);

/// One event, printed as a whole when it is complete.
struct Line<'a> {
    output: &'a Output,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { output: &self.0, text: Vec::new() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.output.log(&escaped(&self.text));
        }
    }
}

/// One line, whatever names with control characters an event holds.
fn escaped(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    let mut line = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        if c.is_control() { line.extend(c.escape_unicode()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn more_v_means_more_of_ours_and_nothing_of_others() {
        for (verbose, level) in
            [(0, Level::WARN), (1, Level::INFO), (2, Level::DEBUG), (3, Level::TRACE), (9, Level::TRACE)]
        {
            let targets = targets(verbose);
            assert!(targets.would_enable("mediasync::sync", &level));
            for other in ["aws_sigv4::http_request::sign", "aws_smithy_runtime::client", "hyper::proto", "rustls"] {
                assert!(targets.would_enable(other, &Level::WARN));
                assert!(!targets.would_enable(other, &Level::INFO), "{other} at -v {verbose}");
            }
            assert!(!targets.would_enable("aws_runtime::env_config::normalize", &Level::WARN));
            assert!(!targets.would_enable("aws_config::meta::credentials::chain", &Level::WARN));
        }
        assert!(!targets(0).would_enable("mediasync::sync", &Level::INFO));
    }

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(escaped(b" WARN a\x1b[31mred\nname\n"), r" WARN a\u{1b}[31mred\u{a}name");
    }
}
