//! Answers that no server gave: refusals in the form that the service's clients read.

use super::message::Answer;
use super::request::Request;

/// A page that a network puts in the way until somebody logs in.
const PORTAL: &str = "<!DOCTYPE html><html><head><title>Welcome</title></head>\
    <body><h1>Please log in to use this network</h1></body></html>\n";

/// The forms in which services of AWS say what went wrong.
enum Form {
    /// S3.
    RestXml,
    /// Services that take forms, such as STS and IAM.
    QueryXml,
    /// All others.
    Json,
}

/// Too many requests: with the service's own status, or with 429.
pub(super) fn throttled(request: &Request, as_429: bool) -> Answer {
    let (status, code, message) = match form(request) {
        Form::RestXml => (503, "SlowDown", "Please reduce your request rate."),
        Form::QueryXml => (400, "Throttling", "Rate exceeded"),
        Form::Json => (400, "ThrottlingException", "Rate exceeded"),
    };
    refusal(request, if as_429 { 429 } else { status }, code, message)
}

/// The service has no time.
pub(super) fn unavailable(request: &Request) -> Answer {
    let code = match form(request) {
        Form::Json => "ServiceUnavailableException",
        Form::RestXml | Form::QueryXml => "ServiceUnavailable",
    };
    refusal(request, 503, code, "Please try again.")
}

/// Who asks may not.
pub(super) fn denied(request: &Request) -> Answer {
    let (status, code) = match form(request) {
        Form::Json => (400, "AccessDeniedException"),
        Form::RestXml | Form::QueryXml => (403, "AccessDenied"),
    };
    let (service, operation) = (&request.service, &request.operation);
    let message = format!("not authorized to perform: {service}:{operation}");
    refusal(request, status, code, &message)
}

/// The service has failed, and does not say at what.
pub(super) fn failed(request: &Request) -> Answer {
    let code = match form(request) {
        Form::RestXml => "InternalError",
        Form::QueryXml => "InternalFailure",
        Form::Json => "InternalServiceException",
    };
    refusal(
        request,
        500,
        code,
        "We encountered an internal error. Please try again.",
    )
}

/// A page for people, with the status of success.
pub(super) fn html() -> Answer {
    Answer::new(
        200,
        "OK",
        &[("Content-Type", "text/html; charset=utf-8")],
        PORTAL,
    )
}

/// The server behind could not be asked, or its answer not read.
pub(super) fn bad_gateway(error: &std::io::Error) -> Answer {
    let body = format!("fault proxy: the server behind gave no answer: {error}\n");
    Answer::new(502, "Bad Gateway", &[("Content-Type", "text/plain")], &body)
}

fn form(request: &Request) -> Form {
    let form = request.head.value("content-type").unwrap_or_default();
    if request.service == "s3" {
        Form::RestXml
    } else if form.starts_with("application/x-www-form-urlencoded") {
        Form::QueryXml
    } else {
        Form::Json
    }
}

fn refusal(request: &Request, status: u16, code: &str, message: &str) -> Answer {
    let reason = match status {
        400 => "Bad Request",
        403 => "Forbidden",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        _ => "Service Unavailable",
    };
    let error = format!("<Code>{code}</Code><Message>{message}</Message>");
    let declaration = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
    match form(request) {
        Form::RestXml => {
            let body =
                format!("{declaration}\n<Error>{error}<RequestId>fault-proxy</RequestId></Error>");
            Answer::new(
                status,
                reason,
                &[("Content-Type", "application/xml")],
                &body,
            )
        }
        Form::QueryXml => {
            let body =
                format!("{declaration}\n<ErrorResponse><Error>{error}</Error></ErrorResponse>");
            Answer::new(status, reason, &[("Content-Type", "text/xml")], &body)
        }
        Form::Json => {
            let headers = [
                ("Content-Type", "application/x-amz-json-1.1"),
                ("x-amzn-errortype", code),
            ];
            let body = format!(r#"{{"__type":"{code}","message":"{message}"}}"#);
            Answer::new(status, reason, &headers, &body)
        }
    }
}
