//! What each attempt of a request is given right before it is sent: the signature of an account key, or a shared access
//! signature. The SDK does neither of both; tokens are its own business.
//!
//! How a key signs: <https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key>.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Context, Request, Url};
use azure_core::time::{OffsetDateTime, to_rfc3339, to_rfc7231};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use super::Credentials;
use super::who::Who;
use crate::secret::Secret;

/// The MD5 of a body, in base64, to be verified by the service; a value of a request's context.
#[derive(Debug, Clone)]
pub(super) struct BodyMd5(pub(super) String);

/// A listing of one level, which the SDK has no option for; a value of a request's context.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneLevel;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Authorize {
    account: String,
    who: Arc<Who>,
}

impl Authorize {
    /// For an account; `None` if its key is no base64.
    pub(super) fn new(account: &str, who: Arc<Who>) -> Option<Self> {
        match who.now().1 {
            Credentials::Key(key) => drop(key_bytes(&key)?),
            Credentials::Sas(_) | Credentials::Identity(_) => {}
        }
        Some(Self { account: account.to_owned(), who })
    }

    fn apply(&self, request: &mut Request, credentials: &Credentials) {
        match credentials {
            Credentials::Key(key) => {
                request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()));
                let text = string_to_sign(&self.account, request);
                // A key that is no base64 signs wrongly, and is refused.
                let signature = sign(&key_bytes(key).unwrap_or_default(), &text);
                request.insert_header("authorization", format!("SharedKey {}:{signature}", self.account));
            }
            Credentials::Sas(sas) => add_query(request.url_mut(), sas.reveal()),
            Credentials::Identity(_) => {}
        }
    }
}

/// The bytes of an account's key; `None` if it is no base64.
fn key_bytes(key: &Secret) -> Option<Vec<u8>> {
    BASE64.decode(key.reveal().trim()).ok().filter(|bytes| !bytes.is_empty())
}

/// Whether an answer says that it is the credentials that are not taken (any more), not what they allow.
fn is_unknown(answer: &AsyncRawResponse) -> bool {
    let code = answer.headers().get_optional_str(&HeaderName::from_static("x-ms-error-code"));
    // What emulators say of a wrong signature is the last one.
    let known =
        ["AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation", "AuthorizationFailure"];
    matches!(u16::from(answer.status()), 401 | 403) && code.is_none_or(|code| known.contains(&code))
}

#[async_trait]
impl Policy for Authorize {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if let Some(md5) = ctx.value::<BodyMd5>() {
            request.insert_header("content-md5", md5.0.clone());
        }
        if ctx.value::<OneLevel>().is_some() {
            add_query(request.url_mut(), "delimiter=%2F");
        }
        let [first, rest @ ..] = next else { unreachable!("a transport ends every pipeline") };
        let url = request.url().clone();
        let (generation, credentials) = self.who.now();
        self.apply(request, &credentials);
        let answer = first.send(ctx, request, rest).await;
        let refused = self.who.can_renew() && answer.as_ref().is_ok_and(is_unknown);
        if !refused || !self.who.renew(generation).await {
            return answer;
        }
        *request.url_mut() = url;
        request.headers_mut().remove("authorization");
        self.apply(request, &self.who.now().1);
        first.send(ctx, request, rest).await
    }
}

/// Adds a text to a query as it is.
pub(super) fn add_query(url: &mut Url, text: &str) {
    let query = match url.query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{query}&{text}"),
        None => text.to_owned(),
    };
    url.set_query(Some(&query));
}

/// The version of the service whose form of signatures is made.
const SIGNED_AS: &str = "2020-12-06";

/// A shared access signature that allows to read one blob until then
/// (<https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas>). `blob` is
/// `/blob/ACCOUNT/CONTAINER/NAME`, not encoded. `None` if the key is no base64.
pub(super) fn leave(key: &Secret, blob: &str, until: OffsetDateTime) -> Option<Secret> {
    let key = key_bytes(key)?;
    let until = to_rfc3339(&until.replace_nanosecond(0).ok()?);
    // Permissions, start, expiry, resource, policy, addresses, protocol, version, kind, snapshot, encryption, five headers.
    let text = format!("r\n\n{until}\n{blob}\n\n\n\n{SIGNED_AS}\nb\n\n\n\n\n\n\n");
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (until, signature) = (encoded(&until), encoded(&sign(&key, &text)));
    Some(Secret::new(format!("sv={SIGNED_AS}&se={until}&sr=b&sp=r&sig={signature}")))
}

fn sign(key: &[u8], text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

fn string_to_sign(account: &str, request: &Request) -> String {
    let headers = request.headers();
    let header = |name: &'static str| headers.get_optional_str(&HeaderName::from_static(name)).unwrap_or_default();
    let length = request.body().len().filter(|length| *length > 0).map(|length| length.to_string());
    let method = request.method();
    let verb: &str = method.as_ref();
    let mut text = format!("{verb}\n");
    for line in [
        header("content-encoding"),
        header("content-language"),
        length.as_deref().unwrap_or_default(),
        header("content-md5"),
        header("content-type"),
        header("date"),
        header("if-modified-since"),
        header("if-match"),
        header("if-none-match"),
        header("if-unmodified-since"),
        header("range"),
    ] {
        text.push_str(line);
        text.push('\n');
    }
    canonical_headers(headers, &mut text);
    canonical_resource(account, request.url(), &mut text);
    text
}

fn canonical_headers(headers: &Headers, text: &mut String) {
    let mut all: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.retain(|(name, _)| name.starts_with("x-ms-"));
    all.sort_unstable();
    for (name, value) in all {
        writeln!(text, "{name}:{}", value.trim()).expect("a String takes any text");
    }
}

fn canonical_resource(account: &str, url: &Url, text: &mut String) {
    write!(text, "/{account}{}", url.path()).expect("a String takes any text");
    let mut pairs: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect();
    pairs.sort_unstable();
    for (name, value) in pairs {
        write!(text, "\n{name}:{value}").expect("a String takes any text");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use azure_core::http::Method;

    fn request(url: &str, method: Method) -> Request {
        Request::new(url.parse().unwrap(), method)
    }

    /// The example of the documentation (the module's text names it).
    #[test]
    fn the_documented_string_is_signed() {
        let url = "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20";
        let mut request = request(url, Method::Get);
        request.insert_header("x-ms-version", "2015-02-21");
        request.insert_header("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT");
        assert_eq!(
            string_to_sign("myaccount", &request),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
    }

    #[test]
    fn lengths_and_conditions_are_signed_and_nothing_has_no_length() {
        let mut put = request("http://127.0.0.1:1/acct/media/a%20b%2Fc", Method::Put);
        put.set_body(b"12345".to_vec());
        put.insert_header("if-match", "\"0x1\"");
        put.insert_header("content-type", "image/png");
        let text = string_to_sign("acct", &put);
        assert_eq!(text, "PUT\n\n\n5\n\nimage/png\n\n\n\"0x1\"\n\n\n\n/acct/acct/media/a%20b%2Fc");
        let empty = request("http://127.0.0.1:1/acct/media/x", Method::Put);
        assert!(string_to_sign("acct", &empty).starts_with("PUT\n\n\n\n"));
    }

    /// RFC 4231, test case 2.
    #[test]
    fn the_signature_is_an_hmac_of_sha256() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let bytes = BASE64.decode(sign(b"Jefe", "what do ya want for nothing?")).unwrap();
        assert_eq!(crate::model::hex(&bytes), expected);
    }

    #[test]
    fn a_shared_access_signature_is_added_as_it_is_and_a_key_is_never_shown() {
        let mut url: Url = "https://x/c/b?comp=list".parse().unwrap();
        add_query(&mut url, "sv=2018-11-09&sig=a%2Bb%2F%3D");
        assert_eq!(url.as_str(), "https://x/c/b?comp=list&sv=2018-11-09&sig=a%2Bb%2F%3D");
        let key = Credentials::Key(Secret::new("aHVudGVyMg=="));
        let authorize = |credentials| Authorize::new("acct", Arc::new(Who::new(credentials, None)));
        let shown = format!("{:?}", authorize(key).unwrap());
        assert!(!shown.contains("104") && !shown.contains("aHVu"), "{shown}");
        assert!(authorize(Credentials::Key(Secret::new("no base64!"))).is_none());
    }
}
