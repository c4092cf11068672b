//! The settings of a bucket and its objects, for [`Admin`].

use async_trait::async_trait;

use super::S3;
use crate::model::Key;
use crate::replica::Error;
use crate::replica::admin::{Acl, Admin, Block, Canned, CorsRule};

#[async_trait]
impl Admin for S3 {
    fn name(&self) -> &str {
        &self.inner.name
    }

    async fn acl(&self, key: &Key) -> Result<Acl, Error> {
        self.inner.object_acl(&self.inner.object(key)?).await
    }

    async fn has_acl(&self, key: &Key, canned: Canned) -> Result<bool, Error> {
        self.inner.has_acl(&self.inner.object(key)?, canned).await
    }

    async fn set_acl(&self, key: &Key, canned: Canned) -> Result<(), Error> {
        self.inner.set_object_acl(&self.inner.object(key)?, canned).await
    }

    async fn blocks(&self) -> Result<Vec<Block>, Error> {
        self.inner.blocks().await
    }

    async fn cors(&self) -> Result<Vec<CorsRule>, Error> {
        self.inner.cors().await
    }

    async fn set_cors(&self, rules: &[CorsRule], seen: &[CorsRule]) -> Result<(), Error> {
        self.inner.set_cors(rules, seen).await
    }
}
