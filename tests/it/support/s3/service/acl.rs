//! Access control lists of objects: canned names and grants.

use hyper::{HeaderMap, StatusCode};
use s3s::dto::{
    GetBucketAclInput, GetBucketAclOutput, GetObjectAclInput, GetObjectAclOutput, GetPublicAccessBlockInput,
    GetPublicAccessBlockOutput, Grant, Grantee, Owner, Permission, PublicAccessBlockConfiguration, PutObjectAclInput,
    PutObjectAclOutput, Type,
};
use s3s::{S3Request, S3Result, s3_error};

use super::no_such_key;
use crate::support::s3::quirks::Acls;
use crate::support::s3::store::{Acl, StoredObject};
use crate::support::s3::{Shared, failure};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const OWNER: &str = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a";

/// Whose everything is.
pub(super) fn owner() -> Owner {
    Owner { id: Some(OWNER.to_owned()), display_name: Some("owner".to_owned()) }
}

/// Whether everybody may read it.
pub(super) fn is_public(object: &StoredObject) -> bool {
    let reads =
        |grant: &Grant| matches!(grant.permission.as_ref().map(Permission::as_str), Some("READ" | "FULL_CONTROL"));
    let everybody = |grant: &Grant| grant.grantee.as_ref().and_then(|g| g.uri.as_deref()) == Some(ALL_USERS);
    object.acl.grants.iter().any(|grant| reads(grant) && everybody(grant))
}

/// What the headers of a write ask for; private without any.
pub(super) fn from_headers(shared: &Shared, headers: &HeaderMap) -> S3Result<Acl> {
    match shared.quirks().acls {
        Acls::Ignored | Acls::Unheard => Ok(Acl::default()),
        Acls::Supported | Acls::NotImplemented | Acls::Refused | Acls::Blocked => asked_for(headers),
    }
}

fn asked_for(headers: &HeaderMap) -> S3Result<Acl> {
    let canned = headers.get("x-amz-acl").and_then(|value| value.to_str().ok());
    let grants = granted(headers)?;
    match (canned, grants.is_empty()) {
        (None, true) => Ok(Acl::default()),
        (None, false) => Ok(Acl { name: "custom".to_owned(), grants }),
        (Some(name), true) => Ok(Acl { name: name.to_owned(), grants: canned_grants(name)? }),
        (Some(_), false) => {
            Err(s3_error!(InvalidRequest, "Specifying both Canned ACLs and Header Grants is not allowed"))
        }
    }
}

fn canned_grants(name: &str) -> S3Result<Vec<Grant>> {
    match name {
        "private" | "bucket-owner-read" | "bucket-owner-full-control" | "aws-exec-read" => Ok(Vec::new()),
        "public-read" => Ok(vec![group(ALL_USERS, "READ")]),
        "public-read-write" => Ok(vec![group(ALL_USERS, "READ"), group(ALL_USERS, "WRITE")]),
        "authenticated-read" => Ok(vec![group(AUTHENTICATED_USERS, "READ")]),
        _ => Err(s3_error!(InvalidArgument, "'{name}' is not a canned ACL")),
    }
}

fn granted(headers: &HeaderMap) -> S3Result<Vec<Grant>> {
    let names = [
        ("x-amz-grant-full-control", "FULL_CONTROL"),
        ("x-amz-grant-read", "READ"),
        ("x-amz-grant-read-acp", "READ_ACP"),
        ("x-amz-grant-write", "WRITE"),
        ("x-amz-grant-write-acp", "WRITE_ACP"),
    ];
    let mut grants = Vec::new();
    for (header, permission) in names {
        let Some(value) = headers.get(header).and_then(|value| value.to_str().ok()) else { continue };
        for grantee in value.split(',').map(str::trim) {
            let (kind, who) = grantee.split_once('=').unwrap_or((grantee, ""));
            let who = who.trim_matches('"');
            grants.push(match kind {
                "uri" => group(who, permission),
                "id" => user(who, permission),
                _ => return Err(s3_error!(InvalidArgument, "'{grantee}' is not a grantee")),
            });
        }
    }
    Ok(grants)
}

fn group(uri: &str, permission: &'static str) -> Grant {
    let grantee = Grantee {
        display_name: None,
        email_address: None,
        id: None,
        type_: Type::from_static(Type::GROUP),
        uri: Some(uri.to_owned()),
    };
    Grant { grantee: Some(grantee), permission: Some(Permission::from_static(permission)) }
}

fn user(id: &str, permission: &'static str) -> Grant {
    let grantee = Grantee {
        display_name: None,
        email_address: None,
        id: Some(id.to_owned()),
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    Grant { grantee: Some(grantee), permission: Some(Permission::from_static(permission)) }
}

pub(super) fn get(shared: &Shared, req: S3Request<GetObjectAclInput>) -> S3Result<GetObjectAclOutput> {
    shared.bucket(&req.input.bucket, |bucket| {
        let object = bucket.get(&req.input.key).ok_or_else(no_such_key)?;
        let mut grants = vec![user(OWNER, "FULL_CONTROL")];
        grants.extend(object.acl.grants.iter().cloned());
        Ok(GetObjectAclOutput { grants: Some(grants), owner: Some(owner()), ..Default::default() })
    })
}

pub(super) fn put(shared: &Shared, req: S3Request<PutObjectAclInput>) -> S3Result<PutObjectAclOutput> {
    let acl = match req.input.access_control_policy {
        Some(policy) => {
            let mut grants = policy.grants.unwrap_or_default();
            grants.retain(|grant| grant.grantee.as_ref().and_then(|g| g.id.as_deref()) != Some(OWNER));
            Acl { name: "custom".to_owned(), grants }
        }
        None => asked_for(&req.headers)?,
    };
    shared.bucket(&req.input.bucket, |bucket| {
        if bucket.set_acl(&req.input.key, &acl) { Ok(PutObjectAclOutput::default()) } else { Err(no_such_key()) }
    })
}

/// The bucket is private.
pub(super) fn get_of_bucket(shared: &Shared, req: S3Request<GetBucketAclInput>) -> S3Result<GetBucketAclOutput> {
    let grants = Some(vec![user(OWNER, "FULL_CONTROL")]);
    shared.bucket(&req.input.bucket, |_| Ok(GetBucketAclOutput { grants, owner: Some(owner()) }))
}

pub(super) fn public_access_block(
    shared: &Shared,
    req: S3Request<GetPublicAccessBlockInput>,
) -> S3Result<GetPublicAccessBlockOutput> {
    let blocked = shared.quirks().acls == Acls::Blocked;
    shared.bucket(&req.input.bucket, |_| {
        if !blocked {
            let message = "The public access block configuration was not found";
            return Err(failure(StatusCode::NOT_FOUND, "NoSuchPublicAccessBlockConfiguration", message));
        }
        let set = PublicAccessBlockConfiguration {
            block_public_acls: Some(true),
            ignore_public_acls: Some(true),
            ..Default::default()
        };
        Ok(GetPublicAccessBlockOutput { public_access_block_configuration: Some(set) })
    })
}
