//! Uploads in flight that no run will go on with: what tidying may remove at a side.

use futures_util::future;
use futures_util::stream::{StreamExt, iter};

use crate::model::{Key, Side, SkipReason, Verdict};
use crate::plan_store::{Phase, PlanStore};
use crate::replica::trash::is_in_trash;
use crate::replica::{Cause, Error, Journal, Upload, UploadedPart};
use crate::sync::{Cycle, Looked, Observer};

/// Removes what earlier runs left at a side.
pub(crate) async fn tidy(
    cycle: &Cycle<'_>,
    plan: &PlanStore,
    looked: Looked,
    side: Side,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let journal = cycle.manifest.upload_journal(side);
    let uploads = match looked {
        Looked::AtTheScope => find(cycle, plan, side).await?,
        Looked::AtThePlan => Vec::new(),
    };
    let replica = cycle.of(side);
    match replica.tidy(&Abandoned { journal: &journal, uploads }).await {
        Ok(0) => {}
        Ok(count) => observer.notice(&format!("{}: removed {count} leftovers of an earlier run", replica.name())),
        Err(error) if error.cause == Cause::Stop => return Err(error),
        Err(error) => observer.notice(&format!("{error}; leftovers of an earlier run stay for now")),
    }
    Ok(())
}

/// The uploads to a side that no run will go on with: the other side does not have the key any more, or had nothing to
/// send for it. What this run did not look at, or could not, stays.
async fn find(cycle: &Cycle<'_>, plan: &PlanStore, to: Side) -> Result<Vec<Upload>, Error> {
    let from = cycle.of(to.other());
    let (mut unplanned, mut copies) = (Vec::new(), Vec::new());
    for upload in cycle.manifest.upload_journal(to).uploads()? {
        let key = &upload.key;
        // A copy into the trash that did not end: whoever takes the key away makes another one.
        if is_in_trash(key) {
            copies.push(upload);
            continue;
        }
        let planned = plan.has_at(to, Phase::Send, key)?
            || plan.has_at(to, Phase::Copy, key)?
            || plan.has_at(to, Phase::KeepBoth, key)?;
        if cycle.scope.holds(key) && !planned {
            unplanned.push(upload);
        }
    }
    let looked = iter(unplanned).map(async |upload| {
        let found = from.look_up(&upload.key).await.ok()?;
        let in_scope = match cycle.filter.verdict(&upload.key, found.as_ref().map_or(0, |entry| entry.size)) {
            Verdict::In => true,
            // A size that nothing has leaves nothing out.
            Verdict::Out(SkipReason::Size) => found.is_none(),
            Verdict::Out(_) => false,
        };
        in_scope.then_some(upload)
    });
    copies.extend(looked.buffered(cycle.concurrency.max(1)).filter_map(future::ready).collect::<Vec<_>>().await);
    Ok(copies)
}

/// A journal that names only some uploads.
#[derive(Debug)]
struct Abandoned<'a> {
    journal: &'a dyn Journal,
    uploads: Vec<Upload>,
}

impl Journal for Abandoned<'_> {
    fn upload(&self, key: &Key) -> Result<Option<Upload>, Error> {
        self.journal.upload(key)
    }

    fn uploads(&self) -> Result<Vec<Upload>, Error> {
        Ok(self.uploads.clone())
    }

    fn intend(&self, upload: &Upload) -> Result<(), Error> {
        self.journal.intend(upload)
    }

    fn part(&self, key: &Key, part: &UploadedPart) -> Result<(), Error> {
        self.journal.part(key, part)
    }

    fn done(&self, key: &Key) -> Result<(), Error> {
        self.journal.done(key)
    }
}
