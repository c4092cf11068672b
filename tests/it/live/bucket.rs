//! A bucket prefix in the hands of somebody else: what an object carries besides its bytes, foreign uploads.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Grantee, ObjectCannedAcl, Permission, Type};
use bytes::Bytes;
use mediasync::replica::s3::S3Address;

use super::client;

/// What [`RawBucket::dress`] puts on an object, as far as it is there.
pub(crate) type Dress = Vec<&'static str>;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct RawBucket {
    client: Client,
    bucket: String,
    prefix: String,
}

impl RawBucket {
    pub(crate) fn new(address: &S3Address) -> Self {
        Self { client: client(address), bucket: address.bucket.clone(), prefix: format!("{}/", address.prefix) }
    }

    fn object(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Stores an object with headers, metadata, a public ACL and a tag; ACL and tag where the server takes them.
    pub(crate) async fn dress(&self, key: &str, bytes: &'static [u8]) {
        let object = self.object(key);
        let put = self.client.put_object().bucket(&self.bucket).key(&object).body(ByteStream::from_static(bytes));
        put.cache_control("max-age=7").content_disposition("inline").metadata("author", "me").send().await.unwrap();
        let acl = self.client.put_object_acl().bucket(&self.bucket).key(&object).acl(ObjectCannedAcl::PublicRead);
        acl.send().await.ok();
        let tag = aws_sdk_s3::types::Tag::builder().key("a b").value("x:y/z").build().unwrap();
        let tags = aws_sdk_s3::types::Tagging::builder().tag_set(tag).build().unwrap();
        self.client.put_object_tagging().bucket(&self.bucket).key(&object).tagging(tags).send().await.ok();
    }

    /// What is there of it.
    pub(crate) async fn dressed(&self, key: &str) -> Dress {
        let object = self.object(key);
        let head = self.client.head_object().bucket(&self.bucket).key(&object).send().await.unwrap();
        let acl = self.client.get_object_acl().bucket(&self.bucket).key(&object).send().await;
        let tags = self.client.get_object_tagging().bucket(&self.bucket).key(&object).send().await;
        let everybody = |grantee: &Grantee| *grantee.r#type() == Type::Group;
        let mut dress = Vec::new();
        let mut has = |name, is_there: bool| dress.extend(is_there.then_some(name));
        has("cache-control", head.cache_control() == Some("max-age=7"));
        has("content-disposition", head.content_disposition() == Some("inline"));
        has("metadata", head.metadata().is_some_and(|metadata| metadata.get("author").is_some_and(|v| v == "me")));
        has(
            "acl",
            acl.is_ok_and(|acl| {
                let grants = acl.grants().iter();
                grants
                    .filter(|grant| grant.grantee().is_some_and(everybody))
                    .any(|g| g.permission() == Some(&Permission::Read))
            }),
        );
        has("tags", tags.is_ok_and(|tags| tags.tag_set().iter().any(|t| t.key() == "a b" && t.value() == "x:y/z")));
        dress
    }

    /// Stores bytes under a key, whatever it is.
    pub(crate) async fn put(&self, key: &str, bytes: Bytes) {
        let put = self.client.put_object().bucket(&self.bucket).key(self.object(key));
        put.body(ByteStream::from(bytes)).send().await.unwrap();
    }

    /// Removes a key.
    pub(crate) async fn delete(&self, key: &str) {
        self.client.delete_object().bucket(&self.bucket).key(self.object(key)).send().await.unwrap();
    }

    /// Begins an upload and returns its id.
    pub(crate) async fn begin_upload(&self, key: &str) -> String {
        let begun = self.client.create_multipart_upload().bucket(&self.bucket).key(self.object(key)).send().await;
        begun.unwrap().upload_id.unwrap()
    }

    /// Ids of unfinished uploads of a key.
    pub(crate) async fn uploads(&self, key: &str) -> Vec<String> {
        let object = self.object(key);
        let listed = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(&object).send().await.unwrap();
        let own = listed.uploads.unwrap_or_default().into_iter().filter(|upload| upload.key() == Some(&object));
        own.filter_map(|upload| upload.upload_id).collect()
    }

    /// Removes everything below the prefix.
    pub(crate) async fn clear(&self) {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                let name = object.key().unwrap_or_default();
                self.client.delete_object().bucket(&self.bucket).key(name).send().await.unwrap();
            }
        }
    }

    /// Aborts uploads of a key.
    pub(crate) async fn abort(&self, key: &str) {
        for id in self.uploads(key).await {
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(self.object(key));
            abort.upload_id(id).send().await.unwrap();
        }
    }
}
