//! Uploads in parts that this process began, remembered as long as it lives: what is left of them at its end is removed
//! again, also after Ctrl-C.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Key;
use crate::replica::{Error, Journal, Upload, UploadedPart};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<BTreeMap<Key, Upload>>);

impl Uploads {
    fn known(&self) -> MutexGuard<'_, BTreeMap<Key, Upload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.known().is_empty()
    }
}

impl Journal for Uploads {
    fn upload(&self, key: &Key) -> Result<Option<Upload>, Error> {
        Ok(self.known().get(key).cloned())
    }

    fn uploads(&self) -> Result<Vec<Upload>, Error> {
        Ok(self.known().values().cloned().collect())
    }

    fn intend(&self, upload: &Upload) -> Result<(), Error> {
        self.known().insert(upload.key.clone(), Upload { parts: Vec::new(), ..upload.clone() });
        Ok(())
    }

    fn part(&self, key: &Key, part: &UploadedPart) -> Result<(), Error> {
        if let Some(upload) = self.known().get_mut(key) {
            upload.parts.push(part.clone());
        }
        Ok(())
    }

    fn done(&self, key: &Key) -> Result<(), Error> {
        self.known().remove(key);
        Ok(())
    }
}
