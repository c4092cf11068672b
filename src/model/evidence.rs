//! What can be asked about content, and what it costs.

use serde::{Deserialize, Serialize};

use super::DigestKind;

/// What reading content costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadCost {
    /// Memory or disk speed: hash it when in doubt.
    Cheap,
    /// A transfer: look it up, and read it only when the user asked for that.
    Transfer,
}

/// Whether a file and a directory of one name can both exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// Keys are just texts: `a` and `a/x` live side by side.
    Flat,
    /// Directories are real: `a` and `a/x` exclude each other.
    Tree,
}

/// Which digests to compute of a content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Want {
    /// Kinds beside BLAKE3, which is always computed.
    pub kinds: Vec<DigestKind>,
    /// For [`DigestKind::MultipartMd5`]: the number of parts that an ETag showed.
    pub multipart_parts: Option<u32>,
}
