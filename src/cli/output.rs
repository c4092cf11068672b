//! The only place that prints: data to stdout, everything else to stderr.
//!
//! A closed stdout (`mediasync status | head`) is no error: the rest goes nowhere, and [`Output::closed`] lets a
//! command that only prints end early. A stdout that can't be written (a full disk) is told and makes the program fail.
//! A run that changes something goes on to its end in both cases.

use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressDrawTarget};
use jiff::tz::TimeZone;
use tokio::sync::Notify;

use super::exit::Exit;
use super::failure::Failure;
use super::human::{self, Colour};
use super::teller::Halted;
use super::totals::Totals;
use super::{json, progress};
use crate::model::Problem;

/// How long a line may wait for others before it is written.
const LINGER: Duration = Duration::from_millis(100);

/// For whom stdout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// People.
    Human,
    /// Scripts: one JSON object a line.
    Json,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: only problems.
    Quiet,
    /// The usual.
    Normal,
    /// `-v`: every action as it is carried out, and in dry runs also those that change only the manifest. What is
    /// skipped or unchanged is counted in every summary, and never listed.
    Verbose,
}

/// Hints that are remembered, so that they are told once.
const HINTS: usize = 100;

/// Where and how to print.
pub struct Output {
    streams: Mutex<Streams>,
    format: Format,
    verbosity: Verbosity,
    colour: Colour,
    zone: TimeZone,
    place: Place,
    closed: Notify,
}

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Data.
    Out,
    /// Everything else.
    Err,
}

/// Whose streams they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The process's own.
    Here,
    /// Somebody else's.
    Elsewhere,
}

/// Whether stdout still takes what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stdout {
    Open,
    /// Its reader went away.
    Closed,
    /// Something was lost that somebody wanted to read.
    Failed,
}

struct Streams {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    stdout: Stdout,
    flushed: Instant,
    bars: Option<MultiProgress>,
    /// Hints of problems that were told.
    hints: Vec<String>,
}

impl Streams {
    /// Runs with the bars out of the way.
    fn apart<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        match self.bars.clone() {
            Some(bars) => bars.suspend(|| write(self)),
            None => write(self),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.apart(|streams| streams.out.flush())
    }

    /// Nobody can be told that stderr is broken.
    fn aside(&mut self, text: &str) {
        self.apart(|streams| writeln!(streams.err, "{text}")).ok();
    }
}

fn unwritable(error: &io::Error) -> String {
    format!("error: can't write to stdout: {error}\n  hint: what a run did is in mediasync history")
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("format", &self.format)
            .field("verbosity", &self.verbosity)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// The process's own streams; `colours` is what the environment asks for.
    pub fn new(format: Format, verbosity: Verbosity, colours: Colour) -> Self {
        let colour = match (colours, io::stdout().is_terminal()) {
            (Colour::On, true) => Colour::On,
            _ => Colour::Off,
        };
        Self::with(Box::new(BufWriter::new(io::stdout())), Box::new(io::stderr()), format, verbosity)
            .looks(colour, TimeZone::system())
    }

    /// Streams of somebody else, who can't be asked anything.
    pub fn elsewhere(
        streams: (Box<dyn Write + Send>, Box<dyn Write + Send>),
        format: Format,
        verbosity: Verbosity,
        colour: Colour,
    ) -> Self {
        let output = Self::with(streams.0, streams.1, format, verbosity).looks(colour, TimeZone::system());
        Self { place: Place::Elsewhere, ..output }
    }

    fn with(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, format: Format, verbosity: Verbosity) -> Self {
        let streams =
            Streams { out, err, stdout: Stdout::Open, flushed: Instant::now(), bars: None, hints: Vec::new() };
        Self {
            streams: Mutex::new(streams),
            format,
            verbosity,
            colour: Colour::Off,
            zone: TimeZone::UTC,
            place: Place::Here,
            closed: Notify::new(),
        }
    }

    /// For tests: everything goes to one place.
    #[cfg(test)]
    pub(super) fn printing(err: Box<dyn Write + Send>, format: Format, verbosity: Verbosity, zone: TimeZone) -> Self {
        Self::with(Box::new(io::sink()), err, format, verbosity).looks(Colour::Off, zone)
    }

    fn looks(mut self, colour: Colour, zone: TimeZone) -> Self {
        self.colour = colour;
        self.zone = zone;
        self
    }

    /// For whom stdout is.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether there are colours.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    /// Passes on what another process printed, as it is.
    pub fn pass_on(&self, to: Stream, text: &str) {
        let mut streams = self.streams();
        match to {
            Stream::Err => {
                self.flush_out(&mut streams);
                streams.apart(|streams| write!(streams.err, "{text}")).ok();
            }
            Stream::Out if streams.stdout == Stdout::Open => {
                let result = streams.apart(|streams| {
                    write!(streams.out, "{text}")?;
                    streams.out.flush()
                });
                self.note(&mut streams, result);
            }
            Stream::Out => {}
        }
    }

    /// How much is said.
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Where times are shown.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether a person can be asked.
    pub fn can_ask(&self) -> bool {
        let here = self.place == Place::Here;
        here && self.format == Format::Human && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// The rows and columns of the terminal that stdout is; `None` if it is none.
    pub fn screen(&self) -> Option<(u16, u16)> {
        let screen = console::Term::stdout();
        (self.place == Place::Here && screen.is_term()).then(|| screen.size())
    }

    /// Waits until somebody closes stdout.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }

    /// One line of data.
    pub fn data(&self, line: &str) {
        let mut streams = self.streams();
        if streams.stdout != Stdout::Open {
            return;
        }
        let result = streams.apart(|streams| {
            let mut result = writeln!(streams.out, "{line}");
            if result.is_ok() && streams.flushed.elapsed() >= LINGER {
                streams.flushed = Instant::now();
                result = streams.out.flush();
            }
            result
        });
        self.note(&mut streams, result);
    }

    /// The first failure decides what becomes of stdout.
    fn note(&self, streams: &mut Streams, written: io::Result<()>) {
        let Err(error) = written else { return };
        if streams.stdout != Stdout::Open {
            return;
        }
        self.closed.notify_one();
        streams.stdout = Stdout::Closed;
        if error.kind() != io::ErrorKind::BrokenPipe {
            streams.stdout = Stdout::Failed;
            streams.aside(&unwritable(&error));
        }
    }

    /// One text for people beside the data.
    pub(super) fn aside(&self, text: &str) {
        let mut streams = self.streams();
        // So that the two streams read in order on one terminal.
        self.flush_out(&mut streams);
        streams.aside(text);
    }

    fn flush_out(&self, streams: &mut Streams) {
        if streams.stdout == Stdout::Open {
            let flushed = streams.flush();
            self.note(streams, flushed);
        }
    }

    /// Whether a problem had this hint before; from now on it had.
    fn is_told(&self, hint: Option<&str>) -> bool {
        let Some(hint) = hint else { return false };
        let hints = &mut self.streams().hints;
        let told = hints.iter().any(|other| other == hint);
        if !told && hints.len() < HINTS {
            hints.push(hint.to_owned());
        }
        told
    }

    /// Says something that is neither data nor a problem: the first line of a run. Nothing with `-q`.
    pub fn say(&self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.aside(text);
        }
    }

    /// Says what people should know even with `-q`.
    pub fn warn(&self, text: &str) {
        self.aside(&format!("warning: {text}"));
    }

    /// One line of the log.
    pub(super) fn log(&self, line: &str) {
        self.aside(line);
    }

    /// Why a command, or one job of several, can't go on.
    pub fn failure(&self, job: Option<&str>, failure: &Failure) {
        if self.format == Format::Json {
            self.data(&json::failure(job, failure));
        }
        let mut text = format!("error: {}", failure.message);
        for hint in &failure.hints {
            text.push_str("\n  hint: ");
            text.push_str(hint);
        }
        self.aside(&text);
    }

    /// One key that could not be handled. A hint is told once.
    pub fn problem(&self, job: Option<&str>, problem: &Problem) {
        match self.format {
            Format::Json => self.data(&json::problem(job, problem)),
            Format::Human if self.is_told(problem.hint.as_deref()) => {
                self.aside(&human::problem(&Problem { hint: None, ..problem.clone() }));
            }
            Format::Human => self.aside(&human::problem(problem)),
        }
    }

    /// Why a guard refused, and what resolves it.
    pub fn halt(&self, job: Option<&str>, halted: &Halted<'_>) {
        match self.format {
            Format::Json => self.data(&json::halt(job, halted.halt, halted.approve)),
            Format::Human => self.aside(&human::halt(halted)),
        }
    }

    /// What becomes of a halt that a person was asked about, and declined.
    pub fn declined(&self, hint: &str) {
        self.aside(&format!("Nothing was changed.\n  hint: {hint}"));
    }

    /// The totals of a run.
    pub fn summary(&self, job: Option<&str>, totals: &Totals<'_>) {
        match self.format {
            Format::Json => self.data(&json::summary(job, totals)),
            Format::Human if self.verbosity > Verbosity::Quiet => self.data(&human::summary(job, totals)),
            Format::Human => {}
        }
    }

    /// Whether progress bars can be shown.
    pub fn shows_progress(&self) -> bool {
        self.place == Place::Here && self.verbosity > Verbosity::Quiet && io::stderr().is_terminal()
    }

    /// Asks a person; [`Output::answer`] waits for what is typed. Bars are not drawn until [`Output::answered`].
    pub fn prompt(&self, question: &str) {
        self.question(&format!("{question} [y/N] "));
    }

    /// Shows a question, to its last blank; [`Output::line`] waits for what is typed.
    pub(super) fn question(&self, question: &str) {
        let mut streams = self.streams();
        if let Some(bars) = &streams.bars {
            bars.clear().ok();
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        self.flush_out(&mut streams);
        write!(streams.err, "{question}").ok();
        streams.err.flush().ok();
    }

    /// The person has answered.
    pub fn answered(&self) {
        if let Some(bars) = &self.streams().bars {
            bars.set_draw_target(progress::on_stderr());
        }
    }

    /// Waits for a line on stdin; anything but `yes` or `y` is a no.
    pub fn answer() -> bool {
        Self::line().is_some_and(|answer| matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Waits for a line on stdin; `None` at its end.
    pub(super) fn line() -> Option<String> {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        read.is_ok_and(|bytes| bytes > 0).then_some(line)
    }

    /// From now on everything is printed around these bars; `None` ends that.
    pub fn around(&self, bars: Option<MultiProgress>) {
        self.streams().bars = bars;
    }

    /// Writes what is left, and tells whether all of it could be written.
    pub fn finish(&self) -> Exit {
        let mut streams = self.streams();
        self.flush_out(&mut streams);
        streams.err.flush().ok();
        if streams.stdout == Stdout::Failed { Exit::Failed } else { Exit::Done }
    }

    /// A printer that panicked half-way has at worst left half a line.
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints what clap has to say: help and the version to stdout, mistakes to stderr. Returns the exit code.
pub fn clap(error: &clap::Error) -> u8 {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    match error.print().and_then(|()| io::stdout().flush()) {
        // A closed pipe is no error here either.
        Err(lost) if lost.kind() != io::ErrorKind::BrokenPipe && !error.use_stderr() => {
            writeln!(io::stderr(), "error: can't write to stdout: {lost}").ok();
            Exit::Failed.code()
        }
        _ => code,
    }
}

/// Whether the environment asks for colours: not with `NO_COLOR` (<https://no-color.org>) or a dumb terminal.
pub fn colours(env: impl Fn(&str) -> Option<String>) -> Colour {
    let refused = env("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env("TERM").is_some_and(|term| term == "dumb");
    if refused || dumb { Colour::Off } else { Colour::On }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cli::fixtures::{action, key};
    use crate::cli::teller::{About, Teller};
    use crate::model::{ProblemKind, Reason, Verb};
    use crate::sync::Report;
    use crate::sync::{Observer as _, Stage};

    /// A stream that keeps what is written, or is closed.
    #[derive(Debug, Clone, Default)]
    struct Sink(Arc<Mutex<Option<Vec<u8>>>>);

    impl Sink {
        fn open() -> Self {
            Self(Arc::new(Mutex::new(Some(Vec::new()))))
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone().unwrap()).unwrap()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut kept = self.0.lock().unwrap();
            let kept = kept.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
            kept.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A run with one of everything; what it wrote to both streams.
    fn run(format: Format, verbosity: Verbosity) -> [String; 2] {
        let (out, err) = (Sink::open(), Sink::open());
        let output = Output::with(Box::new(out.clone()), Box::new(err.clone()), format, verbosity);
        output.say("from /a to /b");
        let teller = Teller { output: &output, job: None, about: About::default() };
        teller.notice("the server is old");
        teller.action(&action(Verb::Create, Reason::New, 1, "new.txt"), Stage::Planned);
        teller.action(&action(Verb::Touch, Reason::TouchedOnly, 1, "touched.txt"), Stage::Planned);
        teller.action(&action(Verb::Create, Reason::New, 1, "done.txt"), Stage::Done);
        teller.problem(&Problem::of(&key("bad.txt"), ProblemKind::Unreadable, "denied"));
        output.summary(None, &Totals::of(&Report::empty(), Stage::Planned));
        [out.text(), err.text()]
    }

    #[test]
    fn data_goes_to_stdout_and_everything_else_to_stderr() {
        let [out, err] = run(Format::Human, Verbosity::Normal);
        assert_eq!(out, "create           1 B  new.txt  (new)\nNothing to do.\n");
        assert_eq!(err, "from /a to /b\nnote: the server is old\nproblem: bad.txt: denied (unreadable)\n");
    }

    #[test]
    fn the_hint_of_many_problems_is_told_once() {
        let err = Sink::open();
        let output = Output::with(Box::new(Sink::open()), Box::new(err.clone()), Format::Human, Verbosity::Normal);
        let teller = Teller { output: &output, job: None, about: About::default() };
        for name in ["a", "b"] {
            teller.problem(&Problem::of(&key(name), ProblemKind::Refused, "denied").hint("give it away"));
        }
        let expected = "problem: a: denied (refused)\n  hint: give it away\nproblem: b: denied (refused)\n";
        assert_eq!(err.text(), expected);
    }

    #[test]
    fn quiet_prints_only_problems() {
        let [out, err] = run(Format::Human, Verbosity::Quiet);
        assert_eq!((out.as_str(), err.as_str()), ("", "problem: bad.txt: denied (unreadable)\n"));
    }

    #[test]
    fn verbose_prints_every_action() {
        let [out, _] = run(Format::Human, Verbosity::Verbose);
        assert_eq!(out.matches(".txt").count(), 3, "{out}");
    }

    #[test]
    fn json_has_every_event_on_stdout_each_a_line_of_json_with_version_and_type() {
        let [out, err] = run(Format::Json, Verbosity::Normal);
        let types: Vec<String> = out
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .inspect(|event| assert_eq!(event["v"], 1))
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(types, ["notice", "action", "action", "action", "problem", "summary"]);
        assert_eq!(err, "from /a to /b\n");
    }

    #[tokio::test]
    async fn a_closed_stdout_is_noticed_and_no_error() {
        let err = Sink::open();
        let output = Output::with(Box::new(Sink::default()), Box::new(err.clone()), Format::Human, Verbosity::Normal);
        output.data("lost");
        output.data("lost too");
        tokio::time::timeout(Duration::from_secs(5), output.closed()).await.unwrap();
        output.say("still here");
        assert_eq!(err.text(), "still here\n");
        assert_eq!(output.finish(), Exit::Done);
    }

    /// A disk without space.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_report_that_is_lost_is_told_once_and_fails() {
        let err = Sink::open();
        let output = Output::with(Box::new(Full), Box::new(err.clone()), Format::Human, Verbosity::Quiet);
        assert_eq!(output.finish(), Exit::Done);
        output.data("lost");
        output.data("lost too");
        assert_eq!(output.finish(), Exit::Failed);
        assert_eq!(err.text().matches("error: can't write to stdout: ").count(), 1, "{}", err.text());
        // What waits in a buffer is lost at the end only.
        let buffered = Box::new(BufWriter::new(Full));
        let output = Output::with(buffered, Box::new(Sink::open()), Format::Human, Verbosity::Quiet);
        output.data("lost");
        assert_eq!(output.finish(), Exit::Failed);
    }

    #[test]
    fn no_color_and_dumb_terminals_are_respected() {
        let env = |set: &'static str, value: &'static str| move |name: &str| (name == set).then(|| value.to_owned());
        assert_eq!(colours(env("NO_COLOR", "1")), Colour::Off);
        assert_eq!(colours(env("NO_COLOR", "")), Colour::On);
        assert_eq!(colours(env("TERM", "dumb")), Colour::Off);
        assert_eq!(colours(env("TERM", "xterm")), Colour::On);
    }
}
