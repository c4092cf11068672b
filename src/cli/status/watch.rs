//! `status --watch`: looks each second. A terminal shows the last look, in place; elsewhere one is printed whenever it
//! says something else than the one before, apart from times and counts that go on by themselves.

use std::time::Duration;

use console::truncate_str;

use super::args;
use super::look::{Sight, look};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupt;
use crate::cli::output::{Format, Output, Stream};
use crate::cli::place::World;
use crate::cli::setup::Setup;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Another screen, without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Looks until a signal comes, and exits with what the last look says.
///
/// # Errors
/// An unknown job.
pub(super) async fn watch(args: &args::Status, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let in_place = output.format() == Format::Human && output.screen().is_some();
    let mut seen = look(args.job.as_deref(), setup, world).await?;
    if in_place {
        output.pass_on(Stream::Out, ENTER);
    } else {
        print(&seen, output);
    }
    let stop = interrupt::signalled();
    tokio::pin!(stop);
    let end = loop {
        if let Some(size) = output.screen().filter(|_| in_place) {
            let rows = usize::from(size.0.max(2)) - 1;
            output.pass_on(Stream::Out, &frame(&seen.text(rows), size));
        }
        tokio::select! {
            () = &mut stop => break Ok(()),
            () = output.closed() => break Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
        match look(args.job.as_deref(), setup, world).await {
            Ok(next) => {
                if !in_place && next.gist != seen.gist {
                    print(&next, output);
                }
                seen = next;
            }
            Err(failure) => break Err(failure),
        }
    };
    if in_place {
        output.pass_on(Stream::Out, LEAVE);
        seen.print(output);
    }
    end.map(|()| seen.exit)
}

/// A look among others, at once.
fn print(seen: &Sight, output: &Output) {
    seen.print(output);
    if output.format() == Format::Human {
        output.data("");
    }
    output.pass_on(Stream::Out, "");
}

/// A text that takes the place of the one before, cut to a screen of so many rows and columns.
fn frame(text: &str, (rows, columns): (u16, u16)) -> String {
    let rows = usize::from(rows.max(2)) - 1;
    let lines = text.lines().count();
    let mut frame = "\x1b[H".to_owned();
    for (at, line) in text.lines().take(rows).enumerate() {
        let line = if at + 1 == rows && lines > rows { "..." } else { line };
        frame.push_str(&truncate_str(line, usize::from(columns.max(20)) - 1, "…"));
        frame.push_str("\x1b[K\r\n");
    }
    frame.push_str("\x1b[J");
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_never_scrolls_and_leaves_nothing_of_the_one_before() {
        let frame = frame("a\nlong long long long long\nc\nd", (3, 20));
        assert_eq!(frame, "\x1b[Ha\x1b[K\r\n...\x1b[K\r\n\x1b[J");
        let wide = super::frame("long long long long long", (3, 20));
        assert!(wide.starts_with("\x1b[Hlong long long lon…\x1b[K"), "{wide:?}");
    }
}
