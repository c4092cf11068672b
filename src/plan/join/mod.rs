//! The streaming join of what the source has, what the destination has and what both had.
//!
//! Three inputs in key order become [`Triple`]s in key order, with one pending item an input: memory does not grow
//! with the tree. The join believes nothing that it can check: every input must ascend strictly (J1) and end with
//! its explicit end (J2). An absence is concluded only from an input that passed a key's place in order (J3).

use crate::model::{BaseRecord, Entry, Item, Key, Presence, Problem, Reach, Side, SkipReason};

/// All that is known about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triple {
    /// The key.
    pub key: Key,
    /// What both sides had.
    pub base: Option<BaseRecord>,
    /// What the source has.
    pub source: Presence,
    /// What the destination has.
    pub dest: Presence,
}

impl Triple {
    /// What a side has, if it is there.
    pub fn entry(&self, side: Side) -> Option<&Entry> {
        match side {
            Side::Source => self.source.entry(),
            Side::Dest => self.dest.entry(),
        }
    }
}

/// One output of the join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// A key to decide about.
    Triple(Box<Triple>),
    /// Something that could not be read; the keys it covers come as triples with an unknown side.
    Problem(Problem),
    /// Something that rules left out at one side; counted.
    Skipped(Side, SkipReason),
}

/// Why a join ended early. Nothing may be concluded from what came before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError<E> {
    /// An input failed.
    #[error(transparent)]
    Input(E),
    /// An input descended: it must be sorted first.
    #[error("the {input} is not in key order: {key:?} came after {previous:?}")]
    Unordered {
        /// Which.
        input: Input,
        /// What came before.
        previous: String,
        /// What came then.
        key: String,
    },
    /// An input named a key twice.
    #[error("the {input} names {key:?} twice")]
    Repeated {
        /// Which.
        input: Input,
        /// The key.
        key: String,
    },
    /// An input stopped without its end.
    #[error("the {input} stopped before its end")]
    NoEnd {
        /// Which.
        input: Input,
    },
}

/// An input of the join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The listing of the source.
    Source,
    /// The listing of the destination.
    Dest,
    /// The base records.
    Base,
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Source => "listing of the source",
            Self::Dest => "listing of the destination",
            Self::Base => "list of base records",
        })
    }
}

/// The join. See the module's text.
#[derive(Debug)]
pub struct Join<S, D, B> {
    source: View<S>,
    dest: View<D>,
    base: Base<B>,
    /// Statements without a key of their own, told as they are met.
    aside: Vec<Joined>,
    failed: bool,
}

impl<S, D, B, E> Join<S, D, B>
where
    S: Iterator<Item = Result<Item, E>>,
    D: Iterator<Item = Result<Item, E>>,
    B: Iterator<Item = Result<BaseRecord, E>>,
{
    /// Joins three inputs in key order.
    pub fn new(source: S, dest: D, base: B) -> Self {
        Self {
            source: View::new(source, Input::Source),
            dest: View::new(dest, Input::Dest),
            base: Base { input: base, pending: None, last: None, ended: false },
            aside: Vec::new(),
            failed: false,
        }
    }

    fn step(&mut self) -> Result<Option<Joined>, JoinError<E>> {
        self.source.fill(&mut self.aside, Side::Source)?;
        self.dest.fill(&mut self.aside, Side::Dest)?;
        self.base.fill()?;
        if let Some(said) = self.aside.pop() {
            return Ok(Some(said));
        }
        let heads = [
            self.source.pending.as_ref().map(|(key, _)| key),
            self.dest.pending.as_ref().map(|(key, _)| key),
            self.base.pending.as_ref().map(|record| &record.key),
        ];
        let Some(key) = heads.into_iter().flatten().min().cloned() else {
            return Ok(None);
        };
        let base = match &self.base.pending {
            Some(record) if record.key == key => self.base.pending.take(),
            Some(_) | None => None,
        };
        let source = self.source.at(&key);
        let dest = self.dest.at(&key);
        Ok(Some(Joined::Triple(Box::new(Triple { key, base, source, dest }))))
    }
}

impl<S, D, B, E> Iterator for Join<S, D, B>
where
    S: Iterator<Item = Result<Item, E>>,
    D: Iterator<Item = Result<Item, E>>,
    B: Iterator<Item = Result<BaseRecord, E>>,
{
    type Item = Result<Joined, JoinError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

/// One side's listing.
#[derive(Debug)]
struct View<I> {
    items: I,
    input: Input,
    pending: Option<(Key, Presence)>,
    /// Statements about ranges that the join has not passed yet. In key order ranges follow one another, so few are
    /// open at a time.
    covers: Vec<(Reach, Presence)>,
    /// The last place, for J1.
    last: String,
    started: bool,
    ended: bool,
}

impl<I> View<I> {
    fn new(items: I, input: Input) -> Self {
        Self { items, input, pending: None, covers: Vec::new(), last: String::new(), started: false, ended: false }
    }

    /// Invariant J1: places ascend strictly.
    fn check<E>(&mut self, item: &Item) -> Result<(), JoinError<E>> {
        let Some(place) = item.place() else { return Ok(()) };
        if self.started {
            match place.cmp_text(&self.last) {
                std::cmp::Ordering::Greater => {}
                std::cmp::Ordering::Equal => {
                    return Err(JoinError::Repeated { input: self.input, key: place.to_text() });
                }
                std::cmp::Ordering::Less => {
                    return Err(JoinError::Unordered {
                        input: self.input,
                        previous: self.last.clone(),
                        key: place.to_text(),
                    });
                }
            }
        }
        self.started = true;
        place.write_to(&mut self.last);
        Ok(())
    }

    /// Takes items until one has a key of its own.
    fn fill<E>(&mut self, aside: &mut Vec<Joined>, side: Side) -> Result<(), JoinError<E>>
    where
        I: Iterator<Item = Result<Item, E>>,
    {
        while self.pending.is_none() && !self.ended {
            let item = match self.items.next() {
                Some(item) => item.map_err(JoinError::Input)?,
                // Invariant J2: the end is said, never guessed from silence.
                None => return Err(JoinError::NoEnd { input: self.input }),
            };
            self.check(&item)?;
            let again = item.is_left_out_again();
            match item {
                Item::Present(key, entry) => self.pending = Some((key, Presence::Present(entry))),
                Item::Unknown(reach, problem) => {
                    aside.push(Joined::Problem(problem.clone()));
                    self.cover(reach, Presence::Unknown(problem));
                }
                Item::Skipped(reach, reason) => {
                    if !again {
                        aside.push(Joined::Skipped(side, reason));
                    }
                    self.cover(reach, Presence::Skipped(reason));
                }
                Item::Nameless(problem) => aside.push(Joined::Problem(problem)),
                Item::End => self.ended = true,
            }
        }
        Ok(())
    }

    fn cover(&mut self, reach: Reach, presence: Presence) {
        match reach {
            Reach::Key(key) => self.pending = Some((key, presence)),
            Reach::Below(_) | Reach::All => self.covers.push((reach, presence)),
        }
    }

    /// What this side has under `key`, which no head of any input precedes.
    fn at(&mut self, key: &Key) -> Presence {
        if let Some((_, presence)) = self.pending.take_if(|(head, _)| head == key) {
            return presence;
        }
        if self.covers.is_empty() {
            return Presence::Absent;
        }
        // A range that starts before this key and does not cover it has been passed.
        self.covers.retain(|(reach, _)| reach.covers(key) || reach.start().as_str() > key.as_str());
        let covering = self.covers.iter().find(|(reach, _)| reach.covers(key));
        covering.map_or(Presence::Absent, |(_, presence)| presence.clone())
    }
}

/// The base records.
#[derive(Debug)]
struct Base<B> {
    input: B,
    pending: Option<BaseRecord>,
    last: Option<Key>,
    ended: bool,
}

impl<B> Base<B> {
    fn fill<E>(&mut self) -> Result<(), JoinError<E>>
    where
        B: Iterator<Item = Result<BaseRecord, E>>,
    {
        if self.pending.is_some() || self.ended {
            return Ok(());
        }
        let Some(record) = self.input.next() else {
            self.ended = true;
            return Ok(());
        };
        let record = record.map_err(JoinError::Input)?;
        if let Some(last) = self.last.as_ref().filter(|last| **last >= record.key) {
            return Err(JoinError::Unordered {
                input: Input::Base,
                previous: last.as_str().to_owned(),
                key: record.key.as_str().to_owned(),
            });
        }
        self.last = Some(record.key.clone());
        self.pending = Some(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
