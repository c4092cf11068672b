//! Progress bars: scanning and listing, hashing, transferring.
//!
//! Drawn by an own thread that polls [`Progress`], so that a cycle only adds to counters. Only on a terminal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

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
        Self::drawn(output, move |multi| {
            let mut lines = Lines::default();
            move || lines.draw(&multi, &progress)
        })
    }

    /// Only the line of what is being sent.
    pub fn sending(output: &'a Output, progress: Arc<Progress>) -> Self {
        Self::drawn(output, move |multi| {
            let mut lines = Lines::default();
            move || lines.draw_sending(&multi, &progress)
        })
    }

    /// One line with a number that grows.
    pub fn counting(output: &'a Output, looked: Arc<AtomicU64>) -> Self {
        Self::drawn(output, move |multi| {
            let mut bar = None;
            move || {
                let bar = bar.get_or_insert_with(|| add(&multi, "{spinner} {msg}"));
                bar.set_message(format!("{} looked at", human::files(looked.load(Relaxed))));
                bar.tick();
            }
        })
    }

    /// Calls what `make` gives at each tick.
    fn drawn<D: FnMut() + 'static>(output: &'a Output, make: impl FnOnce(MultiProgress) -> D + Send + 'static) -> Self {
        let multi = MultiProgress::with_draw_target(on_stderr());
        output.around(Some(multi.clone()));
        let (stop, stopped) = channel();
        let drawn = multi.clone();
        let thread = std::thread::spawn(move || {
            let mut draw = make(drawn);
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                draw();
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

/// Where bars are drawn.
pub(super) fn on_stderr() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Parked(Term::buffered_stderr())), 8)
}

/// A terminal whose cursor rests at the start of the last line between two drawings. Left at its end, where `indicatif`
/// leaves it, the `^C` that terminals echo moves it to the next line, and the clearing that follows misses the first.
#[derive(Debug)]
struct Parked<T>(T);

impl<T: TermLike> TermLike for Parked<T> {
    fn width(&self) -> u16 {
        self.0.width()
    }

    fn height(&self) -> u16 {
        self.0.height()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    /// The end of a drawing.
    fn flush(&self) -> io::Result<()> {
        self.0.write_str("\r")?;
        self.0.flush()
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
        self.draw_sending(multi, progress);
    }

    fn draw_sending(&mut self, multi: &MultiProgress, progress: &Progress) {
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
    use std::sync::Mutex;

    use super::*;

    /// A screen of 40 columns, with the line and column of its cursor. A cursor behind the last column stays in its
    /// line until something is written.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<(Vec<String>, usize, usize)>>);

    impl Screen {
        fn lines(&self) -> Vec<String> {
            let lines = self.0.lock().unwrap().0.clone();
            lines.iter().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            40
        }

        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            let (_, row, _) = &mut *self.0.lock().unwrap();
            *row = row.saturating_sub(n);
            Ok(())
        }

        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.0.lock().unwrap().1 += n;
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            unreachable!("bars are drawn whole")
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            unreachable!("bars are drawn whole")
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)?;
            let (_, row, column) = &mut *self.0.lock().unwrap();
            (*row, *column) = (*row + 1, 0);
            Ok(())
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            let (lines, row, column) = &mut *self.0.lock().unwrap();
            for c in text.chars() {
                if c == '\r' {
                    *column = 0;
                    continue;
                }
                if *column == 40 {
                    (*row, *column) = (*row + 1, 0);
                }
                lines.resize((*row + 1).max(lines.len()), " ".repeat(40));
                lines[*row] =
                    lines[*row].chars().enumerate().map(|(at, old)| if at == *column { c } else { old }).collect();
                *column += 1;
            }
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            let (lines, row, column) = &mut *self.0.lock().unwrap();
            *column = 0;
            if let Some(line) = lines.get_mut(*row) {
                *line = " ".repeat(40);
            }
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_echoed_ctrl_c_leaves_no_half_drawn_bar() {
        let screen = Screen::default();
        screen.write_line("the first line of the run").unwrap();
        let terminal = Box::new(Parked(screen.clone()));
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(terminal, 100));
        let progress = Progress::default();
        progress.actions.store(10, Relaxed);
        let mut lines = Lines::default();
        lines.draw(&multi, &progress);
        assert!(screen.lines().len() >= 3, "{:?}", screen.lines());
        screen.write_str("^C").unwrap();
        drop(lines);
        multi.clear().unwrap();
        assert_eq!(screen.lines(), ["the first line of the run"]);
    }

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
