//! What is asked: each question is answered by a flag, or by a person, whose earlier answer is the default when it is asked
//! again.

use std::path::{Path, PathBuf};

use super::ask::{Asker, Usual};
use super::find::{self, Candidate};
use super::readers::{self, AclArg};
use super::{Init, ModeArg, every, look};
use crate::cli::failure::Failure;
use crate::cli::place::{self, End, World};
use crate::cli::resolve;
use crate::cli::setup::shown;
use crate::location::{Found, Location};

/// When a job runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct When {
    /// As files change.
    pub(super) watch: bool,
    /// So often.
    pub(super) every: Option<String>,
}

impl When {
    /// Whether a daemon runs it.
    pub(super) fn is_by_itself(&self) -> bool {
        self.watch || self.every.is_some()
    }
}

/// All that was answered.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    /// The directory.
    pub(super) source: PathBuf,
    /// The remote, as it was typed.
    pub(super) remote: String,
    /// What that means.
    pub(super) end: End,
    /// Whether it could be listed.
    pub(super) reached: Usual,
    /// The name of the job.
    pub(super) name: String,
    /// How the sides relate.
    pub(super) mode: ModeArg,
    /// The ACL of what is pushed, where somebody wants another one than the place has by itself.
    pub(super) acl: Option<AclArg>,
    /// When it runs.
    pub(super) when: When,
    /// Whether a service is installed.
    pub(super) service: Usual,
}

/// One time through all questions.
pub(super) struct Round<'a> {
    /// What is not asked.
    pub(super) flags: Init,
    /// What was answered the last time.
    pub(super) usual: Option<Answers>,
    /// DSNs that were found.
    pub(super) found: &'a [Candidate],
    /// Who is asked.
    pub(super) asker: &'a Asker<'a>,
    /// The world outside.
    pub(super) world: World<'a>,
}

impl Round<'_> {
    /// Asks all that no flag says.
    ///
    /// # Errors
    /// A flag is wrong, or nobody is there any more.
    pub(super) async fn answers(&self) -> Result<Answers, Failure> {
        let source = self.source().await?;
        let (remote, end, reached) = self.remote().await?;
        let name = self.name(&source).await?;
        let mode = self.mode().await?;
        let before = self.usual.as_ref().and_then(|usual| usual.acl);
        let acl = readers::asked((self.flags.acl, before), (&end.location, mode), self.asker).await?;
        let when = self.when(&source).await?;
        let service = self.service(&when).await?;
        Ok(Answers { source, remote, end, reached, name, mode, acl, when, service })
    }

    async fn source(&self) -> Result<PathBuf, Failure> {
        let world = self.world;
        let check = |text: &str| match place::end(text, world)?.location {
            Location::Local(path) if (world.found)(&path) == Found::Directory => Ok(path),
            Location::Local(path) => Err(Failure::usage(format!("{} is not there", shown(&path)))
                .hint("name a directory that is there: an empty new one would look like one that was not mounted")),
            Location::S3(_) | Location::Azure(_) => Err(Failure::usage(
                "the source of init is a local directory; other jobs are written by hand (docs/config.md)",
            )),
        };
        if let Some(text) = &self.flags.source {
            return check(text);
        }
        let before = self.usual.as_ref().and_then(|usual| usual.source.to_str().map(str::to_owned));
        let usual = before.or_else(|| find::media(world)).unwrap_or_else(|| ".".to_owned());
        loop {
            match check(&self.asker.text("Which directory?", Some(&usual)).await?) {
                Err(failure) if self.asker.asks() => self.asker.complain(&failure),
                done => return done,
            }
        }
    }

    /// What was typed, what it means, and whether it answers: a mistake is told before anything else is asked.
    async fn remote(&self) -> Result<(String, End, Usual), Failure> {
        let all: Vec<String> = self.found.iter().map(Candidate::shown).collect();
        let mut flag = self.flags.remote.clone();
        loop {
            let text = match flag.take() {
                Some(text) => text,
                None => self.asked_remote(&all).await?,
            };
            let tried = match self.check(&text) {
                Ok(end) => look::reach(&end).await.map(|()| end.clone()).map_err(|failure| (failure, Some(end))),
                Err(failure) => Err((failure, None)),
            };
            match tried {
                Ok(end) => {
                    if !matches!(end.location, Location::Local(_)) {
                        self.asker.say(&format!("{} answers", end.location.display()));
                    }
                    return Ok((text, end, Usual::Yes));
                }
                Err((failure, _)) if !self.asker.asks() => return Err(failure),
                Err((failure, end)) => {
                    self.asker.complain(&failure);
                    let question = "Take it all the same? (n asks for another place)";
                    if let Some(end) = end
                        && self.asker.yes(question, Usual::No).await? == Usual::Yes
                    {
                        return Ok((text, end, Usual::No));
                    }
                }
            }
        }
    }

    async fn asked_remote(&self, all: &[String]) -> Result<String, Failure> {
        const QUESTION: &str = "Where does it go? A number, or s3://BUCKET/PREFIX, az://..., env:NAME, a directory";
        let usual = self.usual.as_ref().map(|usual| usual.remote.as_str());
        let typed = self.asker.one_of(QUESTION, all, usual).await?;
        Ok(match typed.parse::<usize>() {
            Ok(number @ 1..) if number <= self.found.len() => self.found[number - 1].text.clone(),
            _ => typed,
        })
    }

    fn check(&self, text: &str) -> Result<End, Failure> {
        if resolve::is_a_bare_name(text, self.world) {
            let shown = text.escape_debug();
            return Err(Failure::usage(format!("there is no directory `{shown}`: `s3://{shown}` or `env:{shown}`?"))
                .hint("the first is a bucket, the second a variable with a DSN; ./NAME is a directory"));
        }
        if text.trim() == "-" {
            return Err(Failure::usage("a configuration has no standard input")
                .hint("name a variable or a file: env:NAME, dsn-file:PATH"));
        }
        resolve::refuse_a_bare_name(text, self.world)?;
        place::end(text, self.world)
    }

    async fn name(&self, source: &Path) -> Result<String, Failure> {
        let check = |name: &str| {
            let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            let wrong = name.is_empty() || name.starts_with('-') || !name.chars().all(fine);
            if wrong {
                Err(Failure::usage("a job's name has letters, digits, -, _ and . only, and does not begin with -"))
            } else {
                Ok(())
            }
        };
        if let Some(name) = &self.flags.name {
            return check(name).map(|()| name.clone());
        }
        let of_directory = source.file_name().and_then(|name| name.to_str()).filter(|name| check(name).is_ok());
        let before = self.usual.as_ref().map(|usual| usual.name.as_str());
        let usual = before.or(of_directory).unwrap_or("media");
        loop {
            let name = self.asker.text("What is the job called?", Some(usual)).await?;
            match check(&name) {
                Err(failure) if self.asker.asks() => self.asker.complain(&failure),
                done => return done.map(|()| name),
            }
        }
    }

    async fn mode(&self) -> Result<ModeArg, Failure> {
        const MODES: [(ModeArg, &str); 3] = [
            (ModeArg::Copy, "copy: adds and updates"),
            (ModeArg::Mirror, "mirror: makes the remote exactly like the directory"),
            (ModeArg::TwoWay, "two-way: gives each side what the other one changed"),
        ];
        if let Some(mode) = self.flags.mode {
            return Ok(mode);
        }
        let before = self.usual.as_ref().and_then(|usual| MODES.iter().position(|(mode, _)| *mode == usual.mode));
        let number = self.asker.number("How?", &MODES.map(|(_, text)| text), before.map_or(1, |at| at + 1)).await?;
        Ok(MODES[number - 1].0)
    }

    async fn when(&self, source: &Path) -> Result<When, Failure> {
        if self.flags.watch || self.flags.every.is_some() {
            return Ok(When { watch: self.flags.watch, every: self.flags.every.clone() });
        }
        let before = self.usual.as_ref().map(|usual| usual.when.clone()).unwrap_or_default();
        let usual = match (before.watch, &before.every) {
            (true, _) => 2,
            (false, Some(_)) => 3,
            (false, None) => 1,
        };
        let watch = format!("watch: as files in {} change (a daemon watches it)", shown(source));
        let options =
            ["sync: when you say so (mediasync sync)", watch.as_str(), "schedule: so often (a daemon runs it)"];
        match self.asker.number("When does it run?", &options, usual).await? {
            2 => Ok(When { watch: true, every: None }),
            3 => loop {
                let text = self.asker.text("How often?", Some(before.every.as_deref().unwrap_or("15m"))).await?;
                match every(&text) {
                    Ok(text) => return Ok(When { watch: false, every: Some(text) }),
                    Err(wrong) => self.asker.complain(&Failure::usage(wrong)),
                }
            },
            _ => Ok(When::default()),
        }
    }

    async fn service(&self, when: &When) -> Result<Usual, Failure> {
        if self.flags.service {
            return Ok(Usual::Yes);
        }
        if !when.is_by_itself() {
            return Ok(Usual::No);
        }
        let before = self.usual.as_ref().map_or(Usual::No, |usual| usual.service);
        let answer = self.asker.yes("Install a service of yours that runs it?", before).await?;
        if answer == Usual::No {
            self.asker.say("Not now; later it is: mediasync service install --user");
        }
        Ok(answer)
    }
}
