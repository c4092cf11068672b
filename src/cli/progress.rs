//! Progress bars: scanning and listing, hashing, transferring.
//!
//! Drawn by an own thread that polls [`Progress`], so that a cycle only adds to counters. Only on a terminal.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human;
use super::output::Output;
use crate::sync::Progress;

/// About eight times a second.
const TICK: Duration = Duration::from_millis(125);

/// Bars being drawn. Dropping them clears them.
#[derive(Debug)]
pub struct Bars<'a> {
    output: &'a Output,
    multi: MultiProgress,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<'a> Bars<'a> {
    /// Draws `progress` on stderr until dropped.
    pub fn start(output: &'a Output, progress: Arc<Progress>) -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        output.around(Some(multi.clone()));
        let (stop, stopped) = channel();
        let drawn = multi.clone();
        let thread = std::thread::spawn(move || {
            let mut lines = Lines::default();
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                lines.draw(&drawn, &progress);
            }
        });
        Self { output, multi, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Bars<'_> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        self.multi.clear().ok();
        self.output.around(None);
    }
}

/// The bars that have something to show, made when they first do.
#[derive(Debug, Default)]
struct Lines {
    look: Option<ProgressBar>,
    hash: Option<ProgressBar>,
    send: Option<ProgressBar>,
}

impl Lines {
    fn draw(&mut self, multi: &MultiProgress, progress: &Progress) {
        let look = self.look.get_or_insert_with(|| add(multi, "{spinner} {msg}"));
        look.set_message(looking(progress));
        look.tick();
        let (to_hash, hashed) = (progress.to_hash.load(Relaxed), progress.hashed.load(Relaxed));
        if to_hash > 0 && self.send.is_none() {
            let hash = self.hash.get_or_insert_with(|| add(multi, "  hashing  {wide_bar} {msg}"));
            hash.set_length(to_hash);
            hash.set_position(hashed);
            let bytes = human::size(progress.bytes_hashed.load(Relaxed));
            hash.set_message(format!("{}/{} files, {bytes}", human::count(hashed), human::count(to_hash)));
        }
        let actions = progress.actions.load(Relaxed);
        if actions > 0 {
            // The plan is complete: nothing is hashed for it any more.
            if let Some(hash) = self.hash.take() {
                hash.finish_and_clear();
            }
            let send = self.send.get_or_insert_with(|| {
                add(multi, "  sending  {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {msg}, {eta} left")
            });
            // A retried body is counted again; the bar never runs over its end.
            let total = progress.bytes_to_send.load(Relaxed);
            send.set_length(total);
            send.set_position(progress.sent.bytes().min(total));
            let done = progress.actions_done.load(Relaxed);
            send.set_message(format!("{}/{} actions", human::count(done), human::count(actions)));
        }
    }
}

fn add(multi: &MultiProgress, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the templates are checked by a test");
    multi.add(ProgressBar::new(0).with_style(style.progress_chars("##-")))
}

/// The line of scan and listing.
fn looking(progress: &Progress) -> String {
    let (scanned, listed) = (progress.scanned.load(Relaxed), progress.listed.load(Relaxed));
    format!("{} at the source, {} at the destination", human::files(scanned), human::files(listed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_draws_from_the_counters() {
        let progress = Progress::default();
        progress.scanned.store(1234, Relaxed);
        progress.listed.store(1, Relaxed);
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut lines = Lines::default();
        lines.draw(&multi, &progress);
        assert_eq!(lines.look.as_ref().unwrap().message(), "1,234 files at the source, 1 file at the destination");
        assert!(lines.hash.is_none() && lines.send.is_none());
        progress.to_hash.store(4, Relaxed);
        progress.hashed.store(3, Relaxed);
        progress.bytes_hashed.store(2048, Relaxed);
        lines.draw(&multi, &progress);
        assert_eq!(lines.hash.as_ref().unwrap().message(), "3/4 files, 2.0 KiB");
        progress.actions.store(10, Relaxed);
        progress.bytes_to_send.store(100, Relaxed);
        progress.sent.add(150);
        lines.draw(&multi, &progress);
        assert!(lines.hash.is_none());
        let send = lines.send.unwrap();
        assert_eq!((send.message(), send.position()), ("0/10 actions".to_owned(), 100));
    }
}
