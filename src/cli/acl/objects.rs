//! Goes over all objects of a place, some at a time, and shows on a terminal how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::progress::Bars;
use crate::config::CONCURRENCY;
use crate::model::{Filter, FilterRules, Item, Key};
use crate::replica::concurrent::each;
use crate::replica::{Cause, Error, Replica};
use crate::survey::problem_of;

/// What was asked of one object.
pub(super) type Answer<T> = (Key, Result<T, Error>);

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Objects that were looked at, those with problems included.
    pub(super) objects: u64,
    /// Objects and names that something was wrong with.
    pub(super) problems: u64,
}

/// Asks `make` for every object, and tells `done` of each answer, in the order of the listing. Problems are printed here.
///
/// # Errors
/// The listing broke, nothing is there, or an answer says that nothing else will work either; with the sums so far.
pub(super) async fn over<T, M, F>(
    replica: &dyn Replica,
    output: &Output,
    make: M,
    mut done: impl FnMut(&Key, T) + Send,
) -> (Sums, Result<(), Failure>)
where
    M: Fn(Key) -> F + Sync,
    F: Future<Output = Answer<T>> + Send,
    T: Send,
{
    let looked = Arc::new(AtomicU64::new(0));
    let _bars = output.shows_progress().then(|| Bars::counting(output, Arc::clone(&looked)));
    let (mut sums, mut end, mut is_complete) = (Sums::default(), None, false);
    let everything = Filter::new(FilterRules::default()).expect("no rules are no bad rules");
    let mut listing = replica.list(None, &Arc::new(everything));
    while let Some(batch) = listing.items.recv().await {
        let items = match batch {
            Ok(items) => items,
            Err(error) => return (sums, Err(error.into())),
        };
        let mut keys = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Present(key, _) => keys.push(key),
                Item::Unknown(_, problem) | Item::Nameless(problem) => {
                    sums.problems += 1;
                    output.problem(None, &problem);
                }
                Item::Skipped(..) => {}
                Item::End => is_complete = true,
            }
        }
        // Answers come as they like; a batch is a page of a listing at most.
        let mut answers: Vec<Option<Answer<T>>> = keys.iter().map(|_| None).collect();
        each(CONCURRENCY, keys, &make, |at, answer| {
            looked.fetch_add(1, Relaxed);
            let goes_on = !matches!(&answer.1, Err(error) if matches!(error.cause, Cause::Stop | Cause::Unsupported));
            answers[at] = Some(answer);
            goes_on
        })
        .await;
        for (key, answer) in answers.into_iter().flatten() {
            sums.objects += 1;
            match answer {
                Ok(value) => done(&key, value),
                Err(error) if matches!(error.cause, Cause::Stop | Cause::Unsupported) => end = Some(error),
                Err(error) => {
                    sums.problems += 1;
                    output.problem(None, &problem_of(&key, &error));
                }
            }
        }
        if let Some(error) = end {
            return (sums, Err(error.into()));
        }
    }
    if is_complete && sums.objects + sums.problems == 0 {
        let message = format!("nothing is below {}: check the spelling", replica.name());
        return (sums, Err(Failure::error(message)));
    }
    let broken = || Failure::error(format!("the listing of {} broke off", replica.name()));
    (sums, if is_complete { Ok(()) } else { Err(broken()) })
}
