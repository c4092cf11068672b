//! Keys that no two files can have: `a` and `a/b` of a bucket, on the way into a directory.
//!
//! What is there stays: where `a` is a file already, `a/b` is told; else `a` is, and `a/b` comes. The same is told in every
//! run, and nothing is planned for the key that is told.

use super::Shared;
use crate::model::{Key, Namespace, Problem, ProblemKind, Side};
use crate::plan::Triple;

/// The keys that later ones may be below of. Triples come in key order, so each begins with the one before it.
pub(super) struct Crowd {
    /// The side that is a directory, if the other one is none.
    to: Option<Side>,
    above: Vec<Above>,
}

struct Above {
    key: Key,
    is_file_there: bool,
    told: bool,
}

/// What is in the way of a key.
pub(super) enum Crowded {
    No,
    /// A key above it is a file there: nothing is done about this one.
    Out(Problem),
    /// This one is done, and what was planned for these keys above it is not.
    Over(Vec<(Key, Problem)>),
}

impl Crowd {
    pub(super) fn of(shared: &Shared) -> Self {
        let is = |side: Side, namespace| shared.sides.of(side).capabilities().namespace == namespace;
        let mut writes = shared.writes.iter().copied();
        let to = writes.find(|side| is(*side, Namespace::Tree) && is(side.other(), Namespace::Flat));
        Self { to, above: Vec::new() }
    }

    /// The side that the keys are crowded at.
    pub(super) fn side(&self) -> Option<Side> {
        self.to
    }

    /// Takes the next triple that is in scope.
    pub(super) fn meet(&mut self, triple: &Triple) -> Crowded {
        let Some(to) = self.to else { return Crowded::No };
        let key = &triple.key;
        while self.above.last().is_some_and(|above| !key.as_str().starts_with(above.key.as_str())) {
            self.above.pop();
        }
        if triple.entry(to.other()).is_none() {
            return Crowded::No;
        }
        let mut over = Vec::new();
        for above in self.above.iter_mut().filter(|above| key.is_below(above.key.as_str())) {
            let parent = &above.key;
            if above.is_file_there {
                let message = format!("{key}: it can't be here, because {parent} is a file");
                let problem = Problem::of(key, ProblemKind::Name, message);
                return Crowded::Out(problem.hint("rename one of them; what was here stays"));
            }
            if !std::mem::replace(&mut above.told, true) {
                let message = format!("{parent}: it can't be a file here, because {key} is below it");
                let problem = Problem::of(parent, ProblemKind::Name, message);
                over.push((parent.clone(), problem.hint("rename one of them; what is below was taken")));
            }
        }
        self.above.push(Above { key: key.clone(), is_file_there: triple.entry(to).is_some(), told: false });
        if over.is_empty() { Crowded::No } else { Crowded::Over(over) }
    }
}
