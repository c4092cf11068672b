//! What an object carries besides its bytes, as far as it travels from one replica to another.

use std::collections::BTreeMap;

use crate::model::Style;

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

impl Attributes {
    /// Whether something is missing or other than headers and metadata of a style say.
    pub(crate) fn lacks(&self, style: &Style) -> bool {
        let pairs = [
            (&self.content_type, &style.content_type),
            (&self.cache_control, &style.cache_control),
            (&self.content_disposition, &style.content_disposition),
            (&self.content_encoding, &style.content_encoding),
            (&self.content_language, &style.content_language),
        ];
        let metadata = style.metadata.iter().any(|(name, value)| self.metadata.get(name) != Some(value));
        metadata || pairs.iter().any(|(has, wanted)| wanted.is_some() && has != wanted)
    }

    /// Takes headers and metadata of a style; they win.
    pub(crate) fn take(&mut self, style: &Style) {
        for (has, wanted) in [
            (&mut self.content_type, &style.content_type),
            (&mut self.cache_control, &style.cache_control),
            (&mut self.content_disposition, &style.content_disposition),
            (&mut self.content_encoding, &style.content_encoding),
            (&mut self.content_language, &style.content_language),
        ] {
            if wanted.is_some() {
                has.clone_from(wanted);
            }
        }
        self.metadata.extend(style.metadata.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}
