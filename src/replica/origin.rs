//! Content that lies in a service which can copy it by itself.

use std::collections::BTreeMap;

use super::Attributes;
use crate::model::Entry;
use crate::secret::Secret;

/// Where content lies, and all that a copy of it needs to know. Who copies must be able to read it as well, or be given
/// leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// See [`super::Replica::service`].
    pub service: String,
    /// The bucket or container.
    pub container: String,
    /// The name in there, prefix included.
    pub object: String,
    /// What pins a copy to the version that was seen, as the service's requests want it; without quotes.
    pub pin: String,
    /// What was seen, with the digests and the mtime that are recorded.
    pub entry: Entry,
    /// What it carries besides its bytes. `None`: nobody looked, and the service takes all along as it is.
    pub attributes: Option<Attributes>,
    /// Metadata that speaks of the content (digests, times), as far as somebody looked: as true of a copy.
    pub recorded: BTreeMap<String, String>,
    /// Leave to read it, in the service's own form, where there is such a thing.
    pub leave: Option<Secret>,
}
