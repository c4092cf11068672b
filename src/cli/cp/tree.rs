//! `cp -r`: all files below a place. It is listed twice: before anything is changed, to see that the listing is complete, how
//! much it is and whether there is room; then file by file, so that memory does not grow with it.

use std::sync::Arc;

use futures_util::stream::{StreamExt, TryStreamExt, iter, try_unfold};

use super::Work;
use super::ends::What;
use super::one::Outcome;
use crate::cli::failure::Failure;
use crate::cli::filters::ignore_file;
use crate::config::CONCURRENCY;
use crate::location::Location;
use crate::model::{Entry, Filter, FilterRules, Item, Key, Problem, SkipReason, Verdict};
use crate::replica::{Cause, Error, Listing};
use crate::survey::problem_of;
use crate::sync::Stage;

/// What a listing says, by the rules.
#[derive(Debug)]
enum Said {
    File(Key, Entry),
    Left(SkipReason),
    Wrong(Problem),
}

/// What happened to one of them.
enum Became {
    Copied((Key, Key), u64, Outcome),
    Left(SkipReason),
    Wrong(Problem),
    Over(Error),
}

/// A listing that has to come to its end.
struct Walk<'a> {
    listing: Listing,
    filter: &'a Filter,
    name: &'a str,
    is_complete: bool,
}

impl Walk<'_> {
    async fn next(&mut self) -> Result<Option<Vec<Said>>, Failure> {
        let Some(batch) = self.listing.items.recv().await else {
            let broken = || Failure::error(format!("the listing of {} broke off", self.name));
            return if self.is_complete { Ok(None) } else { Err(broken()) };
        };
        let mut said = Vec::new();
        for item in batch?.into_iter().filter(|item| !item.is_left_out_again()) {
            said.extend(match item {
                Item::Present(key, entry) => Some(match self.filter.verdict(&key, entry.size) {
                    Verdict::In => Said::File(key, entry),
                    Verdict::Out(why) => Said::Left(why),
                }),
                Item::Skipped(_, why) => Some(Said::Left(why)),
                Item::Unknown(_, problem) | Item::Nameless(problem) => Some(Said::Wrong(problem)),
                Item::End => {
                    self.is_complete = true;
                    None
                }
            });
        }
        Ok(Some(said))
    }
}

impl Work<'_> {
    fn walk<'w>(&'w self, filter: &'w Arc<Filter>) -> Walk<'w> {
        let from = self.copying.way.from;
        Walk { listing: from.list(None, filter), filter, name: from.name(), is_complete: false }
    }

    /// The rules of a push: those of the directory itself, then those that were typed.
    fn filter(&self) -> Result<Arc<Filter>, Failure> {
        debug_assert!(matches!(self.source.what, What::Below), "one file is meant whatever it is called");
        let mut rules = FilterRules::default();
        if let Location::Local(root) = &self.source.end.location {
            rules.rules.extend(ignore_file(root)?);
        }
        rules.rules.extend(self.args.rules.0.iter().cloned());
        Ok(Arc::new(Filter::new(rules).map_err(|bad| Failure::usage(bad.to_string()))?))
    }

    pub(super) async fn all(&self) -> Result<(), Failure> {
        let filter = self.filter()?;
        let (files, bytes, needed) = self.survey(&filter).await?;
        if self.copying.stage == Stage::Done {
            self.room(needed).await?;
        }
        self.begin(files, bytes);
        let batches = try_unfold(self.walk(&filter), |mut walk| async move {
            Ok::<_, Failure>(walk.next().await?.map(|said| (iter(said.into_iter().map(Ok::<_, Failure>)), walk)))
        });
        let done = batches.try_flatten().map(|said| async {
            match said {
                Ok(said) => Ok(self.handle(said).await),
                Err(failure) => Err(failure),
            }
        });
        let mut done = std::pin::pin!(done.buffer_unordered(CONCURRENCY));
        while let Some(became) = done.next().await {
            match became? {
                Became::Copied((from, to), size, outcome) => self.told((&from, &to), size, outcome),
                Became::Left(SkipReason::Own) => {}
                Became::Left(why) => *self.sums().skipped.entry(why).or_default() += 1,
                Became::Wrong(problem) => {
                    self.sums().problems += 1;
                    self.output.problem(None, &problem);
                }
                Became::Over(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How many files there are, their bytes, and the bytes that a disk needs.
    async fn survey(&self, filter: &Arc<Filter>) -> Result<(u64, u64, u64), Failure> {
        let (mut files, mut bytes, mut needed) = (0, 0, 0);
        let mut walk = self.walk(filter);
        while let Some(batch) = walk.next().await? {
            for said in batch {
                let Said::File(key, entry) = said else { continue };
                files += 1;
                bytes += entry.size;
                needed += match self.target.key(key.as_str()) {
                    Ok(to) => self.needed(&to, &entry).await,
                    // What goes wrong here is told when it is its turn.
                    Err(_) => 0,
                };
            }
        }
        Ok((files, bytes, needed))
    }

    async fn handle(&self, said: Said) -> Became {
        let (key, entry) = match said {
            Said::File(key, entry) => (key, entry),
            Said::Left(why) => return Became::Left(why),
            Said::Wrong(problem) => return Became::Wrong(problem),
        };
        let done = match self.target.key(key.as_str()) {
            Ok(to) => self.copying.one(&key, &entry, &to).await.map(|outcome| (to, outcome)),
            Err(failure) => Err(Error::new(Cause::Refused, failure.message)),
        };
        self.count_one();
        match done {
            Ok((to, outcome)) => Became::Copied((key, to), entry.size, outcome),
            Err(error) if error.cause == Cause::Stop => Became::Over(error),
            Err(error) => Became::Wrong(problem_of(&key, &error)),
        }
    }
}
