//! GetObject and its body, the other way round than [`super::sender`]: sent [directly](super::direct) where that is
//! possible.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};
use bytes::Bytes;

use super::Inner;
use super::direct::{Header, Method, ObjectRequest, Payload};
use super::error::Failure;
use super::names::shown;
use super::ops::Op;
use crate::replica::shelf::Shelf;
use crate::replica::{Cause, Error};

/// A body that gives nothing for this long is given up.
const STALL: Duration = Duration::from_secs(30);

impl Inner {
    /// GetObject if it has the ETag `pin`, which is in quotes. `range` is the header's value, and `bytes` how much it
    /// asks for. The body is still to be read.
    pub(super) async fn get_object(
        &self,
        object: &str,
        pin: &str,
        range: Option<&str>,
        bytes: u64,
    ) -> Result<Box<GetObjectOutput>, Failure> {
        let answer = self.wire.exchange(Op::GetObject, bytes, |session| async move {
            if let Some(direct) = session.direct().await {
                let mut headers: Vec<Header> = vec![("if-match".into(), pin.to_owned())];
                headers.extend(range.map(|range| ("range".into(), range.to_owned())));
                let (method, payload) = (Method::Get, Payload::Signed);
                let get = ObjectRequest { method, object, query: None, headers, body: &Bytes::new(), payload };
                return direct.open(get).await.map(|answer| Box::new(output_of(answer)));
            }
            let request = session.client.get_object().bucket(self.wire.bucket()).key(object);
            let request = request.if_match(pin).set_range(range.map(str::to_owned));
            request.send().await.map(Box::new).map_err(|error| Failure::from_sdk(&error))
        });
        answer.await
    }
}

/// What the SDK would have made of an answer, as far as anybody here asks for it.
fn output_of(mut answer: HttpResponse) -> GetObjectOutput {
    let body = ByteStream::new(answer.take_body());
    let text = |name: &str| answer.headers().get(name).map(str::to_owned);
    let metadata: HashMap<String, String> = answer
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value.to_owned())))
        .collect();
    let modified = answer.headers().get("last-modified");
    GetObjectOutput::builder()
        .body(body)
        .set_metadata(Some(metadata))
        .set_content_length(answer.headers().get("content-length").and_then(|text| text.parse().ok()))
        .set_content_range(text("content-range"))
        .set_e_tag(text("etag"))
        .set_last_modified(modified.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok()))
        .set_content_type(text("content-type"))
        .set_cache_control(text("cache-control"))
        .set_content_disposition(text("content-disposition"))
        .set_content_encoding(text("content-encoding"))
        .set_content_language(text("content-language"))
        .set_expires_string(text("expires"))
        .set_checksum_crc64_nvme(text("x-amz-checksum-crc64nvme"))
        .set_checksum_sha256(text("x-amz-checksum-sha256"))
        .set_checksum_type(text("x-amz-checksum-type").map(|kind| kind.as_str().into()))
        .set_server_side_encryption(text("x-amz-server-side-encryption").map(|kind| kind.as_str().into()))
        .set_sse_customer_algorithm(text("x-amz-server-side-encryption-customer-algorithm"))
        .build()
}

/// Reads a body of exactly `length` bytes. Clients and proxies have been seen to end a body early without an error.
pub(super) async fn read_body(
    mut body: ByteStream,
    length: usize,
    object: &str,
    shelf: &Shelf,
) -> Result<Bytes, Error> {
    let again = Cause::Transient { throttled: false, after: None };
    let broken = |why: &str| Error::new(again, format!("read {}: {why}", shown(object)));
    // Copied: a chunk is a part of the connection's read buffer, and a small one would hold all of that.
    let (mut all, mut filled) = (shelf.take(length), 0);
    loop {
        let chunk = tokio::time::timeout(STALL, body.next()).await;
        let Some(chunk) = chunk.map_err(|_| broken("nothing came for 30 seconds"))? else { break };
        let chunk = chunk.map_err(|_| broken("the connection broke in the middle of the body"))?;
        let until = filled + chunk.len();
        let Some(place) = all[..length].get_mut(filled..until) else {
            return Err(broken("the body is longer than announced"));
        };
        place.copy_from_slice(&chunk);
        filled = until;
    }
    if filled == length { Ok(shelf.give(all, length)) } else { Err(broken("the body ended early")) }
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use crate::model::DigestKind;
    use crate::replica::s3::carried::attributes_of_get;
    use crate::replica::s3::metadata::Facts;

    #[tokio::test]
    async fn bodies_have_exactly_the_announced_length() {
        let body = |text: &'static str| ByteStream::from_static(text.as_bytes());
        assert_eq!(read_body(body("abc"), 3, "o", &Shelf::default()).await.unwrap(), "abc");
        assert_eq!(read_body(body(""), 0, "o", &Shelf::default()).await.unwrap(), "");
        for length in [2, 4] {
            let error = read_body(body("abc"), length, "o", &Shelf::default()).await.unwrap_err();
            assert!(matches!(error.cause, Cause::Transient { .. }));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_given_up() {
        type Frame = Result<hyper::body::Frame<Bytes>, std::io::Error>;
        let silent = http_body_util::StreamBody::new(futures_util::stream::pending::<Frame>());
        let error =
            read_body(ByteStream::new(SdkBody::from_body_1_x(silent)), 3, "o", &Shelf::default()).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Transient { .. }) && error.message.contains("30 seconds"), "{error}");
    }

    #[test]
    fn headers_are_read_as_the_sdk_reads_them() {
        let mut answer = HttpResponse::new(200.try_into().unwrap(), SdkBody::from("abc"));
        for (name, value) in [
            ("content-length", "3"),
            ("etag", "\"900150983cd24fb0d6963f7d28e17f72\""),
            ("last-modified", "Thu, 01 Jan 1970 00:01:40 GMT"),
            ("content-type", "image/png"),
            ("expires", "Thu, 01 Jan 1970 00:01:40 GMT"),
            ("x-amz-meta-author", "me"),
            ("x-amz-checksum-crc64nvme", "AAAAAAAAAAE="),
            ("x-amz-checksum-type", "FULL_OBJECT"),
            ("x-amz-server-side-encryption", "aws:kms"),
        ] {
            answer.headers_mut().insert(name, value);
        }
        let output = output_of(answer);
        let entry = Facts::of_get(&output).entry().unwrap();
        assert_eq!((entry.size, entry.modified_ns), (3, Some(100_000_000_000)));
        assert_eq!(&*entry.digests.get(DigestKind::Crc64Nvme).unwrap().text, "0000000000000001");
        let attributes = attributes_of_get(&output);
        assert_eq!(attributes.content_type.as_deref(), Some("image/png"));
        assert_eq!(attributes.expires.as_deref(), Some("Thu, 01 Jan 1970 00:01:40 GMT"));
        assert_eq!(attributes.metadata["author"], "me");
        assert_eq!(output.server_side_encryption(), Some(&aws_sdk_s3::types::ServerSideEncryption::AwsKms));
    }
}
