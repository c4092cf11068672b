//! The lease of a memory replica.

use async_trait::async_trait;

use super::{Memory, State};
use crate::model::{Expect, Version};
use crate::replica::Error;
use crate::replica::lease::{Leases, Written, raced, version_of};

impl Memory {
    fn is_as_expected(&self, state: &State, expect: &Expect) -> Result<(), Error> {
        let as_expected = match (expect, &state.lease) {
            (Expect::Absent, None) => true,
            (Expect::Version(version), Some(text)) => version_of(text) == *version,
            (Expect::Absent, Some(_)) | (Expect::Version(_), None) => false,
        };
        if as_expected { Ok(()) } else { Err(raced(&self.name)) }
    }
}

#[async_trait]
impl Leases for Memory {
    async fn read(&self) -> Result<Option<Written>, Error> {
        self.call("read lease", None, |state| {
            Ok(state.lease.clone().map(|text| Written { version: version_of(&text), text }))
        })
    }

    async fn write(&self, text: &str, expect: &Expect) -> Result<Version, Error> {
        self.call("write lease", None, |state| {
            self.is_as_expected(state, expect)?;
            state.lease = Some(text.to_owned());
            Ok(version_of(text))
        })
    }

    async fn remove(&self, version: &Version) -> Result<(), Error> {
        self.call("remove lease", None, |state| {
            if state.lease.is_some() {
                self.is_as_expected(state, &Expect::Version(version.clone()))?;
            }
            state.lease = None;
            Ok(())
        })
    }
}
