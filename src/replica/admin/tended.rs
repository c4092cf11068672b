//! [`Tended`]: what stands around every [`Admin`]. It changes only what may be changed, repeats what is worth it, and
//! bounds how much is asked at once.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Acl, Admin, Block, Canned, CorsRule, Level};
use crate::model::Key;
use crate::replica::access::{Access, refusal};
use crate::replica::retry::{Patience, repeat};
use crate::replica::throttle::Gate;
use crate::replica::{Cause, Error};

/// See the module's text.
#[derive(Debug)]
pub struct Tended {
    inner: Arc<dyn Admin>,
    gate: Gate,
    access: Access,
}

impl Tended {
    /// Puts `inner` behind `gate` and `access`; what has to be confirmed was confirmed before, or is refused.
    pub fn new(inner: Arc<dyn Admin>, gate: Gate, access: Access) -> Self {
        Self { inner, gate, access }
    }

    async fn asked<T, F, Fut>(&self, attempt: F) -> Result<T, Error>
    where
        F: Fn() -> Fut + Sync,
        Fut: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        let once = || async {
            let _pass = self.gate.enter().await;
            let result = attempt().await;
            self.gate.observe(&result);
            result
        };
        repeat(Patience::default(), once).await
    }

    fn may_change(&self) -> Result<(), Error> {
        match self.access {
            Access::Write => Ok(()),
            Access::Confirm | Access::ReadOnly => Err(refusal(self.access, self.inner.name())),
        }
    }
}

#[async_trait]
impl Admin for Tended {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn acl(&self, key: &Key) -> Result<Acl, Error> {
        self.asked(|| self.inner.acl(key)).await
    }

    async fn has_acl(&self, key: &Key, canned: Canned) -> Result<bool, Error> {
        self.asked(|| self.inner.has_acl(key, canned)).await
    }

    async fn set_acl(&self, key: &Key, canned: Canned) -> Result<(), Error> {
        self.may_change()?;
        self.asked(|| self.inner.set_acl(key, canned)).await
    }

    async fn blocks(&self) -> Result<Vec<Block>, Error> {
        self.asked(|| self.inner.blocks()).await
    }

    async fn level(&self) -> Result<Level, Error> {
        self.asked(|| self.inner.level()).await
    }

    async fn set_level(&self, level: Level) -> Result<(), Error> {
        self.may_change()?;
        self.asked(|| self.inner.set_level(level)).await
    }

    async fn cors(&self) -> Result<Vec<CorsRule>, Error> {
        self.asked(|| self.inner.cors()).await
    }

    /// After an attempt without an answer the rules may be there already.
    async fn set_cors(&self, rules: &[CorsRule], seen: &[CorsRule]) -> Result<(), Error> {
        self.may_change()?;
        match self.asked(|| self.inner.set_cors(rules, seen)).await {
            Err(error) if error.cause == Cause::Precondition && self.cors().await? == rules => Ok(()),
            result => result,
        }
    }
}
