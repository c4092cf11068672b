//! What an object carries besides its bytes, on its way to or from another replica: read from answers, put into the
//! headers of what is written. ACL, tier and tags stay where they are (see [`Attributes`]).

use std::collections::{BTreeMap, HashMap};

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

use super::keep::Headers;
use super::metadata::OF_CONTENT;
use crate::replica::Attributes;

/// HEAD and GET answer with the same fields in different types.
macro_rules! attributes {
    ($output:expr) => {{
        let text = |value: Option<&str>| value.filter(|text| !text.is_empty()).map(str::to_owned);
        Attributes {
            content_type: text($output.content_type()),
            cache_control: text($output.cache_control()),
            content_disposition: text($output.content_disposition()),
            content_encoding: encoding($output.content_encoding()),
            content_language: text($output.content_language()),
            expires: text($output.expires_string()),
            metadata: foreign($output.metadata()),
        }
    }};
}

/// What the object of an answer to GET carries.
pub(super) fn attributes_of_get(output: &GetObjectOutput) -> Attributes {
    attributes!(output)
}

/// What the object of an answer to HEAD carries.
pub(super) fn attributes_of_head(output: &HeadObjectOutput) -> Attributes {
    attributes!(output)
}

/// The content's encoding; some servers store the transfer's framing as if it were that.
pub(super) fn encoding(header: Option<&str>) -> Option<String> {
    let kept: Vec<&str> = header?.split(',').map(str::trim).filter(|one| !matches!(*one, "" | "aws-chunked")).collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// Metadata without what speaks of the content.
fn foreign(metadata: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    let all = metadata.into_iter().flatten();
    let foreign = all.filter(|(name, _)| !OF_CONTENT.contains(&name.to_ascii_lowercase().as_str()));
    foreign.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}

impl Headers {
    /// With what the object carries at its source in place of what is there or what its name says. ACL, tier, tags and
    /// redirection stay.
    pub(super) fn carrying(self, attributes: Option<&Attributes>) -> Self {
        let Some(carried) = attributes.cloned() else { return self };
        let expires = carried.expires.and_then(|text| DateTime::from_str(&text, DateTimeFormat::HttpDate).ok());
        Self {
            content_type: carried.content_type.or(self.content_type),
            cache_control: carried.cache_control,
            content_disposition: carried.content_disposition,
            content_encoding: carried.content_encoding,
            content_language: carried.content_language,
            expires,
            metadata: carried.metadata.into_iter().collect(),
            ..self
        }
    }

    /// The same for a copy: what speaks of the content stays.
    pub(super) fn carrying_over(self, attributes: Option<&Attributes>) -> Self {
        let of_content: Vec<(String, String)> = OF_CONTENT
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.metadata.get(*name)?.clone())))
            .collect();
        let mut headers = self.carrying(attributes);
        headers.metadata.extend(of_content);
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::s3::keep::Acl;

    #[test]
    fn what_an_object_carries_is_read_without_what_speaks_of_its_content() {
        let head = HeadObjectOutput::builder()
            .content_type("image/x-custom")
            .cache_control("max-age=1")
            .content_encoding("aws-chunked, gzip")
            .content_language("")
            .expires_string("Thu, 01 Jan 1970 00:01:40 GMT")
            .metadata("Author", "me")
            .metadata("blake3", "x")
            .metadata("mtime", "1")
            .metadata("md5chksum", "x")
            .metadata("s3cmd-attrs", "x")
            .build();
        let expected = Attributes {
            content_type: Some("image/x-custom".to_owned()),
            cache_control: Some("max-age=1".to_owned()),
            content_encoding: Some("gzip".to_owned()),
            expires: Some("Thu, 01 Jan 1970 00:01:40 GMT".to_owned()),
            metadata: BTreeMap::from([("author".to_owned(), "me".to_owned())]),
            ..Attributes::default()
        };
        assert_eq!(attributes_of_head(&head), expected);
        assert_eq!(encoding(Some("aws-chunked")), None);
    }

    #[test]
    fn what_is_carried_wins_over_the_name_and_over_what_is_there() {
        let there = Headers {
            cache_control: Some("old".to_owned()),
            content_language: Some("de".to_owned()),
            website_redirect: Some("/x".to_owned()),
            ..Headers::fresh("a.png", Acl::Unset)
        };
        assert_eq!(there.clone().carrying(None), there);
        let attributes = Attributes {
            cache_control: Some("new".to_owned()),
            expires: Some("Thu, 01 Jan 1970 00:01:40 GMT".to_owned()),
            ..Attributes::default()
        };
        let carried = there.carrying(Some(&attributes));
        assert_eq!(carried.content_type.as_deref(), Some("image/png"), "no type said: that of the name");
        assert_eq!(carried.cache_control.as_deref(), Some("new"));
        assert_eq!((carried.content_language, carried.expires), (None, Some(DateTime::from_secs(100))));
        assert_eq!(carried.website_redirect.as_deref(), Some("/x"));
    }
}
