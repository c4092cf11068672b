//! From SDK errors to [`Error`]: the one place that decides what a failed request means for the caller.
//!
//! A [`Failure`] is what a request's error says, without SDK types. [`fold`] turns it into a reaction and a sentence.
//! Messages hold the operation, our key, the error code and the request id; never a server's own text, a header
//! value or a URL, because those may carry credentials.

use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::ops::Op;
pub(super) use crate::replica::requests::Stage;
use crate::replica::requests::element;
use crate::replica::{Cause, Error};

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// At which stage.
    pub(super) stage: Stage,
    /// HTTP status, if there was an answer.
    pub(super) status: Option<u16>,
    /// The S3 error code.
    pub(super) code: Option<Box<str>>,
    /// The server's id of the request.
    pub(super) request_id: Option<Box<str>>,
    /// The region that the server named.
    pub(super) region: Option<Box<str>>,
    /// `Retry-After`.
    pub(super) after: Option<Duration>,
}

impl Failure {
    /// A failure of a stage without an answer.
    pub(super) fn at(stage: Stage) -> Self {
        Self { stage, status: None, code: None, request_id: None, region: None, after: None }
    }

    /// What an SDK error says.
    pub(super) fn from_sdk<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let mut failure = Self::at(match error {
            SdkError::ServiceError(_) => Stage::Answered,
            SdkError::ResponseError(_) => Stage::Unreadable,
            SdkError::TimeoutError(_) => Stage::Timeout,
            _ => stage_of(error),
        });
        if let Some(raw) = error.raw_response() {
            failure.read(raw);
        }
        if let SdkError::ServiceError(service) = error {
            failure.code = service.err().meta().code().filter(|code| is_plain(code)).map(Box::from);
        }
        failure
    }

    /// What an error answer says whose body is in memory.
    pub(super) fn of_answer(answer: &HttpResponse) -> Self {
        let mut failure = Self::at(Stage::Answered);
        failure.read(answer);
        failure.code = word(answer, "Code");
        failure
    }

    fn read(&mut self, raw: &HttpResponse) {
        let status = raw.status().as_u16();
        self.status = Some(status);
        let header = |name: &str| raw.headers().get(name).filter(|v| is_plain(v)).map(Box::from);
        self.request_id = header("x-amz-request-id");
        self.region = header("x-amz-bucket-region").or_else(|| word(raw, "Region"));
        self.after = raw.headers().get("retry-after").and_then(|v| v.parse().ok()).map(Duration::from_secs);
        if status >= 300 {
            self.stage = Stage::Answered;
        }
    }

    /// Whether the code is one of these.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// The server says that the key is not there, and does not say that the bucket is not.
    pub(super) fn is_absent_key(&self) -> bool {
        self.status == Some(404) && !self.is(&["NoSuchBucket", "NoSuchUpload"])
    }

    /// The server does not do this at all.
    pub(super) fn is_not_implemented(&self) -> bool {
        self.status == Some(501) || self.is(&["NotImplemented", "XNotImplemented"])
    }

    /// A precondition did not hold. 409 is how concurrent conditional requests collide.
    pub(super) fn is_precondition(&self) -> bool {
        self.status == Some(412)
            || self.is(&["PreconditionFailed", "ConditionalRequestConflict"])
            || (self.status == Some(409)
                && !self.is(&["OperationAborted", "BucketAlreadyExists", "InvalidBucketState"]))
    }

    /// The request was signed for another region, or sent to another region's host.
    pub(super) fn is_wrong_region(&self) -> bool {
        let code = self.is(&[
            "PermanentRedirect",
            "TemporaryRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
        ]);
        // A HEAD has no body: 301, 307 or 400 and a region header is all that it can say.
        code || matches!(self.status, Some(301 | 307 | 308)) || (self.status == Some(400) && self.region.is_some())
    }

    /// The credentials ran out and may have been renewed where they come from.
    pub(super) fn is_expired(&self) -> bool {
        self.is(&["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"])
    }

    /// The key was withdrawn, or the server can't say (the answer to HEAD has no body): where credentials are renewed, it
    /// is worth asking for others.
    pub(super) fn is_unknown_key(&self) -> bool {
        self.is(&["InvalidAccessKeyId", "InvalidToken"]) || (self.status == Some(403) && self.code.is_none())
    }

    /// The server asks for fewer requests.
    pub(super) fn is_throttled(&self) -> bool {
        self.status == Some(429)
            || self.is(&["SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded"])
            || (self.status == Some(503) && !self.is(&["InternalError"]))
    }
}

/// The stage of an error without an answer.
fn stage_of<E>(error: &SdkError<E, HttpResponse>) -> Stage
where
    E: StdError + 'static,
{
    let otherwise = match error {
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => Stage::Timeout,
        SdkError::DispatchFailure(_) => Stage::Network,
        _ => Stage::Request,
    };
    stage_in(error).unwrap_or(otherwise)
}

/// The stage of a request that the connector could not get answered.
pub(super) fn stage_of_connector(error: &ConnectorError) -> Stage {
    let otherwise = if error.is_timeout() { Stage::Timeout } else { Stage::Network };
    stage_in(error).unwrap_or(otherwise)
}

/// The stage that an error's chain of sources tells.
fn stage_in(error: &(dyn StdError + 'static)) -> Option<Stage> {
    let mut source = Some(error);
    while let Some(e) = source {
        if e.is::<CredentialsError>() {
            return Some(Stage::Credentials);
        }
        if e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused) {
            return Some(Stage::Refused);
        }
        // The connector gives these two only as text.
        let text = e.to_string().to_ascii_lowercase();
        if text.contains("dns error") || text.contains("failed to lookup address") {
            return Some(Stage::Dns);
        }
        if text.contains("certificate") {
            return Some(Stage::Certificate);
        }
        if text.contains("corrupt message") || text.contains("received fatal alert") {
            return Some(Stage::Tls);
        }
        // What a server that wants TLS says to a request in the clear is no answer of HTTP.
        if text.contains("invalid http version") {
            return Some(Stage::Http);
        }
        source = e.source();
    }
    None
}

/// A plain word in an error document that is in memory.
fn word(answer: &HttpResponse, name: &str) -> Option<Box<str>> {
    element(answer.body().bytes()?, name).filter(|word| is_plain(word)).map(Box::from)
}

/// Codes, ids and regions are short words; anything else is not repeated.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+/=:".contains(&b))
}

/// What a failed request was about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// What was asked.
    pub(super) op: Op,
    /// The bucket.
    pub(super) bucket: &'a str,
    /// The object, named as people know it (prefix included); `None` for requests about the bucket.
    pub(super) object: Option<&'a str>,
    /// Where requests go, for people.
    pub(super) endpoint: &'a str,
    /// Who has the credentials.
    pub(super) keys: Keys<'a>,
}

/// Who has the credentials of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys<'a> {
    /// A DSN or the configuration.
    Stated,
    /// A command prints them.
    Command,
    /// This profile of the AWS tools.
    Profile(&'a str),
    /// Half of them are in the variables of the AWS tools: the first is set, and the second is not.
    Half(&'static str, &'static str),
    /// The AWS tools, somewhere.
    Aws,
}

/// What the caller does about a failure, and what a person reads.
pub(super) fn fold(failure: &Failure, about: About<'_>) -> Error {
    let cause = cause_of(failure, about.op);
    let error = Error::new(cause, message(failure, about));
    match hint(failure, about) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn cause_of(failure: &Failure, op: Op) -> Cause {
    let again = Cause::Transient { throttled: failure.is_throttled(), after: failure.after };
    if let Some(cause) = failure.stage.cause(again) {
        return cause;
    }
    let stop = [
        "NoSuchBucket",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSecurity",
        "InvalidToken",
        "AccountProblem",
        "AllAccessDisabled",
        "NotSignedUp",
        "UserSuspended",
        "AuthorizationHeaderMalformed",
        "InvalidBucketName",
    ];
    // The SDK corrects its clock by the Date of every answer, so that the next attempt is signed right.
    let skewed = failure.is(&["RequestTimeTooSkewed", "RequestTimeout", "IncompleteBody", "OperationAborted"]);
    if failure.is(&stop) {
        return Cause::Stop;
    }
    if skewed || failure.is_expired() {
        return again;
    }
    if failure.is_not_implemented() {
        return Cause::Unsupported;
    }
    match failure.status {
        Some(404) if failure.is_absent_key() => Cause::NotFound,
        // The upload went away under us (a lifecycle rule, somebody's clean-up): a new one may succeed.
        Some(404) => again,
        _ if failure.is_precondition() => Cause::Precondition,
        Some(408 | 429 | 500..=599) => again,
        // A range that does not exist any more: the object became shorter.
        Some(416) if op == Op::GetObject => Cause::Changed,
        Some(300..=399) => Cause::Stop,
        // XML error documents inside a 200.
        Some(200..=299) if failure.is(&["InternalError", "SlowDown"]) => again,
        Some(400) if failure.is(&["BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"]) => again,
        _ => Cause::Refused,
    }
}

fn message(failure: &Failure, about: About<'_>) -> String {
    let what = match about.object {
        Some(object) => format!("{} {}", about.op.verb(), super::names::shown(object)),
        None => format!("{} bucket {}", about.op.verb(), about.bucket),
    };
    let host = about.endpoint;
    let why = match failure.stage {
        Stage::Credentials => match about.keys {
            Keys::Profile(profile) => format!("the profile {profile:?} gives no usable credentials"),
            Keys::Half(has, lacks) => format!("{has} is set and {lacks} is not, and there are no other credentials"),
            Keys::Stated | Keys::Command | Keys::Aws => failure.stage.words(host),
        },
        Stage::Answered => {
            let status = failure.status.unwrap_or_default();
            match (failure.code.as_deref(), status) {
                (Some("AccessDenied"), _) | (None, 403) => {
                    format!("{} on bucket {} is not permitted", about.op.permission(), about.bucket)
                }
                (Some("NoSuchBucket"), _) => format!("bucket {} does not exist at {host}", about.bucket),
                (Some(code), _) => format!("{host} answered {code} ({status})"),
                (None, _) => format!("{host} answered {status}"),
            }
        }
        stage => stage.words(host),
    };
    match &failure.request_id {
        Some(id) => format!("{what}: {why} [request {id}]"),
        None => format!("{what}: {why}"),
    }
}

fn hint(failure: &Failure, about: About<'_>) -> Option<String> {
    let text = match (failure.stage, failure.code.as_deref()) {
        (Stage::Credentials, _) => match about.keys {
            Keys::Profile(_) => {
                "Check the name and the content of the profile in ~/.aws/config and ~/.aws/credentials".to_owned()
            }
            Keys::Half(has, lacks) => format!("Set {lacks}, the one that belongs to {has}"),
            Keys::Stated | Keys::Command | Keys::Aws => {
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile, or use a storage DSN with a key"
                    .to_owned()
            }
        },
        (Stage::Tls, _) => {
            "Check the endpoint's scheme (http:// or https://) and port; proxies in between may answer instead"
                .to_owned()
        }
        (Stage::Http, _) => "Write https:// in the endpoint if it speaks TLS; else check its port".to_owned(),
        (Stage::Dns | Stage::Refused | Stage::Network | Stage::Timeout, _) => {
            format!(
                "Check the endpoint ({}), its region and the network; the endpoint belongs to the provider and region",
                about.endpoint
            )
        }
        (Stage::Certificate, _) => {
            "Check the endpoint's host name; a private certificate authority must be in the system's trust store"
                .to_owned()
        }
        (_, Some("NoSuchBucket")) => {
            "Check the bucket name and the endpoint; mediasync does not create buckets".to_owned()
        }
        (_, Some("InvalidAccessKeyId")) => {
            "The access key is not known there: check the key and the endpoint".to_owned()
        }
        (_, Some("SignatureDoesNotMatch")) => {
            let which = match about.keys {
                Keys::Stated => "the secret key (in a DSN, `/`, `+` and `@` in it must be percent-encoded)",
                Keys::Command => "the secret key that the command gives",
                Keys::Profile(_) => "the secret key of the profile in ~/.aws/credentials",
                Keys::Half(..) | Keys::Aws => "AWS_SECRET_ACCESS_KEY, or the secret key in ~/.aws/credentials,",
            };
            format!("Check {which} and the region")
        }
        (_, Some("InvalidToken" | "ExpiredToken")) => "Renew the temporary credentials".to_owned(),
        (_, Some("RequestTimeTooSkewed")) => "Set this machine's clock".to_owned(),
        (_, Some("InvalidObjectState")) => "The object is archived: restore it first".to_owned(),
        (Stage::Answered, Some("AccessDenied") | None) if failure.status == Some(403) => {
            format!("Allow {} on bucket {} for this key", about.op.permission(), about.bucket)
        }
        _ if failure.is_wrong_region() => match &failure.region {
            Some(region) => format!("The bucket is in region {region}: set region = \"{region}\""),
            None => "The bucket is in another region: set `region` and the endpoint that belongs to it".to_owned(),
        },
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, code: &str) -> Failure {
        let code = (!code.is_empty()).then(|| code.into());
        Failure { status: Some(status), code, ..Failure::at(Stage::Answered) }
    }

    fn cause(status: u16, code: &str) -> Cause {
        cause_of(&answered(status, code), Op::PutObject)
    }

    const AGAIN: Cause = Cause::Transient { throttled: false, after: None };
    const SLOWER: Cause = Cause::Transient { throttled: true, after: None };

    #[test]
    fn answers_are_sorted_by_what_the_caller_does() {
        for (status, code, expected) in [
            (404, "NoSuchKey", Cause::NotFound),
            (404, "NoSuchBucket", Cause::Stop),
            (404, "NoSuchUpload", AGAIN),
            (412, "PreconditionFailed", Cause::Precondition),
            (409, "ConditionalRequestConflict", Cause::Precondition),
            (409, "OperationAborted", AGAIN),
            (403, "AccessDenied", Cause::Refused),
            (403, "", Cause::Refused),
            (403, "InvalidAccessKeyId", Cause::Stop),
            (403, "SignatureDoesNotMatch", Cause::Stop),
            (403, "RequestTimeTooSkewed", AGAIN),
            (400, "ExpiredToken", AGAIN),
            (400, "RequestTimeout", AGAIN),
            (400, "BadDigest", AGAIN),
            (400, "InvalidArgument", Cause::Refused),
            (500, "InternalError", AGAIN),
            (200, "InternalError", AGAIN),
            (503, "SlowDown", SLOWER),
            (503, "", SLOWER),
            (429, "", SLOWER),
            (501, "NotImplemented", Cause::Unsupported),
            (301, "PermanentRedirect", Cause::Stop),
            (301, "", Cause::Stop),
        ] {
            assert_eq!(cause(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn failures_without_an_answer_are_worth_another_try_unless_trying_can_not_help() {
        for (stage, expected) in [
            (Stage::Dns, AGAIN),
            (Stage::Refused, AGAIN),
            (Stage::Http, AGAIN),
            (Stage::Network, AGAIN),
            (Stage::Timeout, AGAIN),
            (Stage::Unreadable, AGAIN),
            (Stage::Certificate, Cause::Stop),
            (Stage::Tls, Cause::Stop),
            (Stage::Credentials, Cause::Stop),
            (Stage::Request, Cause::Refused),
        ] {
            assert_eq!(cause_of(&Failure::at(stage), Op::GetObject), expected, "{stage:?}");
        }
    }

    #[test]
    fn a_message_names_the_permission_and_escapes_the_key() {
        let about =
            About { op: Op::PutObject, bucket: "b", object: Some("p/a\nb"), endpoint: "https://h", keys: Keys::Stated };
        let error = fold(&Failure { request_id: Some("R1".into()), ..answered(403, "AccessDenied") }, about);
        assert_eq!(error.message, "store p/a\\u{a}b: s3:PutObject on bucket b is not permitted [request R1]");
        assert_eq!(error.hint.as_deref(), Some("Allow s3:PutObject on bucket b for this key"));
    }

    #[test]
    fn what_is_said_of_credentials_fits_where_they_are() {
        let told = |failure: &Failure, keys| {
            let about = About { op: Op::ListObjects, bucket: "b", object: None, endpoint: "https://h", keys };
            let error = fold(failure, about);
            format!("{}\n{}", error.message, error.hint.unwrap())
        };
        let (none, wrong) = (Failure::at(Stage::Credentials), answered(403, "SignatureDoesNotMatch"));
        let (has, lacks) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
        assert!(
            told(&none, Keys::Half(has, lacks)).contains("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not")
        );
        assert!(told(&none, Keys::Profile("x")).contains("the profile \"x\" gives no usable credentials"));
        assert!(told(&none, Keys::Aws).contains("storage DSN"));
        assert!(told(&wrong, Keys::Stated).contains("in a DSN"));
        for keys in [Keys::Command, Keys::Profile("x"), Keys::Aws] {
            let told = told(&wrong, keys);
            assert!(!told.contains("DSN") && told.contains("the region"), "{told}");
        }
    }

    #[test]
    fn a_region_is_read_from_an_error_document_and_only_as_a_plain_word() {
        let read = |body: &'static str, name| word(&HttpResponse::new(400.try_into().unwrap(), body.into()), name);
        let xml = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>";
        assert_eq!(read(xml, "Region").as_deref(), Some("eu-central-1"));
        assert_eq!(read(xml, "Code").as_deref(), Some("AuthorizationHeaderMalformed"));
        assert_eq!(read("<Region>a b</Region>", "Region"), None);
        assert_eq!(read("<Region></Region>", "Region"), None);
    }

    #[test]
    fn a_head_answer_with_a_region_header_shows_a_wrong_region() {
        let plain = answered(400, "");
        assert!(!plain.is_wrong_region());
        assert!(Failure { region: Some("eu-west-1".into()), ..plain }.is_wrong_region());
        assert!(answered(301, "").is_wrong_region());
    }
}
