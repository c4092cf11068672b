//! The trash of a memory replica.

use async_trait::async_trait;

use super::{Depth, Memory, Object, Role};
use crate::model::{Entry, Expect, Key, RunName, Version};
use crate::replica::{Cause, Error, Journal, Kept, KeptAs, Trash, Trashed, TrashedStream};

#[async_trait]
impl Trash for Memory {
    /// A directory's version moves, as a hard link moves a file's change time.
    async fn keep(&self, key: &Key, version: &Version, run: &RunName, _journal: &dyn Journal) -> Result<Kept, Error> {
        self.call("keep", Some(key), |state| {
            self.expect(state, key, &Expect::Version(version.clone()))?;
            let kept = state.objects[key].clone();
            state.trash.insert((run.clone(), key.clone()), kept);
            if self.role == Role::Directory {
                state.writes += 1;
                state.objects.get_mut(key).expect("it was there").write = state.writes;
            }
            let version = self.entry(&state.objects[key], Depth::Listing).version;
            Ok(Kept { version, kept_as: KeptAs::Copy })
        })
    }

    fn trashed(&self, run: Option<&RunName>) -> TrashedStream {
        let listed = self.call("trashed", None, |state| {
            let wanted = state.trash.iter().filter(|((of, _), _)| run.is_none_or(|run| run == of));
            Ok(wanted
                .map(|((run, key), object)| Trashed {
                    run: run.clone(),
                    key: key.clone(),
                    size: object.bytes.len() as u64,
                    kept_as: KeptAs::Copy,
                })
                .collect())
        });
        TrashedStream::of(listed)
    }

    async fn look_at(&self, kept: &Trashed) -> Result<Option<Entry>, Error> {
        self.call("look_at", Some(&kept.key), |state| {
            let object = state.trash.get(&(kept.run.clone(), kept.key.clone()));
            Ok(object.map(|object| self.entry(object, Depth::LookUp)))
        })
    }

    async fn restore(&self, kept: &Trashed, expect: &Expect, _journal: &dyn Journal) -> Result<Entry, Error> {
        self.call("restore", Some(&kept.key), |state| {
            let at = (kept.run.clone(), kept.key.clone());
            let missing = || Error::new(Cause::NotFound, format!("{} is in the trash no more", kept.key));
            let object = state.trash.get(&at).cloned().ok_or_else(missing)?;
            self.expect(state, &kept.key, expect)?;
            Self::has_room(state, &kept.key)?;
            state.writes += 1;
            let object = Object { write: state.writes, ..object };
            let entry = self.entry(&object, Depth::LookUp);
            state.objects.insert(kept.key.clone(), object);
            state.trash.remove(&at);
            Ok(entry)
        })
    }

    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        let one = |kept: &Trashed| {
            self.call("discard", Some(&kept.key), |state| {
                state.trash.remove(&(kept.run.clone(), kept.key.clone()));
                Ok(())
            })
        };
        batch.iter().map(one).collect()
    }
}
