//! A place by itself, with its settings: for `acl` and `cors`. Like [`super::wire`] it knows which replicas exist.

use std::sync::Arc;

use super::failure::Failure;
use super::place::End;
use crate::config::CONCURRENCY;
use crate::location::Location;
use crate::replica::Replica;
use crate::replica::access::{Access, Guarded};
use crate::replica::admin::{Admin, Tended};
use crate::replica::azure::Azure;
use crate::replica::retry::Retrying;
use crate::replica::s3::S3;
use crate::replica::throttle::{Gate, Throttled};

/// A place with its settings. Its content is only listed and looked at.
#[derive(Debug)]
pub struct Managed {
    /// What is there.
    pub replica: Arc<dyn Replica>,
    /// Its settings, to be changed if the access allows it.
    pub admin: Arc<dyn Admin>,
}

/// A bucket or container with its settings.
///
/// # Errors
/// It is a directory.
pub fn managed(end: &End, access: Access) -> Result<Managed, Failure> {
    let gate = Gate::new(CONCURRENCY, None);
    let (replica, admin): (Arc<dyn Replica>, Arc<dyn Admin>) = match &end.location {
        Location::S3(address) => {
            let s3 = Arc::new(S3::behind(address.clone(), None, gate.clone()));
            (Arc::clone(&s3) as _, s3)
        }
        Location::Azure(address) => {
            let azure = Arc::new(Azure::behind(address.clone(), None, gate.clone()));
            (Arc::clone(&azure) as _, azure)
        }
        Location::Local(_) => return Err(Failure::usage(format!("{} is a directory", end.location.display()))),
    };
    let replica = Retrying::new(Arc::new(Throttled::new(replica, gate.clone())));
    let replica = Arc::new(Guarded::new(Arc::new(replica), Access::ReadOnly));
    Ok(Managed { replica, admin: Arc::new(Tended::new(admin, gate, access)) })
}
