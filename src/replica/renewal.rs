//! Credentials that are got anew when they have run out.

use std::fmt;
use std::sync::Arc;

/// How credentials are got anew: blocks while a command runs.
pub struct Renewal<C>(Arc<dyn Fn() -> Result<C, String> + Send + Sync>);

impl<C> Renewal<C> {
    /// `again` gives credentials of the same place, or says in a sentence without secrets why there are none.
    pub fn new(again: impl Fn() -> Result<C, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(again))
    }

    /// Gets them.
    ///
    /// # Errors
    /// Why there are none.
    pub fn now(&self) -> Result<C, String> {
        (self.0)()
    }
}

impl<C> Clone for Renewal<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for Renewal<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}

impl<C> PartialEq for Renewal<C> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<C> Eq for Renewal<C> {}
