//! The smallest policy of AWS's IAM under which a place can be used: what each [`Usage`] sends, and nothing else.
//! `tests/it/policy.rs` compares it with what runs really send.

use serde::Serialize;

use super::S3Address;
use super::endpoint::Partition;
use crate::replica::checkup::Usage;
use crate::replica::object::OWN;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: Vec<&'static str>,
    resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<serde_json::Value>,
}

impl S3Address {
    /// A policy for the key that uses this place, as JSON that can be attached.
    pub fn policy(&self, usage: Usage) -> String {
        let document = Document { version: "2012-10-17", statement: self.statements(usage) };
        serde_json::to_string_pretty(&document).expect("a policy is plain data")
    }

    fn statements(&self, usage: Usage) -> Vec<Statement> {
        let arn = format!("arn:{}:s3:::{}", self.partition(), self.bucket);
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        let below = format!("{arn}/{}{slash}", self.prefix);
        let statement = |sid, action: &[&'static str], resource: String| Statement {
            sid,
            effect: "Allow",
            action: action.to_vec(),
            resource,
            condition: None,
        };
        // HeadBucket is asked with this permission, and has no prefix.
        let prefix = (!self.prefix.is_empty())
            .then(|| serde_json::json!({"StringLikeIfExists": {"s3:prefix": format!("{}/*", self.prefix)}}));
        let list = statement("List", &["s3:ListBucket"], arn.clone());
        let mut all = vec![Statement { condition: prefix, ..list }];
        if usage == Usage::Read {
            all.push(statement("Read", &["s3:GetObject"], format!("{below}*")));
            return all;
        }
        all.push(statement("Bucket", &["s3:GetBucketVersioning", "s3:ListBucketMultipartUploads"], arn));
        let objects = [
            "s3:GetObject",
            "s3:GetObjectAcl",
            "s3:GetObjectTagging",
            "s3:PutObject",
            // Where no ACL is stated, too: an overwrite and a copy send again what the object had.
            "s3:PutObjectAcl",
            "s3:PutObjectTagging",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        ];
        all.push(statement("Objects", &objects, format!("{below}*")));
        let own = if usage == Usage::Delete { "" } else { OWN };
        all.push(statement("Delete", &["s3:DeleteObject"], format!("{below}{own}*")));
        all
    }

    fn partition(&self) -> &'static str {
        match self.region.as_deref().and_then(Partition::of_region) {
            Some(Partition::China) => "aws-cn",
            Some(Partition::Gov) => "aws-us-gov",
            Some(Partition::Europe) => "aws-eusc",
            Some(Partition::Isolated) => "aws-iso",
            Some(Partition::Aws) | None => "aws",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::replica::s3::session::tests::address;

    fn statements(address: &S3Address, usage: Usage) -> Vec<(String, String)> {
        let document: Value = serde_json::from_str(&address.policy(usage)).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let all = document["Statement"].as_array().unwrap().iter();
        all.map(|one| (text(&one["Sid"]), text(&one["Resource"]))).collect()
    }

    #[test]
    fn a_policy_is_about_the_prefix_and_nothing_else() {
        let at = S3Address { prefix: "a/b".to_owned(), ..address("media", None) };
        let pair = |sid: &str, resource: &str| (sid.to_owned(), resource.to_owned());
        assert_eq!(
            statements(&at, Usage::Read),
            [pair("List", "arn:aws:s3:::media"), pair("Read", "arn:aws:s3:::media/a/b/*")]
        );
        assert_eq!(statements(&at, Usage::Add)[3], pair("Delete", "arn:aws:s3:::media/a/b/.mediasync/*"));
        assert_eq!(statements(&at, Usage::Delete)[3], pair("Delete", "arn:aws:s3:::media/a/b/*"));
        assert!(at.policy(Usage::Add).contains(r#""s3:prefix": "a/b/*""#));
        let whole = address("media", None);
        assert!(!whole.policy(Usage::Delete).contains("Condition"));
        assert_eq!(statements(&whole, Usage::Add)[3], pair("Delete", "arn:aws:s3:::media/.mediasync/*"));
        let china = S3Address { region: Some("cn-north-1".to_owned()), ..address("media", None) };
        assert_eq!(statements(&china, Usage::Read)[0].1, "arn:aws-cn:s3:::media");
    }

    #[test]
    fn acls_are_allowed_whether_one_is_stated_or_kept() {
        for acl in [Some("public-read"), None] {
            let at = S3Address { acl: acl.map(str::to_owned), ..address("media", None) };
            assert!(at.policy(Usage::Add).contains("s3:PutObjectAcl"), "{acl:?}");
            assert!(!at.policy(Usage::Read).contains("ObjectAcl"), "{acl:?}");
        }
    }
}
