//! What a failed call to AWS means: whether it may have been done, whether to ask again, and what
//! to tell.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lakehouse_core::error::{Error, ErrorKind};

use crate::credentials;

/// Whether the server may have done what a failed call asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Certainly not.
    None,
    /// Perhaps: the answer was lost, or says nothing about it.
    Possible,
}

/// A failed call.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) effect: Effect,
    /// Whether the same call may succeed a little later.
    pub(crate) is_passing: bool,
    /// AWS' code, such as `EntityNotFoundException`.
    pub(crate) code: Option<String>,
}

impl Failure {
    /// Of a call that was never sent.
    pub(crate) fn unsent(error: Error) -> Self {
        Self {
            error,
            effect: Effect::None,
            is_passing: false,
            code: None,
        }
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether somebody changed the object since it was read.
    pub(crate) fn is_stale(&self) -> bool {
        self.is("ConcurrentModificationException") || self.is("VersionMismatchException")
    }
}

/// Codes that say "slower": nothing was done, whatever the HTTP status is.
const THROTTLED: [&str; 13] = [
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestThrottledException",
    "RequestThrottled",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "TransactionInProgressException",
    "SlowDown",
    "EC2ThrottledException",
];

/// Codes of signatures that do not fit.
const SIGNATURE_REFUSED: [&str; 3] = [
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
];

/// Codes of failures on the server's side.
const SERVER_FAILED: [&str; 6] = [
    "InternalServiceException",
    "InternalFailure",
    "InternalError",
    "InternalServerException",
    "ServiceUnavailableException",
    "OperationTimeoutException",
];

/// What `error`, the answer to `operation` about `what` at `place`, means.
pub(crate) fn failure<E>(
    operation: &str,
    what: &str,
    place: &str,
    error: &SdkError<E, HttpResponse>,
) -> Failure
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let call = format!("{operation} of {what}");
    let lost = |text: String| Failure {
        error: Error::new(ErrorKind::Unavailable, text),
        effect: Effect::Possible,
        is_passing: true,
        code: None,
    };
    match error {
        SdkError::ServiceError(answer) => {
            let (raw, answer) = (answer.raw(), answer.err());
            said(
                &call,
                place,
                raw.status().as_u16(),
                answer.code(),
                answer.message(),
            )
        }
        SdkError::ConstructionFailure(_) => unsent(&call, error),
        SdkError::TimeoutError(_) => lost(format!(
            "{call} was not answered in time by {place}; raise call_ms_max if it is always so"
        )),
        SdkError::DispatchFailure(_) if missing_credentials(error).is_some() => {
            unsent(&call, error)
        }
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            lost(foreign_answer(&call, place, status))
        }
        _ => lost(format!(
            "{call} failed: the connection to {place} cannot be made or was lost ({}); check \
             endpoint, region and network",
            innermost(error)
        )),
    }
}

/// An answer of success that is not AWS'.
pub(crate) fn unacknowledged(operation: &str, what: &str, place: &str) -> Failure {
    let call = format!("{operation} of {what}");
    Failure {
        error: Error::new(ErrorKind::Unavailable, foreign_answer(&call, place, 200)),
        effect: Effect::Possible,
        is_passing: true,
        code: None,
    }
}

/// A call that was never sent.
fn unsent(call: &str, error: &(dyn StdError + 'static)) -> Failure {
    let error = match missing_credentials(error) {
        Some(text) => Error::new(
            ErrorKind::PermissionDenied,
            format!("{call} failed: {text}"),
        ),
        None => Error::new(
            ErrorKind::InvalidInput,
            format!(
                "{call} could not be asked: {}; is a region set?",
                innermost(error)
            ),
        ),
    };
    Failure::unsent(error)
}

/// A call that was answered with an error.
pub(crate) fn said(
    call: &str,
    place: &str,
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
) -> Failure {
    // About signatures AWS tells what was signed, the session token among it.
    let is_told = code.is_none_or(|code| !SIGNATURE_REFUSED.contains(&code));
    let message = message.filter(|_| is_told).unwrap_or("no message");
    let Some(code) = code else {
        let is_passing = status == 429 || status >= 500;
        return Failure {
            error: Error::new(ErrorKind::Unavailable, foreign_answer(call, place, status)),
            effect: match status {
                429 => Effect::None,
                _ => Effect::Possible,
            },
            is_passing,
            code: None,
        };
    };
    let is_throttled = THROTTLED.contains(&code) || status == 429;
    let has_failed = !is_throttled && (SERVER_FAILED.contains(&code) || status >= 500);
    let (kind, advice) = meaning(code, is_throttled || has_failed);
    Failure {
        error: Error::new(kind, format!("{call} failed: {code}: {message}{advice}")),
        effect: match has_failed {
            true => Effect::Possible,
            false => Effect::None,
        },
        is_passing: is_throttled || has_failed,
        code: Some(code.to_owned()),
    }
}

/// What the caller should do about a code.
fn meaning(code: &str, is_passing: bool) -> (ErrorKind, &'static str) {
    match code {
        _ if is_passing => (ErrorKind::Unavailable, ""),
        "EntityNotFoundException" => (ErrorKind::NotFound, ""),
        "AlreadyExistsException" => (ErrorKind::AlreadyExists, ""),
        "ConcurrentModificationException" | "VersionMismatchException" => (ErrorKind::Conflict, ""),
        "AccessDeniedException" | "AccessDenied" | "GlueEncryptionException" => (
            ErrorKind::PermissionDenied,
            "; allow the action to the identity in IAM, in Lake Formation where it governs the \
             table, and in the key's policy where the catalog is encrypted",
        ),
        "ExpiredTokenException" | "ExpiredToken" => (
            ErrorKind::PermissionDenied,
            "; the credentials have expired: sign in again or renew them",
        ),
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => (
            ErrorKind::PermissionDenied,
            "; this machine's clock differs from AWS': set it",
        ),
        "InvalidSignatureException" | "SignatureDoesNotMatch" => (
            ErrorKind::PermissionDenied,
            "; the secret key does not fit the access key, or this machine's clock is wrong",
        ),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => (
            ErrorKind::PermissionDenied,
            "; the credentials are not known there: check profile, region and endpoint",
        ),
        "ResourceNumberLimitExceededException" => (
            ErrorKind::ResourcesExhausted,
            "; a quota of Glue is used up: where it is the number of table versions, delete old \
             ones (commits with skip_archive add none)",
        ),
        "ResourceNotReadyException" => (ErrorKind::Unavailable, "; try again later"),
        _ => (ErrorKind::InvalidInput, ""),
    }
}

fn foreign_answer(call: &str, place: &str, status: u16) -> String {
    format!(
        "{call}: {place} answered with HTTP {status} and something that is no answer of AWS, as a \
         proxy, a sign-in page or another server would; check the endpoint"
    )
}

/// What is to be said of credentials that could not be had, when that is the cause.
fn missing_credentials(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if current.is::<CredentialsError>() {
            return Some(credentials::advice(current));
        }
        cause = current.source();
    }
    None
}

/// The first cause, which says most.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut current = error;
    while let Some(next) = current.source() {
        current = next;
    }
    current.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, code: &str) -> Failure {
        said("GetTable of a.b", "glue", status, Some(code), Some("why"))
    }

    #[test]
    fn j04_throttling_with_status_400_is_passing_and_did_nothing() {
        for (status, code) in [
            (400, "ThrottlingException"),
            (429, "TooManyRequestsException"),
            (503, "SlowDown"),
        ] {
            let failure = answered(status, code);
            assert!(failure.is_passing, "{code}");
            assert_eq!(failure.effect, Effect::None, "{code}");
            assert_eq!(failure.error.kind(), ErrorKind::Unavailable);
        }
    }

    #[test]
    fn c01_failures_of_the_server_may_have_been_done() {
        for (status, code) in [
            (500, "InternalServiceException"),
            (400, "OperationTimeoutException"),
            (504, "SomethingNew"),
        ] {
            assert_eq!(answered(status, code).effect, Effect::Possible, "{code}");
        }
        let html = said("GetTable of a.b", "http://x", 502, None, None);
        assert_eq!(html.effect, Effect::Possible);
        assert!(html.error.to_string().contains("check the endpoint"));
    }

    #[test]
    fn what_was_signed_is_not_told() {
        let told = "The Canonical String should have been 'x-amz-security-token:HUSH'";
        let code = Some("InvalidSignatureException");
        let failure = said("GetTable of a.b", "glue", 403, code, Some(told));
        assert!(!format!("{:?}", failure.error).contains("HUSH"));
        assert!(
            failure
                .error
                .to_string()
                .contains("secret key does not fit")
        );
    }

    #[test]
    fn refusals_say_what_to_do() {
        let denied = answered(400, "AccessDeniedException");
        assert_eq!(denied.error.kind(), ErrorKind::PermissionDenied);
        assert!(denied.error.to_string().contains("Lake Formation"));
        assert!(!denied.is_passing);
        let expired = answered(400, "ExpiredTokenException");
        assert!(expired.error.to_string().contains("sign in again"));
        assert!(answered(400, "ConcurrentModificationException").is_stale());
        let unknown = answered(400, "InvalidInputException");
        assert_eq!(unknown.error.kind(), ErrorKind::InvalidInput);
    }
}
