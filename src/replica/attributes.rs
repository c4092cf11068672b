//! What an object carries besides its bytes, as far as it travels from one replica to another.

use std::collections::BTreeMap;

/// Headers and metadata of an object, without ACL, tier and tags: those belong to the place where it is stored.
///
/// `None` means that the object has no such header. A replica that knows none of this (a directory) gives no
/// `Attributes` at all; what the job's rules or the name say is used then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`, as HTTP writes it.
    pub expires: Option<String>,
    /// Metadata of others, by lower-case name; never what digests or mtimes are recorded in: those belong to the
    /// content, and [`super::Put`] states them.
    pub metadata: BTreeMap<String, String>,
}
