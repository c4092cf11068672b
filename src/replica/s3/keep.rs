//! What an object carries besides its bytes: the headers and the ACL of a new one, and what an overwrite or a copy
//! takes over from the object that was there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

use aws_sdk_s3::operation::get_object_acl::GetObjectAclOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{Grant, ObjectCannedAcl, Permission, StorageClass, Tag};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::http::HttpError;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Inner;
use super::acl::plain;
use super::carried::encoding;
use super::direct::Header;
use super::error::Failure;
use super::metadata::{BLAKE3, MTIME, OF_CONTENT, content_type, format_mtime};
use super::ops::Op;
use crate::model::DigestKind;
use crate::replica::admin::Canned;
use crate::replica::{Error, Put};

/// Headers of an object to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Headers {
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) expires: Option<DateTime>,
    pub(super) website_redirect: Option<String>,
    pub(super) storage_class: Option<StorageClass>,
    pub(super) metadata: HashMap<String, String>,
    /// As a query string. A copy takes its source's tags along without being told.
    pub(super) tagging: Option<String>,
    pub(super) acl: Acl,
}

/// The ACL of an object to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Acl {
    /// None is sent: the bucket's default, private in general.
    #[default]
    Unset,
    /// By name.
    Canned(ObjectCannedAcl),
    /// Grantees by permission, as header values.
    Grants(Box<Grants>),
}

/// `x-amz-grant-*` values.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Grants {
    pub(super) full_control: Option<String>,
    pub(super) read: Option<String>,
    pub(super) read_acp: Option<String>,
    pub(super) write_acp: Option<String>,
}

impl Headers {
    /// For a new object.
    pub(super) fn fresh(object: &str, acl: Acl) -> Self {
        Self { content_type: Some(content_type(object).to_owned()), acl, ..Self::default() }
    }

    /// What the object that was there carried.
    pub(super) fn kept(object: &str, head: &HeadObjectOutput, acl: Acl) -> Self {
        let text = |value: Option<&str>| value.filter(|text| !text.is_empty()).map(str::to_owned);
        // A type that says nothing is what clients without a table of types send.
        let known = |kind: &&str| !matches!(*kind, "application/octet-stream" | "binary/octet-stream");
        let kind = head.content_type().filter(known).unwrap_or_else(|| content_type(object));
        // New content must be readable: an archive tier is where the old content went, not where new content belongs.
        let readable = |class: &&StorageClass| !matches!(class, StorageClass::Glacier | StorageClass::DeepArchive);
        let mut metadata = head.metadata().cloned().unwrap_or_default();
        // Other clients' digests would speak of the old content.
        for stale in OF_CONTENT {
            metadata.remove(stale);
        }
        Self {
            content_type: Some(kind.to_owned()),
            cache_control: text(head.cache_control()),
            content_disposition: text(head.content_disposition()),
            content_encoding: encoding(head.content_encoding()),
            content_language: text(head.content_language()),
            expires: head.expires_string().and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok()),
            website_redirect: text(head.website_redirect_location()),
            storage_class: head.storage_class().filter(readable).cloned(),
            metadata,
            tagging: None,
            acl,
        }
    }

    /// What belongs to the key and not to the content: the rest comes from elsewhere.
    pub(super) fn of_the_key(self) -> Self {
        let Self { website_redirect, storage_class, tagging, acl, .. } = self;
        Self { website_redirect, storage_class, tagging, acl, ..Self::default() }
    }

    /// Whether a write that failed so should be tried without its ACL; takes the ACL off if so.
    pub(super) fn drop_acl(&mut self, failure: &Failure) -> bool {
        if self.acl == Acl::Unset || !may_be_the_acl(failure) {
            return false;
        }
        self.acl = Acl::Unset;
        true
    }

    /// As request headers.
    pub(super) fn pairs(&self) -> Vec<Header> {
        let mut pairs: Vec<Header> = Vec::with_capacity(8);
        let mut add = |name: &'static str, value: Option<&str>| {
            pairs.extend(value.map(|value| (Cow::Borrowed(name), value.to_owned())));
        };
        add("content-type", self.content_type.as_deref());
        add("cache-control", self.cache_control.as_deref());
        add("content-disposition", self.content_disposition.as_deref());
        add("content-encoding", self.content_encoding.as_deref());
        add("content-language", self.content_language.as_deref());
        let expires = self.expires.as_ref().and_then(|at| at.fmt(DateTimeFormat::HttpDate).ok());
        add("expires", expires.as_deref());
        add("x-amz-website-redirect-location", self.website_redirect.as_deref());
        add("x-amz-storage-class", self.storage_class.as_ref().map(StorageClass::as_str));
        add("x-amz-tagging", self.tagging.as_deref());
        match &self.acl {
            Acl::Unset => {}
            Acl::Canned(canned) => add("x-amz-acl", Some(canned.as_str())),
            Acl::Grants(grants) => {
                add("x-amz-grant-full-control", grants.full_control.as_deref());
                add("x-amz-grant-read", grants.read.as_deref());
                add("x-amz-grant-read-acp", grants.read_acp.as_deref());
                add("x-amz-grant-write-acp", grants.write_acp.as_deref());
            }
        }
        let metadata = self.metadata.iter();
        pairs.extend(metadata.map(|(name, value)| (Cow::Owned(format!("x-amz-meta-{name}")), value.clone())));
        pairs
    }

    /// For a request of the SDK.
    pub(super) fn on_request(&self) -> impl Fn(HttpRequest) -> Result<HttpRequest, HttpError> + use<> {
        put_on_request(self.pairs())
    }

    /// What an upload that is begun with these headers is marked with: a hash of them, and one of the ACL. Without the
    /// mtime: a touch is not worth sending everything again.
    pub(super) fn mark(&self) -> String {
        let mut pairs = self.pairs();
        pairs.retain(|(name, _)| name.strip_prefix("x-amz-meta-") != Some(MTIME));
        pairs.sort_unstable();
        let is_acl = |(name, _): &Header| name.starts_with("x-amz-acl") || name.starts_with("x-amz-grant-");
        let (acl, named): (Vec<Header>, Vec<Header>) = pairs.into_iter().partition(is_acl);
        let hash = |pairs: Vec<Header>| blake3::hash(format!("{pairs:?}").as_bytes()).to_hex();
        format!("{}.{}", hash(named), hash(acl))
    }

    /// Adds our digest and the source's mtime.
    pub(super) fn state(&mut self, put: &Put<'_>) {
        if let Some(blake3) = put.digests.get(DigestKind::Blake3) {
            self.metadata.insert(BLAKE3.to_owned(), blake3.text.as_ref().to_owned());
        }
        if let Some(ns) = put.mtime_ns {
            self.metadata.insert(MTIME.to_owned(), format_mtime(ns));
        }
    }
}

/// Puts headers on a request of the SDK before it is signed.
pub(super) fn put_on_request(headers: Vec<Header>) -> impl Fn(HttpRequest) -> Result<HttpRequest, HttpError> {
    move |mut request| {
        for (name, value) in &headers {
            request.headers_mut().try_insert(name.clone(), value.clone())?;
        }
        Ok(request)
    }
}

impl Inner {
    /// Whether an upload with this mark makes an object with these headers, and with their ACL where ACLs are sent.
    pub(super) fn is_begun_with(&self, mark: &str, headers: &Headers) -> bool {
        let own = headers.mark();
        if self.uses_acls() { own == mark } else { own.split('.').next() == mark.split('.').next() }
    }

    /// The ACL for new objects.
    pub(super) fn acl_of_new(&self) -> Acl {
        match &self.wire.address().acl {
            Some(name) if self.uses_acls() => Acl::Canned(ObjectCannedAcl::from(name.as_str())),
            _ => Acl::Unset,
        }
    }

    /// The ACL of an object, to be sent again; the one for new objects where it can't be read.
    pub(super) async fn acl_of(&self, object: &str) -> Result<Acl, Error> {
        if !self.uses_acls() {
            return Ok(Acl::Unset);
        }
        let answer = self
            .wire
            .send(Op::GetObjectAcl, 0, |client| client.get_object_acl().bucket(self.wire.bucket()).key(object).send());
        match answer.await {
            Ok(output) => Ok(acl_from(&output)),
            Err(failure) if failure.is_not_implemented() => {
                self.learn(|probe| probe.acl = crate::replica::Ability::Missing);
                Ok(Acl::Unset)
            }
            Err(failure) if failure.status == Some(403) || failure.status == Some(400) => {
                self.notices.add(format!(
                    "ACLs can't be read in {}: overwritten and copied objects get the ACL of new ones (s3:GetObjectAcl \
                     would keep them)",
                    self.name
                ));
                Ok(self.acl_of_new())
            }
            Err(failure) => Err(self.wire.fold(&failure, Op::GetObjectAcl, Some(object))),
        }
    }

    /// The tags of an object, to be sent again; an overwrite would drop them.
    pub(super) async fn tags_of(&self, object: &str, head: &HeadObjectOutput) -> Result<Option<String>, Error> {
        // The number of tags comes with HEAD, to those who may read them.
        if head.tag_count().unwrap_or(0) == 0 {
            return Ok(None);
        }
        let answer = self.wire.send(Op::GetObjectTagging, 0, |client| {
            client.get_object_tagging().bucket(self.wire.bucket()).key(object).send()
        });
        match answer.await {
            Ok(output) => Ok(Some(tags_text(output.tag_set()))),
            Err(failure) => Err(self.wire.fold(&failure, Op::GetObjectTagging, Some(object))),
        }
    }

    /// A write was refused with its ACL and taken without: none is sent from now on.
    pub(super) fn acls_are_refused(&self) {
        self.acls_off.store(true, Ordering::Relaxed);
        self.notices.add(format!(
            "{} refuses object ACLs: objects are stored without one, who may read them is decided by the bucket",
            self.name
        ));
    }
}

/// Refusals that disappear without an ACL: buckets that enforce their owner (400 AccessControlListNotSupported),
/// Block Public Access or a missing s3:PutObjectAcl (403), Backblaze (400 InvalidArgument), servers without ACLs (501).
pub(super) fn may_be_the_acl(failure: &Failure) -> bool {
    let codes = ["AccessControlListNotSupported", "InvalidArgument", "AccessDenied", "InvalidRequest"];
    failure.is(&codes) || failure.is_not_implemented()
}

/// `x-amz-tagging`: a query string.
fn tags_text(tags: &[Tag]) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs: Vec<String> =
        tags.iter().map(|tag| format!("{}={}", encoded(tag.key()), encoded(tag.value()))).collect();
    pairs.join("&")
}

/// The shortest way to say an ACL.
pub(super) fn acl_from(output: &GetObjectAclOutput) -> Acl {
    let seen = plain(output.owner(), output.grants());
    match seen.canned() {
        Some(Canned::Private) => return Acl::Unset,
        Some(canned) => return Acl::Canned(ObjectCannedAcl::from(canned.name())),
        // It has no grants at all.
        None if seen.grants.is_empty() => return Acl::Unset,
        None => {}
    }
    let grantees = |permission: &Permission| {
        let of = output.grants().iter().filter(|grant| grant.permission() == Some(permission));
        let texts: Vec<String> = of.filter_map(grantee_text).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    };
    Acl::Grants(Box::new(Grants {
        full_control: grantees(&Permission::FullControl),
        read: grantees(&Permission::Read),
        read_acp: grantees(&Permission::ReadAcp),
        write_acp: grantees(&Permission::WriteAcp),
    }))
}

fn grantee_text(grant: &Grant) -> Option<String> {
    let grantee = grant.grantee()?;
    let id = grantee.id().map(|id| format!("id=\"{id}\""));
    id.or_else(|| grantee.uri().map(|uri| format!("uri=\"{uri}\"")))
}

#[cfg(test)]
mod tests {
    use super::super::acl::{ALL_USERS, AUTHENTICATED};
    use super::*;
    use aws_sdk_s3::types::{Grantee, Owner, Type};

    fn grant(who: &str, permission: Permission) -> Grant {
        let grantee = if who.starts_with("http") {
            Grantee::builder().r#type(Type::Group).uri(who)
        } else {
            Grantee::builder().r#type(Type::CanonicalUser).id(who)
        };
        Grant::builder().grantee(grantee.build().unwrap()).permission(permission).build()
    }

    fn acl(grants: Vec<Grant>) -> Acl {
        let owner = Owner::builder().id("me").build();
        let all = [vec![grant("me", Permission::FullControl)], grants].concat();
        acl_from(&GetObjectAclOutput::builder().owner(owner).set_grants(Some(all)).build())
    }

    #[test]
    fn acls_are_said_by_name_where_there_is_one() {
        assert_eq!(acl(vec![]), Acl::Unset);
        assert_eq!(acl(vec![grant(ALL_USERS, Permission::Read)]), Acl::Canned(ObjectCannedAcl::PublicRead));
        assert_eq!(
            acl(vec![grant(ALL_USERS, Permission::Write), grant(ALL_USERS, Permission::Read)]),
            Acl::Canned(ObjectCannedAcl::PublicReadWrite)
        );
        assert_eq!(acl(vec![grant(AUTHENTICATED, Permission::Read)]), Acl::Canned(ObjectCannedAcl::AuthenticatedRead));
    }

    #[test]
    fn other_acls_are_said_by_their_grants_with_the_owners() {
        let Acl::Grants(grants) = acl(vec![grant("you", Permission::Read), grant(ALL_USERS, Permission::Read)]) else {
            panic!("not canned")
        };
        assert_eq!(grants.full_control.as_deref(), Some("id=\"me\""));
        assert_eq!(grants.read.as_deref(), Some(format!("id=\"you\", uri=\"{ALL_USERS}\"").as_str()));
        assert_eq!((grants.read_acp, grants.write_acp), (None, None));
    }

    #[test]
    fn tags_become_a_query_string() {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
        assert_eq!(tags_text(&[tag("a b", "x&y=1"), tag("c", "")]), "a%20b=x%26y%3D1&c=");
    }

    #[test]
    fn an_overwrite_keeps_headers_and_foreign_metadata_but_no_stale_digests() {
        let head = HeadObjectOutput::builder()
            .content_type("image/x-custom")
            .cache_control("max-age=1")
            .content_disposition("attachment")
            .content_language("de")
            .content_encoding("gzip")
            .expires_string("Thu, 01 Jan 1970 00:01:40 GMT")
            .website_redirect_location("/x")
            .storage_class(StorageClass::StandardIa)
            .metadata("author", "me")
            .metadata(BLAKE3, "old")
            .metadata("md5chksum", "old")
            .build();
        let kept = Headers::kept("a.png", &head, Acl::Unset);
        assert_eq!(kept.content_type.as_deref(), Some("image/x-custom"));
        assert_eq!(kept.cache_control.as_deref(), Some("max-age=1"));
        assert_eq!(kept.expires, Some(DateTime::from_secs(100)));
        assert_eq!(kept.storage_class, Some(StorageClass::StandardIa));
        assert_eq!(kept.metadata, HashMap::from([("author".to_owned(), "me".to_owned())]));
        let plain = HeadObjectOutput::builder()
            .content_type("binary/octet-stream")
            .storage_class(StorageClass::DeepArchive)
            .content_encoding("aws-chunked")
            .build();
        let kept = Headers::kept("a.png", &plain, Acl::Unset);
        assert_eq!(
            (kept.content_type.as_deref(), kept.storage_class, kept.content_encoding),
            (Some("image/png"), None, None)
        );
    }
}
