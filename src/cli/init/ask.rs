//! Questions on a terminal, each with a default that a bare Enter takes. Without a terminal, or where nobody wants to be
//! asked, the default is the answer.

use std::sync::Arc;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// An answer to a question for yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usual {
    /// Yes.
    Yes,
    /// No.
    No,
}

/// Somebody who can be asked, or nobody.
pub(super) struct Asker<'a> {
    output: &'a Arc<Output>,
    /// Whether there is a person.
    person: bool,
}

/// Whoever was asked went away.
pub(super) fn stopped() -> Failure {
    Failure { exit: Exit::Interrupted, ..Failure::error("stopped; nothing was written") }
}

impl<'a> Asker<'a> {
    /// `agreed` is whether all defaults were agreed to before.
    pub(super) fn new(output: &'a Arc<Output>, agreed: Usual) -> Self {
        Self { output, person: agreed == Usual::No && output.can_ask() }
    }

    /// Whether there is somebody to ask.
    pub(super) fn asks(&self) -> bool {
        self.person
    }

    /// What was wrong with an answer.
    pub(super) fn complain(&self, failure: &Failure) {
        self.output.failure(None, failure);
    }

    async fn line(&self, question: &str) -> Result<String, Failure> {
        self.output.question(question);
        let line = tokio::task::spawn_blocking(Output::line).await.ok().flatten();
        line.map(|line| line.trim().to_owned()).ok_or_else(stopped)
    }

    /// Tells how it goes.
    pub(super) fn say(&self, text: &str) {
        if self.person {
            self.output.say(text);
        }
    }

    /// A text. The default may be a DSN: its secret is not shown.
    pub(super) async fn text(&self, question: &str, usual: Option<&str>) -> Result<String, Failure> {
        let Some(usual) = usual else { return self.needed(question).await };
        if !self.person {
            return Ok(usual.to_owned());
        }
        let line = self.line(&format!("{question} [{}] ", crate::dsn::redact(usual))).await?;
        Ok(if line.is_empty() { usual.to_owned() } else { line })
    }

    async fn needed(&self, question: &str) -> Result<String, Failure> {
        loop {
            if !self.person {
                return Err(Failure::usage("init can't ask here, and a flag is missing"));
            }
            let line = self.line(&format!("{question}: ")).await?;
            if !line.is_empty() {
                return Ok(line);
            }
        }
    }

    /// Yes or no.
    pub(super) async fn yes(&self, question: &str, usual: Usual) -> Result<Usual, Failure> {
        if !self.person {
            return Ok(usual);
        }
        let shown = match usual {
            Usual::Yes => "[Y/n]",
            Usual::No => "[y/N]",
        };
        loop {
            match self.line(&format!("{question} {shown} ")).await?.to_ascii_lowercase().as_str() {
                "" => return Ok(usual),
                "y" | "yes" => return Ok(Usual::Yes),
                "n" | "no" => return Ok(Usual::No),
                _ => self.complain(&Failure::usage("that is no answer: write y or n")),
            }
        }
    }

    /// The number of an option, counted from 1; `usual` is the default. The word that an option begins with names it, too.
    pub(super) async fn number(&self, question: &str, options: &[&str], usual: usize) -> Result<usize, Failure> {
        if !self.person {
            return Ok(usual);
        }
        self.list(options.iter().copied());
        loop {
            let line = self.line(&format!("{question} [{usual}] ")).await?;
            match line.parse::<usize>() {
                _ if line.is_empty() => return Ok(usual),
                Ok(number @ 1..) if number <= options.len() => return Ok(number),
                _ => {}
            }
            let word = |option: &&str| option.split_once(':').is_some_and(|(word, _)| word.eq_ignore_ascii_case(&line));
            match options.iter().position(word) {
                Some(at) => return Ok(at + 1),
                None => self.complain(&Failure::usage(format!("that is none of them: write 1 to {}", options.len()))),
            }
        }
    }

    /// The number of one of those that were found, or another text; by default the usual one, else the first.
    pub(super) async fn one_of(
        &self,
        question: &str,
        found: &[String],
        usual: Option<&str>,
    ) -> Result<String, Failure> {
        if self.person {
            self.list(found.iter().map(String::as_str));
        }
        self.text(question, usual.or((!found.is_empty()).then_some("1"))).await
    }

    fn list<'t>(&self, options: impl Iterator<Item = &'t str>) {
        let lines: Vec<String> = options.enumerate().map(|(at, option)| format!("  {}) {option}", at + 1)).collect();
        if !lines.is_empty() {
            self.output.say(&lines.join("\n"));
        }
    }
}
