//! How requests prove their XML documents: by Content-MD5, which every server takes and older ones insist on. The SDK
//! adds a CRC-32, which servers without checksums refuse.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

/// Adds the MD5 of the body.
pub(super) fn add_md5(request: &mut HttpRequest) {
    let md5 = request.body().bytes().map(|body| BASE64.encode(Md5::digest(body)));
    if let Some(md5) = md5 {
        request.headers_mut().insert("content-md5", md5);
    }
}

/// Takes off what the SDK adds.
pub(super) fn drop_checksum(request: &mut HttpRequest) {
    for name in ["x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm"] {
        request.headers_mut().remove(name);
    }
}

/// Content-MD5 and nothing else.
pub(super) fn md5_only(request: &mut HttpRequest) {
    drop_checksum(request);
    add_md5(request);
}
