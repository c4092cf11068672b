//! The settings of a container and of its account's blob service, for [`Admin`]. Blobs have no ACLs: a container is
//! public or private as a whole.

use async_trait::async_trait;
use azure_core::http::RequestContent;
use azure_storage_blob::models::{
    BlobContainerClientSetAccessPolicyOptions, BlobServiceProperties, CorsRule as SdkRule, PublicAccessType,
    SignedIdentifiersHeaders as _,
};

use super::error::Failure;
use super::ops::Op;
use super::{Azure, Inner};
use crate::model::Key;
use crate::replica::admin::{Acl, Admin, Block, Canned, CorsRule, Level, changed_meanwhile};
use crate::replica::{Cause, Error};

#[async_trait]
impl Admin for Azure {
    fn name(&self) -> &str {
        &self.inner.name
    }

    async fn acl(&self, _: &Key) -> Result<Acl, Error> {
        Err(self.inner.no_acls())
    }

    async fn has_acl(&self, _: &Key, _: Canned) -> Result<bool, Error> {
        Err(self.inner.no_acls())
    }

    async fn set_acl(&self, _: &Key, _: Canned) -> Result<(), Error> {
        Err(self.inner.no_acls())
    }

    async fn blocks(&self) -> Result<Vec<Block>, Error> {
        Ok(Vec::new())
    }

    async fn level(&self) -> Result<Level, Error> {
        Ok(self.inner.access().await?.level)
    }

    async fn set_level(&self, level: Level) -> Result<(), Error> {
        self.inner.set_level(level).await
    }

    async fn cors(&self) -> Result<Vec<CorsRule>, Error> {
        self.inner.cors().await
    }

    async fn set_cors(&self, rules: &[CorsRule], seen: &[CorsRule]) -> Result<(), Error> {
        self.inner.set_cors(rules, seen).await
    }
}

/// What a container says of its access.
struct Access {
    level: Level,
    /// The stored access policies, as the service writes them: a change of the level sends them again, or they go, and with
    /// them every signature that was made by them.
    policies: Vec<u8>,
    changed: Option<azure_core::time::OffsetDateTime>,
}

impl Inner {
    fn no_acls(&self) -> Error {
        let address = self.wire.address();
        let message =
            format!("blobs have no ACLs: on Azure a container is public or private as a whole ({})", self.name);
        Error::new(Cause::Unsupported, message)
            .hint(format!("mediasync acl get az://{}/{} shows which", address.account, address.container))
    }

    async fn access(&self) -> Result<Access, Error> {
        let fold = |failure: &Failure| self.wire.fold(failure, Op::GetContainerAcl, None);
        let container = self.wire.container().map_err(|failure| fold(&failure))?;
        let answer = self.wire.send(Op::GetContainerAcl, 0, container.get_access_policy(None)).await;
        let answer = answer.map_err(|failure| fold(&failure))?;
        let unreadable = || fold(&Failure::at(super::error::Stage::Unreadable));
        let level = match answer.access().map_err(|_| unreadable())? {
            None => Level::Private,
            Some(PublicAccessType::Blob) => Level::Objects,
            Some(PublicAccessType::Container) => Level::Listed,
            Some(_) => return Err(unreadable()),
        };
        let changed = answer.last_modified().map_err(|_| unreadable())?;
        let policies = answer.into_body().as_ref().to_vec();
        Ok(Access { level, policies, changed })
    }

    /// Keeps the stored access policies; refused if the container was changed since they were read.
    async fn set_level(&self, level: Level) -> Result<(), Error> {
        let before = self.access().await?;
        let fold = |failure: &Failure| self.wire.fold(failure, Op::SetContainerAcl, None);
        let access = match level {
            Level::Private => None,
            Level::Objects => Some(PublicAccessType::Blob),
            Level::Listed => Some(PublicAccessType::Container),
        };
        let options = BlobContainerClientSetAccessPolicyOptions {
            access,
            if_unmodified_since: before.changed,
            ..BlobContainerClientSetAccessPolicyOptions::default()
        };
        let container = self.wire.container().map_err(|failure| fold(&failure))?;
        let body = RequestContent::from(before.policies);
        match self.wire.send(Op::SetContainerAcl, 0, container.set_access_policy(body, Some(options))).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is(&["PublicAccessNotPermitted"]) => {
                let account = &self.wire.address().account;
                let message = format!("the account {account} allows no public containers");
                Err(Error::new(Cause::Stop, message).hint(
                    "Turn on \"Allow Blob anonymous access\" in the account's configuration, if its containers may be public",
                ))
            }
            Err(failure) => Err(fold(&failure)),
        }
    }

    async fn cors(&self) -> Result<Vec<CorsRule>, Error> {
        let fold = |failure: &Failure| self.wire.fold(failure, Op::GetServiceProperties, None);
        let service = self.wire.service().map_err(|failure| fold(&failure))?;
        let answer = self.wire.send(Op::GetServiceProperties, 0, service.get_properties(None)).await;
        let unreadable = || fold(&Failure::at(super::error::Stage::Unreadable));
        let properties = answer.map_err(|failure| fold(&failure))?.into_model().map_err(|_| unreadable())?;
        Ok(properties.cors.unwrap_or_default().iter().map(plain).collect())
    }

    /// Sends the rules and nothing else: what is left out of the properties stays as it is.
    async fn set_cors(&self, rules: &[CorsRule], seen: &[CorsRule]) -> Result<(), Error> {
        if self.cors().await? != seen {
            return Err(changed_meanwhile(&self.name));
        }
        let fold = |failure: &Failure| self.wire.fold(failure, Op::SetServiceProperties, None);
        let properties = BlobServiceProperties {
            cors: Some(rules.iter().map(sdk).collect::<Result<Vec<_>, _>>()?),
            ..BlobServiceProperties::default()
        };
        let body =
            RequestContent::try_from(properties).map_err(|_| fold(&Failure::at(super::error::Stage::Request)))?;
        let service = self.wire.service().map_err(|failure| fold(&failure))?;
        let answer = self.wire.send(Op::SetServiceProperties, 0, service.set_properties(body, None)).await;
        answer.map(drop).map_err(|failure| {
            let error = fold(&failure);
            if failure.status == Some(400) {
                return error.hint(
                    "An account has at most five CORS rules, each with an origin and a method; nothing was changed",
                );
            }
            error
        })
    }
}

/// Lists are texts with commas.
fn list(text: Option<&String>) -> Vec<String> {
    let parts = text.map(String::as_str).unwrap_or_default().split(',');
    parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn plain(rule: &SdkRule) -> CorsRule {
    CorsRule {
        id: None,
        allowed_origins: list(rule.allowed_origins.as_ref()),
        allowed_methods: list(rule.allowed_methods.as_ref()),
        allowed_headers: list(rule.allowed_headers.as_ref()),
        expose_headers: list(rule.exposed_headers.as_ref()),
        // None is written as 0.
        max_age_seconds: rule.max_age_in_seconds.and_then(|age| u32::try_from(age).ok()).filter(|age| *age > 0),
    }
}

/// Every element has to be there.
fn sdk(rule: &CorsRule) -> Result<SdkRule, Error> {
    let usage = |what: &str| Error::new(Cause::Usage, format!("a CORS rule {what}"));
    if rule.allowed_origins.is_empty() || rule.allowed_methods.is_empty() {
        return Err(usage("has no origin or no method"));
    }
    let age = i32::try_from(rule.max_age_seconds.unwrap_or(0)).map_err(|_| usage("has a max-age that is too long"))?;
    let text = |texts: &[String]| Some(texts.join(","));
    Ok(SdkRule {
        allowed_origins: text(&rule.allowed_origins),
        allowed_methods: text(&rule.allowed_methods),
        allowed_headers: text(&rule.allowed_headers),
        exposed_headers: text(&rule.expose_headers),
        max_age_in_seconds: Some(age),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_come_back_as_they_were_written_but_for_their_names() {
        let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
        let rule = CorsRule {
            id: Some("media".to_owned()),
            allowed_origins: texts(&["https://a.example", "*"]),
            allowed_methods: texts(&["GET", "HEAD"]),
            allowed_headers: Vec::new(),
            expose_headers: texts(&["ETag"]),
            max_age_seconds: None,
        };
        let written = sdk(&rule).unwrap();
        assert_eq!((written.allowed_headers.as_deref(), written.max_age_in_seconds), (Some(""), Some(0)));
        assert_eq!(plain(&written), CorsRule { id: None, ..rule.clone() });
        assert!(sdk(&CorsRule { allowed_origins: Vec::new(), ..rule }).is_err());
    }
}
