//! The narrow seam to the network for bodies: two requests, plain values in and out, sent [directly](super::direct)
//! where that is possible.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::MetadataDirective;
use bytes::Bytes;

use super::Inner;
use super::direct::{Header, Method, ObjectRequest, Payload};
use super::error::{Failure, Stage};
use super::keep::{Headers, put_on_request};
use super::metadata::crc64_text;
use super::names::{in_query, quoted, unquoted};
use super::ops::Op;
use crate::model::Expect;
use crate::replica::Ability;

/// An upload that a server acknowledged with an ETag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ack {
    /// Without quotes.
    pub(super) etag: String,
}

impl Ack {
    fn of(answer: &HttpResponse) -> Result<Self, Failure> {
        Self::new(answer.headers().get("etag"))
    }

    /// A copy may fail after its status was sent: then the body is that of an error
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>).
    fn of_copy(answer: &HttpResponse) -> Result<Self, Failure> {
        let text = answer.body().bytes().and_then(|body| std::str::from_utf8(body).ok()).unwrap_or_default();
        if text.contains("<Error>") {
            return Err(Failure { status: Some(500), ..Failure::of_answer(answer) });
        }
        let etag = text.split_once("<ETag>").and_then(|(_, rest)| rest.split_once("</ETag>"));
        let etag = etag.map(|(etag, _)| etag.trim().replace("&quot;", "\"").replace("&#34;", "\""));
        Self::new(etag.as_deref())
    }

    /// No ETag, no proof.
    pub(super) fn new(etag: Option<&str>) -> Result<Self, Failure> {
        match etag.map(unquoted).filter(|etag| !etag.is_empty()) {
            Some(etag) => Ok(Self { etag: etag.to_owned() }),
            None => Err(Failure::at(Stage::Unreadable)),
        }
    }
}

/// What a server is asked to check before it stores an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// Nothing: it is known to ignore or refuse conditions.
    Unchecked,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match` with this ETag, in quotes.
    Etag(String),
}

impl Condition {
    /// The condition for an expectation, unless the server is known not to honour conditions.
    pub(super) fn of(expect: &Expect, ability: Ability) -> Self {
        match (ability, expect) {
            (Ability::Missing, _) => Self::Unchecked,
            (_, Expect::Absent) => Self::Absent,
            (_, Expect::Version(version)) => Self::Etag(quoted(version.as_str())),
        }
    }

    /// `If-None-Match`.
    pub(super) fn if_none_match(&self) -> Option<String> {
        (*self == Self::Absent).then(|| "*".to_owned())
    }

    /// `If-Match`.
    pub(super) fn if_match(&self) -> Option<String> {
        match self {
            Self::Etag(etag) => Some(etag.clone()),
            Self::Unchecked | Self::Absent => None,
        }
    }
}

/// How a body is proven to have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its SHA-256 is part of the signature.
    Signed,
    /// The same, and the server is given its CRC-64, to be stored with the object.
    SignedAndCrc(u64),
    /// The server verifies its CRC-64; nothing else is computed.
    Crc(u64),
}

impl Proof {
    fn header(self) -> Option<Header> {
        match self {
            Self::Signed => None,
            Self::SignedAndCrc(crc) | Self::Crc(crc) => Some(("x-amz-checksum-crc64nvme".into(), crc64_text(crc))),
        }
    }

    fn payload(self) -> Payload {
        match self {
            Self::Signed | Self::SignedAndCrc(_) => Payload::Signed,
            Self::Crc(_) => Payload::Unsigned,
        }
    }
}

impl Inner {
    /// The proof for a body. An unsigned payload goes only over TLS, and only with a checksum that the server verifies.
    pub(super) fn proof(&self, body: &[u8]) -> Proof {
        if self.ability(|probe| probe.checksums) != Ability::Proven {
            return Proof::Signed;
        }
        let crc = crc64(body);
        if self.wire.is_tls() { Proof::Crc(crc) } else { Proof::SignedAndCrc(crc) }
    }

    /// PutObject.
    pub(super) async fn send_object(
        &self,
        object: &str,
        body: &Bytes,
        proof: Proof,
        headers: &Headers,
        condition: &Condition,
    ) -> Result<Ack, Failure> {
        let mut pairs = headers.pairs();
        pairs.extend(condition.if_none_match().map(|value| ("if-none-match".into(), value)));
        pairs.extend(condition.if_match().map(|value| ("if-match".into(), value)));
        pairs.extend(proof.header());
        let answer = self.wire.exchange(Op::PutObject, body.len() as u64, |session| {
            let headers = pairs.clone();
            async move {
                if let Some(direct) = session.direct().await {
                    let (method, query, payload) = (Method::Put, None, proof.payload());
                    let put = ObjectRequest { method, object, query, headers, body, payload };
                    return Ack::of(&direct.call(put).await?);
                }
                let request = session.client.put_object().bucket(self.wire.bucket()).key(object);
                let request = request.body(ByteStream::from(body.clone())).customize();
                let request = request.map_request(put_on_request(headers));
                let request =
                    if proof.payload() == Payload::Signed { request } else { request.disable_payload_signing() };
                Ack::new(request.send().await.map_err(|error| Failure::from_sdk(&error))?.e_tag())
            }
        });
        answer.await
    }

    /// CopyObject from `x-amz-copy-source` if it has the ETag, which is in quotes.
    pub(super) async fn send_copy(
        &self,
        target: &str,
        (source, etag): (&str, String),
        directive: &MetadataDirective,
        headers: &Headers,
        condition: &Condition,
    ) -> Result<Ack, Failure> {
        let mut pairs = headers.pairs();
        pairs.push(("x-amz-copy-source".into(), source.to_owned()));
        pairs.push(("x-amz-copy-source-if-match".into(), etag));
        pairs.push(("x-amz-metadata-directive".into(), directive.as_str().to_owned()));
        pairs.extend(condition.if_none_match().map(|value| ("if-none-match".into(), value)));
        pairs.extend(condition.if_match().map(|value| ("if-match".into(), value)));
        let answer = self.wire.exchange(Op::CopyObject, 0, |session| {
            let headers = pairs.clone();
            async move {
                if let Some(direct) = session.direct().await {
                    let (method, payload, body) = (Method::Put, Payload::Signed, &Bytes::new());
                    let copy = ObjectRequest { method, object: target, query: None, headers, body, payload };
                    return Ack::of_copy(&direct.call(copy).await?);
                }
                let request = session.client.copy_object().bucket(self.wire.bucket()).key(target).copy_source(source);
                let sent = request.customize().map_request(put_on_request(headers)).send().await;
                let answer = sent.map_err(|error| Failure::from_sdk(&error))?;
                Ack::new(answer.copy_object_result().and_then(|result| result.e_tag()))
            }
        });
        answer.await
    }

    /// UploadPart.
    pub(super) async fn send_part(
        &self,
        object: &str,
        upload: &str,
        number: u32,
        body: &Bytes,
        proof: Proof,
    ) -> Result<Ack, Failure> {
        let answer = self.wire.exchange(Op::UploadPart, body.len() as u64, |session| async move {
            let headers: Vec<Header> = proof.header().into_iter().collect();
            if let Some(direct) = session.direct().await {
                let query = Some(format!("partNumber={number}&uploadId={}", in_query(upload)));
                let payload = proof.payload();
                let put = ObjectRequest { method: Method::Put, object, query, headers, body, payload };
                return Ack::of(&direct.call(put).await?);
            }
            let request = session.client.upload_part().bucket(self.wire.bucket()).key(object).upload_id(upload);
            let request = request.part_number(i32::try_from(number).unwrap_or(i32::MAX));
            let request = request.body(ByteStream::from(body.clone())).customize();
            let request = request.map_request(put_on_request(headers));
            let request = if proof.payload() == Payload::Signed { request } else { request.disable_payload_signing() };
            Ack::new(request.send().await.map_err(|error| Failure::from_sdk(&error))?.e_tag())
        });
        answer.await
    }
}

/// CRC-64/NVME.
pub(super) fn crc64(body: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Version;

    #[test]
    fn an_acknowledgement_without_an_etag_is_none() {
        assert_eq!(Ack::new(Some("\"e\"")).unwrap().etag, "e");
        assert!(Ack::new(None).is_err());
        assert!(Ack::new(Some("\"\"")).is_err());
    }

    #[test]
    fn a_copy_is_acknowledged_by_the_etag_in_its_answer_and_by_nothing_else() {
        let answer = |text: &str| HttpResponse::new(200.try_into().unwrap(), text.to_owned().into());
        for quote in ["\"", "&quot;", "&#34;", ""] {
            let text = format!("<?xml?><CopyObjectResult><ETag>{quote}e{quote}</ETag></CopyObjectResult>");
            assert_eq!(Ack::of_copy(&answer(&text)).unwrap().etag, "e", "{quote}");
        }
        let failure = Ack::of_copy(&answer("<?xml?><Error><Code>SlowDown</Code></Error>")).unwrap_err();
        assert!(failure.is_throttled() && failure.status == Some(500), "{failure:?}");
        for text in ["", "<CopyObjectResult></CopyObjectResult>", "<ETag>"] {
            assert!(Ack::of_copy(&answer(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn conditions_follow_what_is_expected_unless_they_are_known_to_be_ignored() {
        let version = Expect::Version(Version::new("e"));
        let absent = Condition::of(&Expect::Absent, Ability::Proven);
        assert_eq!((absent.if_none_match().as_deref(), absent.if_match()), (Some("*"), None));
        let etag = Condition::of(&version, Ability::Unknown);
        assert_eq!((etag.if_none_match(), etag.if_match().as_deref()), (None, Some("\"e\"")));
        assert_eq!(Condition::of(&version, Ability::Missing), Condition::Unchecked);
    }
}
