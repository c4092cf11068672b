//! The first contact: is the container there, who is it, and what does the server do. Azure itself has native
//! conditions; emulators and accounts with a hierarchical namespace differ, so what is relied on is tried once on
//! objects of our own.

use bytes::Bytes;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::Inner;
use super::error::Failure;
use super::keep::Dress;
use super::ops::Op;
use super::put::Condition;
use crate::model::{Expect, Version, hex};
use crate::replica::object::{OWN, shown};
use crate::replica::{Ability, Cause, Connected, Contact, Error};

/// What is known about a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    /// The identity of the place where it was found out.
    pub id: Option<String>,
    /// Listings come in the byte order of names.
    pub ordered: Ability,
    /// A name can be created while others lie below it; not so with a hierarchical namespace.
    pub flat: Ability,
    /// PutBlob honours `If-None-Match: *` and `If-Match`.
    pub conditional_put: Ability,
    /// DeleteBlob honours `If-Match`.
    pub conditional_delete: Ability,
    /// CopyBlob, with a condition on its source.
    pub copy: Ability,
}

/// Names that show order and encoding, in byte order.
const NAMES: [&str; 3] = ["k + é%2B", "k-b", "k/a"];
/// The beginning of one of them.
const FOLDER: &str = "k";
const COPY: &str = "copy";
/// See [`Replica::connect`](crate::replica::Replica::connect).
pub(super) async fn connect(inner: &Inner, contact: Contact) -> Result<Connected, Error> {
    let stopping = |error: Error| match error.cause {
        Cause::Transient { .. } => error,
        _ => Error { cause: Cause::Stop, ..error },
    };
    // It needs what every run needs.
    inner.page(inner.names.prefix(), None, 1).await.map_err(stopping)?;
    let found = inner.read_id().await.map_err(stopping)?;
    // What is remembered was found out somewhere else.
    if inner.probe().id.is_some_and(|id| found.as_ref() != Some(&id)) {
        inner.learn(|probe| *probe = Probe::default());
    }
    let identity = match (contact, found) {
        (Contact::Look, found) => found,
        (Contact::Prepare, Some(id)) => Some(id),
        (Contact::Prepare, None) => Some(inner.make_id().await.map_err(stopping)?),
    };
    if contact == Contact::Prepare && inner.probe().id != identity {
        inner.find_out(identity.clone()).await.map_err(stopping)?;
    }
    let mut notices = inner.notices.take();
    // It matters to whoever is about to write there, and is told then.
    if contact == Contact::Prepare && inner.ability(|probe| probe.conditional_put) == Ability::Missing {
        notices.push(format!(
            "{} ignores preconditions: each key is looked at right before it is written, a change by somebody else in \
             that instant would be lost",
            inner.name
        ));
    }
    let findings = serde_json::to_string(&inner.probe()).expect("a probe is plain data");
    Ok(Connected { identity, notices, findings: Some(findings) })
}

impl Inner {
    /// The identity, if there is one.
    async fn read_id(&self) -> Result<Option<String>, Error> {
        let blob = self.names.own(&format!("{OWN}id"));
        let Some((bytes, _)) = self.read_small(&blob).await? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Some(text.to_owned()));
        }
        Err(Error::new(Cause::Stop, format!("{} does not hold an identity", shown(&blob)))
            .hint("It was written by something else; if nothing else uses this place, delete that blob"))
    }

    /// Makes the identity; if somebody else is faster, theirs.
    async fn make_id(&self) -> Result<String, Error> {
        let blob = self.names.own(&format!("{OWN}id"));
        let id = hex(&fastrand::u128(..).to_be_bytes());
        match self.write(&blob, id.clone().into(), Condition::of(&Expect::Absent)).await {
            Ok(_) => Ok(id),
            Err(failure) => {
                let error = self.wire.fold(&failure, Op::PutBlob, Some(&blob));
                if failure.is_precondition() { self.read_id().await?.ok_or(error) } else { Err(error) }
            }
        }
    }

    /// A small object of our own.
    pub(super) async fn write(&self, blob: &str, body: Bytes, condition: Condition) -> Result<Version, Failure> {
        let mut dress = Dress::fresh(blob);
        dress.attributes.content_type = Some("text/plain".to_owned());
        let md5 = Md5::digest(&body);
        self.send_blob(blob, &body, &md5, dress, condition).await
    }

    /// Asks the server everything. What says nothing about an ability leaves it unknown.
    pub(super) async fn find_out(&self, id: Option<String>) -> Result<(), Error> {
        let folder = self.names.own(&format!("{OWN}probe/{:016x}/", fastrand::u64(..)));
        self.learn(|probe| *probe = Probe::default());
        let result = self.try_out(&folder).await;
        for name in NAMES.into_iter().chain([FOLDER, COPY]) {
            let blob = format!("{folder}{name}");
            if let Err(failure) = self.send_delete(&blob, None).await
                && failure.status != Some(404)
            {
                let why = self.wire.fold(&failure, Op::DeleteBlob, None);
                self.notices.add(format!("blobs below {} could not be removed: {why}", shown(&folder)));
                break;
            }
        }
        result?;
        self.learn(|probe| probe.id = id);
        Ok(())
    }

    async fn try_out(&self, folder: &str) -> Result<(), Error> {
        let body = || Bytes::from_static(b"mediasync probe\n");
        let wrong = || Version::new("0x0");
        let names: Vec<String> = NAMES.iter().map(|name| format!("{folder}{name}")).collect();
        let mut versions = Vec::with_capacity(names.len());
        for name in &names {
            let made = self.write(name, body(), Condition::of(&Expect::Absent)).await;
            versions.push(made.map_err(|failure| self.wire.fold(&failure, Op::PutBlob, Some(name)))?);
        }
        let listed = self.page(folder, None, 100).await?.blobs;
        let ordered = listed.iter().map(|(name, _)| name).eq(&names);
        let (object, version) = (&names[1], &versions[1]);
        let again = self.write(object, body(), Condition::of(&Expect::Absent)).await.map(drop);
        let stale = self.write(object, body(), Condition::of(&Expect::Version(wrong()))).await.map(drop);
        let flat = self.write(&format!("{folder}{FOLDER}"), body(), Condition::of(&Expect::Absent)).await.map(drop);
        let (copy, dress) = (format!("{folder}{COPY}"), Dress::fresh(object));
        let absent = || Condition::of(&Expect::Absent);
        let stale_source = wrong();
        let from_wrong = self.send_copy(self.own(object, &stale_source)?, &copy, &dress, absent()).await.map(drop);
        let from_right = self.send_copy(self.own(object, version)?, &copy, &dress, absent()).await.map(drop);
        let copied = match (verdict(&from_wrong), &from_right) {
            (Ability::Proven, Ok(())) => Ability::Proven,
            (_, Err(failure)) if matches!(failure.status, Some(500..=599) | None) => Ability::Unknown,
            _ => Ability::Missing,
        };
        let deleted = self.send_delete(object, Some(&wrong())).await;
        self.learn(|probe| {
            probe.ordered = if ordered { Ability::Proven } else { Ability::Missing };
            probe.conditional_put = both(verdict(&again), verdict(&stale));
            probe.conditional_delete = verdict(&deleted);
            probe.copy = copied;
            probe.flat = match &flat {
                Ok(()) => Ability::Proven,
                Err(failure) if failure.status == Some(409) => Ability::Missing,
                Err(_) => Ability::Unknown,
            };
        });
        Ok(())
    }

    /// Removes what listings noted and nobody can be using any more. Returns how many there were.
    pub(super) async fn remove_leftovers(&self) -> Result<u64, Error> {
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let mut removed = 0;
        for relative in self.leftovers.take(now) {
            let blob = self.names.own(&relative);
            match self.send_delete(&blob, None).await {
                Ok(()) => removed += 1,
                Err(failure) if failure.is_absent_blob() => {}
                Err(failure) => return Err(self.wire.fold(&failure, Op::DeleteBlob, Some(&blob))),
            }
        }
        Ok(removed)
    }
}

/// Whether what had to be refused was.
fn verdict(result: &Result<(), Failure>) -> Ability {
    match result {
        Ok(()) => Ability::Missing,
        Err(failure) if failure.is_precondition() => Ability::Proven,
        Err(_) => Ability::Unknown,
    }
}

fn both(a: Ability, b: Ability) -> Ability {
    match (a, b) {
        (Ability::Proven, Ability::Proven) => Ability::Proven,
        (Ability::Missing, _) | (_, Ability::Missing) => Ability::Missing,
        _ => Ability::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::azure::error::Stage;

    #[test]
    fn only_the_expected_refusal_proves_an_ability() {
        let refused = Failure { status: Some(412), ..Failure::at(Stage::Answered) };
        assert_eq!(verdict(&Ok(())), Ability::Missing);
        assert_eq!(verdict(&Err(refused)), Ability::Proven);
        assert_eq!(verdict(&Err(Failure::at(Stage::Timeout))), Ability::Unknown);
        assert_eq!(both(Ability::Proven, Ability::Unknown), Ability::Unknown);
        assert!(NAMES.is_sorted());
    }
}
