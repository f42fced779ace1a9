//! What a failed request to S3 means, told without anything that was signed or sent.

use std::error::Error as StdError;

use lakehouse_core::error::{Error, ErrorKind};
use object_store::path::Path;

use super::connector::FOREIGN_ANSWER;

/// What is asked of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
    Delete,
    List,
    Copy,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "reading",
            Self::Write => "writing",
            Self::Delete => "deleting",
            Self::List => "listing",
            Self::Copy => "copying",
        }
    }

    /// What a refusal is answered with.
    const fn rights(self) -> &'static str {
        match self {
            Self::Read => {
                "; allow the identity s3:GetObject there, and kms:Decrypt where a key of its own \
                 encrypts it; without s3:ListBucket on the bucket S3 answers so for a missing \
                 object too; a bucket of another account must allow it as well"
            }
            Self::Write => {
                "; allow the identity s3:PutObject there, and kms:GenerateDataKey and kms:Decrypt \
                 where a key of its own encrypts it; a bucket of another account must allow it as \
                 well"
            }
            Self::Delete => {
                "; allow the identity s3:DeleteObject there; a bucket of another account must allow \
                 it as well"
            }
            Self::List => {
                "; allow the identity s3:ListBucket on the bucket; a bucket of another account must \
                 allow it as well"
            }
            Self::Copy => {
                "; allow the identity s3:GetObject and s3:PutObject there; a bucket of another \
                 account must allow it as well"
            }
        }
    }
}

/// A request that failed, as messages name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) operation: Operation,
    pub(super) bucket: &'a str,
    pub(super) endpoint: &'a str,
    /// The object; the bucket as a whole without one.
    pub(super) path: Option<&'a Path>,
}

/// What went wrong, as far as the request's maker can do something about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The bucket is in another region than the one that was asked.
    OtherRegion,
    /// The request is a bad one, of another region perhaps: an answer without a body does not say.
    Unsaid,
    /// Something to tell.
    Told,
}

/// Which of them an error is.
pub(super) fn cause(error: &object_store::Error) -> Cause {
    let text = chain_text(error);
    let is_elsewhere = text.contains("Received redirect without LOCATION")
        || matches!(
            code(&text),
            Some(
                "PermanentRedirect"
                    | "AuthorizationHeaderMalformed"
                    | "TemporaryRedirect"
                    | "IllegalLocationConstraintException"
            )
        );
    let is_bare = text.contains("Error performing HEAD ") && text.contains("status code: 400 ");
    match (is_elsewhere, is_bare) {
        (true, _) => Cause::OtherRegion,
        (false, true) => Cause::Unsaid,
        (false, false) => Cause::Told,
    }
}

/// The same error in words of ours, in a form that keeps what callers ask of it: whether the object
/// exists.
pub(super) fn told(error: object_store::Error, asked: Asked<'_>) -> object_store::Error {
    use object_store::Error as Store;
    let Asked {
        bucket, endpoint, ..
    } = asked;
    let operation = asked.operation.as_str();
    let text = chain_text(&error);
    let (code, message) = match refused_deletion(&text, asked.path) {
        Some((code, message)) => (Some(code), Some(message)),
        None => (code(&text), tag(&text, "Message")),
    };
    let said = match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => plain(&error),
    };
    let path = match &error {
        _ if asked.path.is_some() => asked.path.map_or_else(String::new, Path::to_string),
        Store::NotFound { path, .. }
        | Store::AlreadyExists { path, .. }
        | Store::Precondition { path, .. }
        | Store::NotModified { path, .. }
        | Store::PermissionDenied { path, .. }
        | Store::Unauthenticated { path, .. } => path.clone(),
        _ => String::new(),
    };
    let source = said.clone().into();
    match error {
        Store::NotFound { .. } if !matches!(code, Some("NoSuchBucket" | "NoSuchUpload")) => {
            Store::NotFound { path, source }
        }
        // Another request for the same object is on its way, perhaps an earlier one of this writer.
        Store::AlreadyExists { .. } if code == Some("ConditionalRequestConflict") => {
            wrapped(Error::new(
                ErrorKind::Unavailable,
                format!("{operation} of \"s3://{bucket}/{path}\" failed at {endpoint}: {said}"),
            ))
        }
        Store::AlreadyExists { .. } => Store::AlreadyExists { path, source },
        Store::Precondition { .. } => Store::Precondition { path, source },
        Store::NotModified { .. } => Store::NotModified { path, source },
        Store::InvalidPath { .. } | Store::NotSupported { .. } | Store::NotImplemented { .. } => {
            error
        }
        other => match ours(other) {
            Ok(ours) => wrapped(ours),
            Err(other) => {
                let (kind, advice) = meaning(code, &other, &text, asked.operation);
                let place = match path.is_empty() {
                    true => format!("bucket {bucket:?}"),
                    false => format!("\"s3://{bucket}/{path}\""),
                };
                wrapped(Error::new(
                    kind,
                    format!("{operation} of {place} failed at {endpoint}: {said}{advice}"),
                ))
            }
        },
    }
}

/// An error of ours as the store's.
pub(super) fn wrapped(error: Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: error.into(),
    }
}

/// An error of ours that is the whole of a store's, such as that of missing credentials.
fn ours(error: object_store::Error) -> Result<Error, object_store::Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(ours) = current.downcast_ref::<Error>() {
            return Ok(Error::new(ours.kind(), ours.message()));
        }
        cause = current.source();
    }
    Err(error)
}

fn meaning(
    code: Option<&str>,
    error: &object_store::Error,
    text: &str,
    operation: Operation,
) -> (ErrorKind, &'static str) {
    use object_store::Error as Store;
    match code {
        Some("AccessDenied" | "AllAccessDisabled") => {
            (ErrorKind::PermissionDenied, operation.rights())
        }
        Some("NoSuchBucket") => (
            ErrorKind::NotFound,
            "; check the bucket's name and the account",
        ),
        Some("NoSuchUpload") => (
            ErrorKind::Unavailable,
            "; the upload was thrown away meanwhile, as by a lifecycle rule: write the file again",
        ),
        Some("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired") => (
            ErrorKind::PermissionDenied,
            "; the credentials have expired: sign in again or renew them",
        ),
        Some("RequestTimeTooSkewed" | "RequestExpired") => (
            ErrorKind::PermissionDenied,
            "; this machine's clock differs from AWS': set it",
        ),
        Some("InvalidAccessKeyId" | "InvalidToken") => (
            ErrorKind::PermissionDenied,
            "; the credentials are not known there: check profile, region and endpoint",
        ),
        Some("SignatureDoesNotMatch") => (
            ErrorKind::PermissionDenied,
            "; the secret key does not fit the access key, or this machine's clock is wrong",
        ),
        Some("SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout") => {
            (ErrorKind::Unavailable, "; try again later")
        }
        Some(code) if code.starts_with("KMS") => (
            ErrorKind::PermissionDenied,
            "; the identity needs the use of the key, and the key must be enabled",
        ),
        _ if matches!(
            error,
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. }
        ) =>
        {
            (ErrorKind::PermissionDenied, operation.rights())
        }
        _ if text.contains(FOREIGN_ANSWER) => (
            ErrorKind::Unavailable,
            ", as a proxy or a sign-in page would give one: check the endpoint",
        ),
        _ => (
            ErrorKind::Unavailable,
            "; check endpoint, region and network",
        ),
    }
}

/// An error and its causes as one text. It may hold what a request was signed with: to be looked
/// into, never to be shown.
fn chain_text(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = StdError::source(error);
    while let Some(next) = cause {
        text = format!("{text}\n{next}");
        cause = next.source();
    }
    text
}

/// What an error without a code says that may be shown: the innermost cause up to the first body.
fn plain(error: &object_store::Error) -> String {
    let mut current: &(dyn StdError + 'static) = error;
    while let Some(next) = current.source() {
        current = next;
    }
    let text = current.to_string();
    let end = text.find('<').unwrap_or(text.len());
    let line = text[..end].lines().next().unwrap_or_default().trim();
    match line.is_empty() {
        true => "no answer of S3".to_owned(),
        false => line.trim_end_matches(':').to_owned(),
    }
}

fn code(text: &str) -> Option<&str> {
    tag(text, "Code")
}

/// Code and message of one object's refusal in the answer to a request that deletes several: the
/// client gives them in words of its own.
fn refused_deletion<'a>(text: &'a str, path: Option<&Path>) -> Option<(&'a str, &'a str)> {
    let (_, said) = text.split_once("DeleteObjects request failed for key ")?;
    let (said, code) = said.lines().next()?.rsplit_once(" (code: ")?;
    let message = path.and_then(|path| said.strip_prefix(path.as_ref())?.strip_prefix(": "));
    Some((code.strip_suffix(')')?, message.unwrap_or(said)))
}

fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let start = text.find(&open)? + open.len();
    let length = text[start..].find(&close)?;
    Some(&text[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> object_store::Error {
        object_store::Error::PermissionDenied {
            path: "a/b".to_owned(),
            source: format!("Server returned non-2xx status code: 403: {body}").into(),
        }
    }

    fn told(error: object_store::Error, operation: Operation) -> object_store::Error {
        let asked = Asked {
            operation,
            bucket: "lake",
            endpoint: "S3",
            path: None,
        };
        super::told(error, asked)
    }

    #[test]
    fn only_code_and_message_of_an_answer_are_told() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>no fit</Message>\
                    <AWSAccessKeyId>AKIAHUSH</AWSAccessKeyId><StringToSign>hush</StringToSign>\
                    </Error>";
        let error = Error::from(told(refused(body), Operation::Read));
        let shown = format!("{error} {error:?}");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(shown.contains("SignatureDoesNotMatch: no fit"), "{shown}");
        assert!(shown.contains("\"s3://lake/a/b\""), "{shown}");
        assert!(
            !shown.contains("AKIAHUSH") && !shown.contains("hush"),
            "{shown}"
        );
    }

    #[test]
    fn a_conflict_of_two_writers_is_no_finished_object() {
        let error = |code: &str| object_store::Error::AlreadyExists {
            path: "a".to_owned(),
            source: format!("409: <Code>{code}</Code>").into(),
        };
        let taken = told(error("PreconditionFailed"), Operation::Write);
        assert!(matches!(taken, object_store::Error::AlreadyExists { .. }));
        let conflict = told(error("ConditionalRequestConflict"), Operation::Write);
        assert_eq!(Error::from(conflict).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn buckets_that_are_elsewhere_are_told_from_refusals() {
        let body = "<Error><Code>PermanentRedirect</Code></Error>";
        assert_eq!(cause(&refused(body)), Cause::OtherRegion);
        let body = "<Error><Code>AccessDenied</Code></Error>";
        assert_eq!(cause(&refused(body)), Cause::Told);
    }

    #[test]
    fn a_refused_deletion_is_told_from_a_lost_answer() {
        let path = Path::from("a/b: c");
        let said = |code: &str| {
            let said = format!("DeleteObjects request failed for key a/b: c: no (code: {code})");
            let asked = Asked {
                operation: Operation::Delete,
                bucket: "lake",
                endpoint: "S3",
                path: Some(&path),
            };
            let error = object_store::Error::Generic {
                store: "S3",
                source: said.into(),
            };
            Error::from(super::told(error, asked))
        };
        let denied = said("AccessDenied");
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
        let text = denied.to_string();
        assert!(
            text.contains("\"s3://lake/a/b: c\"") && text.contains("s3:DeleteObject"),
            "{text}"
        );
        assert!(text.contains("AccessDenied: no;"), "{text}");
        assert_eq!(said("SlowDown").kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn missing_objects_stay_missing_objects_and_missing_buckets_are_named() {
        let missing = |code: &str| object_store::Error::NotFound {
            path: "a".to_owned(),
            source: format!("404: <Code>{code}</Code>").into(),
        };
        let key = told(missing("NoSuchKey"), Operation::Read);
        assert!(matches!(key, object_store::Error::NotFound { .. }));
        let bucket = Error::from(told(missing("NoSuchBucket"), Operation::Read));
        assert_eq!(bucket.kind(), ErrorKind::NotFound);
        assert!(bucket.to_string().contains("check the bucket's name"));
    }
}
