//! From SDK errors to [`Error`]: the one place that decides what a failed request means for the caller.
//!
//! A [`Failure`] is what a request's error says, without SDK types. [`fold`] turns it into a reaction and a sentence.
//! Messages hold the operation, our key, the error code and the request id; never a server's own text, a header
//! value or a URL, because those may carry credentials.

use std::error::Error as StdError;
use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_core::http::RawResponse;
use azure_core::http::headers::HeaderName;
use jiff::Timestamp;

use super::ops::Op;
use super::read::ONLINE;
use super::sas::Sas;
use super::{Credentials, Identity};
use crate::replica::object::shown;
pub(super) use crate::replica::requests::Stage;
use crate::replica::requests::element;
use crate::replica::{Cause, Error};
use crate::transport::Reason;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// At which stage.
    pub(super) stage: Stage,
    /// HTTP status, if there was an answer.
    pub(super) status: Option<u16>,
    /// The storage error code.
    pub(super) code: Option<Box<str>>,
    /// The service's id of the request.
    pub(super) request_id: Option<Box<str>>,
    /// `Retry-After`.
    pub(super) after: Option<Duration>,
    /// The service's clock minus ours, seconds.
    pub(super) skew: i64,
}

impl Failure {
    /// A failure of a stage without an answer.
    pub(super) fn at(stage: Stage) -> Self {
        Self { stage, status: None, code: None, request_id: None, after: None, skew: 0 }
    }

    /// What an SDK error says.
    pub(super) fn from_sdk(error: &azure_core::Error) -> Self {
        let mut failure = Self::at(stage_of(error));
        if let ErrorKind::HttpResponse { status, error_code, raw_response } = error.kind() {
            failure.status = Some(u16::from(*status));
            failure.code = error_code.as_deref().filter(|code| is_plain(code)).map(Box::from);
            if let Some(answer) = raw_response {
                failure.read(answer);
            }
        }
        failure
    }

    fn read(&mut self, answer: &RawResponse) {
        let header = |name: &'static str| answer.headers().get_optional_str(&HeaderName::from_static(name));
        let plain = |name| header(name).filter(|value| is_plain(value)).map(Box::from);
        // Without a code the SDK gives the name of the status.
        self.code = plain("x-ms-error-code")
            .or_else(|| element(answer.body().as_ref(), "Code").filter(|code| is_plain(code)).map(Box::from));
        self.request_id = plain("x-ms-request-id");
        self.after = header("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs);
        let theirs = header("date").and_then(|date| azure_core::time::parse_rfc7231(date).ok());
        self.skew = theirs.map_or(0, |theirs| theirs.unix_timestamp() - Timestamp::now().as_second());
    }

    /// Whether the code is one of these.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// The service says that the blob is not there, and does not say that the container is not.
    pub(super) fn is_absent_blob(&self) -> bool {
        self.status == Some(404) && !self.is(&["ContainerNotFound", "ContainerBeingDeleted", "ResourceNotFound"])
    }

    /// A precondition did not hold.
    pub(super) fn is_precondition(&self) -> bool {
        let codes = ["ConditionNotMet", "TargetConditionNotMet", "SourceConditionNotMet", "BlobAlreadyExists"];
        self.is(&codes) || (self.status == Some(412) && self.code.is_none())
    }

    /// The server does not do this at all.
    pub(super) fn is_not_implemented(&self) -> bool {
        self.status == Some(501) || self.is(&["NotImplemented", "APINotImplemented", "FeatureVersionMismatch"])
    }

    /// A copy failed, perhaps because its source may not be read with what was shown. What concerns the target comes again
    /// when the content is sent.
    pub(super) fn is_refused_source(&self) -> bool {
        self.is(&["CannotVerifyCopySource", "CopyAcrossAccountsNotSupported"]) || matches!(self.status, Some(401 | 403))
    }

    /// The service asks for fewer requests.
    pub(super) fn is_throttled(&self) -> bool {
        matches!(self.status, Some(429 | 503))
            || self.is(&["ServerBusy", "OperationTimedOut", "IngressExceedsAccountLimit"])
    }

    /// What was sent of an upload is not there any more, or something else was sent to the same name.
    pub(super) fn is_lost_upload(&self) -> bool {
        self.is(&["InvalidBlockList", "InvalidBlobOrBlock", "InvalidBlockId"])
    }
}

fn stage_of(error: &azure_core::Error) -> Stage {
    match error.kind() {
        ErrorKind::HttpResponse { .. } => return Stage::Answered,
        ErrorKind::DataConversion => return Stage::Unreadable,
        ErrorKind::Credential => return Stage::Credentials,
        ErrorKind::Connection | ErrorKind::Io | ErrorKind::Other => {}
    }
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(e) = source {
        if let Some(reason) = e.downcast_ref::<Reason>() {
            return match reason {
                Reason::Refused => Stage::Refused,
                Reason::Dns => Stage::Dns,
                Reason::Certificate => Stage::Certificate,
                Reason::Tls => Stage::Tls,
                Reason::Http => Stage::Http,
                Reason::Timeout => Stage::Timeout,
                Reason::Broken => Stage::Network,
            };
        }
        source = e.source();
    }
    if matches!(error.kind(), ErrorKind::Other) { Stage::Request } else { Stage::Network }
}

/// Codes and ids are short words; anything else is not repeated.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// What a failed request was about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// What was asked.
    pub(super) op: Op,
    /// Account and container.
    pub(super) container: &'a str,
    /// The blob, named as people know it (prefix included); `None` for requests about the container.
    pub(super) blob: Option<&'a str>,
    /// Where requests go, for people.
    pub(super) endpoint: &'a str,
    /// Who asked.
    pub(super) credentials: &'a Credentials,
    /// What the shared access signature says of itself.
    pub(super) sas: Option<&'a Sas>,
}

impl About<'_> {
    /// When the shared access signature ran out, if it did.
    fn expired(&self) -> Option<Timestamp> {
        self.sas?.expires.filter(|expires| *expires <= Timestamp::now())
    }
}

/// What the caller does about a failure, and what a person reads.
pub(super) fn fold(failure: &Failure, about: About<'_>) -> Error {
    let error = Error::new(cause_of(failure, about), message(failure, about));
    match hint(failure, about) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Nothing else will work either.
const STOP: [&str; 12] = [
    "AccountIsDisabled",
    "AuthenticationFailed",
    "ContainerBeingDeleted",
    "ContainerDisabled",
    "ContainerNotFound",
    "InvalidAuthenticationInfo",
    "InvalidResourceName",
    "KeyBasedAuthenticationNotPermitted",
    "NoAuthenticationInformation",
    "PublicAccessNotPermitted",
    "AuthorizationProtocolMismatch",
    "AuthorizationSourceIPMismatch",
];

fn cause_of(failure: &Failure, about: About<'_>) -> Cause {
    let again = Cause::Transient { throttled: failure.is_throttled(), after: failure.after };
    if let Some(cause) = failure.stage.cause(again) {
        return cause;
    }
    if failure.is(&STOP) || about.expired().is_some() && matches!(failure.status, Some(401 | 403)) {
        return Cause::Stop;
    }
    if failure.is_not_implemented() {
        return Cause::Unsupported;
    }
    if failure.is_precondition() {
        return Cause::Precondition;
    }
    match failure.status {
        Some(404) if failure.is_absent_blob() => Cause::NotFound,
        Some(408 | 429 | 500..=599) => again,
        // A range that does not exist any more: the blob became shorter.
        Some(416) if about.op == Op::GetBlob => Cause::Changed,
        Some(300..=399 | 404) => Cause::Stop,
        Some(400) if failure.is(&["Md5Mismatch"]) => again,
        _ if failure.is_lost_upload() => again,
        _ => Cause::Refused,
    }
}

fn message(failure: &Failure, about: About<'_>) -> String {
    let what = match about.blob {
        Some(blob) => format!("{} {}", about.op.verb(), shown(blob)),
        None => format!("{} container {}", about.op.verb(), about.container),
    };
    let host = about.endpoint;
    let why = match failure.stage {
        Stage::Credentials => match about.credentials {
            Credentials::Key(_) => "the account key is no base64".to_owned(),
            Credentials::Sas(_) => "the shared access signature can't be used".to_owned(),
            Credentials::Identity(_) => failure.stage.words(host),
        },
        Stage::Answered => answered(failure, about),
        stage => stage.words(host),
    };
    match &failure.request_id {
        Some(id) => format!("{what}: {why} [request {id}]"),
        None => format!("{what}: {why}"),
    }
}

fn answered(failure: &Failure, about: About<'_>) -> String {
    let (host, container) = (about.endpoint, about.container);
    let status = failure.status.unwrap_or_default();
    if matches!(status, 401 | 403) {
        if let Some(expires) = about.expired() {
            return format!("the shared access signature expired at {expires}");
        }
        if let Some(starts) = about.sas.and_then(|sas| sas.starts).filter(|starts| *starts > Timestamp::now()) {
            return format!("the shared access signature holds from {starts} on, not yet");
        }
    }
    match failure.code.as_deref() {
        Some("ContainerNotFound") => format!("container {container} does not exist"),
        Some("ContainerBeingDeleted") => format!("container {container} is being deleted"),
        Some("AuthenticationFailed") => match about.credentials {
            Credentials::Sas(_) => format!("{host} takes the shared access signature for wrong ({status})"),
            Credentials::Key(_) => format!("{host} takes the account key for wrong ({status})"),
            Credentials::Identity(_) => format!("{host} refuses the identity's token ({status})"),
        },
        Some("PublicAccessNotPermitted" | "NoAuthenticationInformation") => {
            format!("{host} wants credentials and public access is not permitted ({status})")
        }
        Some("SnapshotsPresent") => "it has snapshots, which are never deleted".to_owned(),
        Some("LeaseIdMissing") => "somebody holds a lease on it".to_owned(),
        Some("InvalidBlobType") => "a page blob or an append blob is there, which can't be replaced".to_owned(),
        Some("BlobArchived" | "BlobBeingRehydrated") => "it is archived".to_owned(),
        Some("BlobImmutableDueToPolicy") => "a policy keeps it unchanged".to_owned(),
        Some("InvalidBlobOrBlock" | "InvalidBlockId") => "another program's unfinished upload is in the way".to_owned(),
        Some("InvalidBlockList") => "what was sent of it is not there any more".to_owned(),
        None | Some(_) if status == 403 => format!("{} on container {container} is not permitted", about.op.name()),
        Some(code) => format!("{host} answered {code} ({status})"),
        None => format!("{host} answered {status}"),
    }
}

fn hint(failure: &Failure, about: About<'_>) -> Option<String> {
    let text = match (failure.stage, failure.code.as_deref()) {
        (Stage::Credentials, _) if matches!(about.credentials, Credentials::Identity(Identity::Managed { .. })) => {
            "Set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or use a storage DSN; \
             without them the identity of an Azure machine over https is asked for, and there is none"
        }
        (Stage::Credentials, _) => "Copy the account key or the signature again from where it was issued",
        (Stage::Tls, _) => {
            "Check the endpoint's scheme (http:// or https://) and port; proxies in between may answer instead"
        }
        (Stage::Http, _) => "Write https:// in the endpoint if it speaks TLS; else check its port",
        (Stage::Dns | Stage::Refused | Stage::Network | Stage::Timeout, _) => {
            "Check the account's name, the endpoint and the network"
        }
        (Stage::Certificate, _) => {
            "Check the endpoint's host name; a private certificate authority must be in the system's trust store"
        }
        (_, Some("ContainerNotFound")) => "Check account and container; mediasync does not create containers",
        (_, Some("KeyBasedAuthenticationNotPermitted")) => {
            "The account refuses keys and what they sign: use an identity, or allow shared key access"
        }
        (_, Some("SnapshotsPresent")) => "Delete the snapshots first, if they are not wanted",
        (_, Some("LeaseIdMissing")) => "Break the lease, or wait until it ends",
        (_, Some("InvalidBlobType")) => "Delete that blob first, or leave it out with --exclude",
        (_, Some("BlobArchived" | "BlobBeingRehydrated")) => ONLINE,
        (_, Some("InvalidBlobOrBlock" | "InvalidBlockId")) => {
            "It goes away when it is finished, or by itself after a week without a change"
        }
        (Stage::Answered, _) if matches!(failure.status, Some(401 | 403)) => return Some(forbidden(failure, about)),
        _ => return None,
    };
    Some(text.to_owned())
}

fn forbidden(failure: &Failure, about: About<'_>) -> String {
    const SKEWED: i64 = 300;
    if about.expired().is_some() {
        return "Issue a new one".to_owned();
    }
    if failure.skew.abs() > SKEWED {
        let side = if failure.skew > 0 { "behind" } else { "ahead of" };
        let minutes = failure.skew.abs() / 60;
        return format!("This machine's clock is {minutes} minutes {side} the service's, which refuses that: set it");
    }
    if let Some(lack) = about.sas.and_then(|sas| sas.lacks(about.op)) {
        return format!("The shared access signature can't do that: {lack}");
    }
    match about.credentials {
        _ if failure.is(&["AuthorizationFailure", "AuthorizationSourceIPMismatch", "AuthorizationProtocolMismatch"]) => {
            "The account's firewall, or what the signature says of addresses and protocols, does not let this machine in; \
             emulators say the same of a wrong key"
                .to_owned()
        }
        Credentials::Key(_) if failure.is(&["AuthenticationFailed"]) => {
            "Check that the key belongs to the account (in a DSN, `/`, `+` and `=` in it must be percent-encoded)".to_owned()
        }
        Credentials::Sas(_) if failure.is(&["AuthenticationFailed"]) => {
            "Copy it again; renewing the account's key or changing a stored policy ends all signatures made with it".to_owned()
        }
        Credentials::Identity(_) => format!("Give the identity the role {} on the container", about.op.role()),
        Credentials::Key(_) | Credentials::Sas(_) => format!("Allow {} for what signs the requests", about.op.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn failure(status: u16, code: &str) -> Failure {
        Failure { status: Some(status), code: (!code.is_empty()).then(|| code.into()), ..Failure::at(Stage::Answered) }
    }

    fn folded(failure: &Failure, op: Op, credentials: &Credentials) -> Error {
        let sas = match credentials {
            Credentials::Sas(text) => Some(Sas::read(text.reveal())),
            _ => None,
        };
        let (container, endpoint) = ("acct/media", "https://acct.example");
        fold(failure, About { op, container, blob: Some("p/a"), endpoint, credentials, sas: sas.as_ref() })
    }

    #[test]
    fn failures_are_sorted_by_what_the_caller_does() {
        let key = Credentials::Key(Secret::new("a2V5"));
        let again = |throttled| Cause::Transient { throttled, after: None };
        for (status, code, op, cause) in [
            (404, "BlobNotFound", Op::GetBlob, Cause::NotFound),
            (404, "", Op::GetBlob, Cause::NotFound),
            (404, "ContainerNotFound", Op::GetBlob, Cause::Stop),
            (403, "AuthenticationFailed", Op::GetBlob, Cause::Stop),
            (403, "AuthorizationPermissionMismatch", Op::DeleteBlob, Cause::Refused),
            (409, "BlobAlreadyExists", Op::PutBlob, Cause::Precondition),
            (412, "ConditionNotMet", Op::PutBlob, Cause::Precondition),
            (412, "SourceConditionNotMet", Op::CopyBlob, Cause::Precondition),
            (412, "LeaseIdMissing", Op::PutBlob, Cause::Refused),
            (409, "SnapshotsPresent", Op::DeleteBlob, Cause::Refused),
            (409, "InvalidBlobType", Op::PutBlob, Cause::Refused),
            (416, "InvalidRange", Op::GetBlob, Cause::Changed),
            (501, "", Op::PutBlob, Cause::Unsupported),
            (500, "InternalError", Op::PutBlob, again(false)),
            (503, "ServerBusy", Op::PutBlob, again(true)),
            (429, "", Op::PutBlob, again(true)),
            (400, "Md5Mismatch", Op::PutBlob, again(false)),
            (400, "InvalidBlockList", Op::PutBlockList, again(false)),
            (400, "InvalidHeaderValue", Op::PutBlob, Cause::Refused),
            (307, "", Op::GetBlob, Cause::Stop),
        ] {
            assert_eq!(folded(&failure(status, code), op, &key).cause, cause, "{status} {code}");
        }
    }

    #[test]
    fn refusals_name_the_way_out() {
        let sas = |text: &str| Credentials::Sas(Secret::new(text.to_owned()));
        let refused = failure(403, "AuthenticationFailed");
        let expired = folded(&refused, Op::PutBlob, &sas("se=2020-01-02T03:04:05Z&sp=rwdl&sig=geheim"));
        assert_eq!(expired.message, "store p/a: the shared access signature expired at 2020-01-02T03:04:05Z");
        assert_eq!((expired.cause, expired.hint.as_deref()), (Cause::Stop, Some("Issue a new one")));
        let mismatch = failure(403, "AuthorizationPermissionMismatch");
        let lacking = folded(&mismatch, Op::DeleteBlob, &sas("se=2090-01-01&sp=rl&sig=geheim"));
        assert_eq!(
            lacking.hint.unwrap(),
            "The shared access signature can't do that: its permissions (sp=rl) lack `d`"
        );
        let skewed = Failure { skew: 1200, ..refused.clone() };
        let late = folded(&skewed, Op::PutBlob, &Credentials::Key(Secret::new("a2V5")));
        assert!(late.hint.unwrap().contains("clock is 20 minutes behind"));
        let identity = Credentials::Identity(Identity::Managed { client_id: None });
        let role = folded(&mismatch, Op::PutBlob, &identity).hint.unwrap();
        assert!(role.contains("Storage Blob Data Contributor"), "{role}");
        for error in [folded(&refused, Op::PutBlob, &sas("sp=r&sig=geheim")), expired] {
            assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
        }
    }
}
