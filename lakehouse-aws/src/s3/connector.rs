//! Connections whose answers are looked at before anybody takes them for S3's.

use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, Method, StatusCode};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::runtime;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

use crate::chain::CONNECT_MS_MAX;

/// What an answer is refused with that is not one of S3.
pub(super) const FOREIGN_ANSWER: &str = "the answer is none of S3";

/// Headers of which each answer of S3, and of stores that speak its protocol, has one.
const OF_S3: [&str; 3] = ["x-amz-request-id", "x-amz-id-2", "x-amz-bucket-region"];

/// Connections of which a proxy's or sign-in page's answer is an error and no object. The roots of
/// TLS are read from files: once for all buckets, and away from the threads that serve queries.
///
/// # Errors
/// When no connections can be made on this machine.
pub(super) async fn connect(call_ms_max: u64, is_plain: bool) -> Result<HttpClient> {
    runtime::blocking(move || connected(call_ms_max, is_plain)).await?
}

/// As [`connect`], on this thread.
pub(super) fn connected(call_ms_max: u64, is_plain: bool) -> Result<HttpClient> {
    let options = ClientOptions::new()
        .with_connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
        .with_timeout(Duration::from_millis(call_ms_max))
        .with_allow_http(is_plain);
    let client = ReqwestConnector::default().connect(&options);
    let client = client.map_err(|error| {
        let said = format!("connections to S3 cannot be made on this machine: {error}");
        Error::new(ErrorKind::Unavailable, said)
    })?;
    Ok(HttpClient::new(Checked { client }))
}

/// Gives each bucket's client the same connections.
#[derive(Debug)]
pub(super) struct Connected(pub(super) HttpClient);

impl HttpConnector for Connected {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct Checked {
    client: HttpClient,
}

#[async_trait]
impl HttpService for Checked {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_head = request.method() == Method::HEAD;
        let answer = self.client.execute(request).await?;
        let (status, headers) = (answer.status(), answer.headers());
        let is_foreign = match status.is_success() {
            true => is_foreign(status, headers),
            // Without a body nobody has to say of what kind it is.
            false => !is_head && is_foreign_refusal(status, headers),
        };
        if is_foreign {
            let cause = std::io::Error::other(FOREIGN_ANSWER);
            return Err(HttpError::new(HttpErrorKind::Decode, cause));
        }
        Ok(answer)
    }
}

fn is_foreign(status: StatusCode, headers: &HeaderMap) -> bool {
    let has = |name: &str| headers.contains_key(name);
    if status == StatusCode::NO_CONTENT || OF_S3.into_iter().any(has) || has(ETAG.as_str()) {
        return false;
    }
    // Lists and the like are read as XML, which fails by itself for what is none.
    !kind(headers).contains("xml") || is_page(headers)
}

/// Whether a page for people says that something is not there or not allowed: taken for S3's, it
/// would be an object that is missing. What passes by itself is asked again.
fn is_foreign_refusal(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_passing = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    );
    let is_of_s3 = OF_S3.into_iter().any(|name| headers.contains_key(name));
    status.is_client_error() && !is_passing && !is_of_s3 && is_page(headers)
}

fn is_page(headers: &HeaderMap) -> bool {
    kind(headers).contains("html")
}

fn kind(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn answers_of_s3_are_told_from_pages() {
        for ours in [
            headers(&[("x-amz-request-id", "1"), ("content-type", "text/html")]),
            headers(&[("etag", "\"1\"")]),
            headers(&[("content-type", "application/xml")]),
        ] {
            assert!(!is_foreign(StatusCode::OK, &ours), "{ours:?}");
        }
        assert!(!is_foreign(StatusCode::NO_CONTENT, &headers(&[])));
        for foreign in [
            headers(&[("content-type", "text/html; charset=utf-8")]),
            headers(&[("content-type", "application/xhtml+xml")]),
            headers(&[]),
        ] {
            assert!(is_foreign(StatusCode::OK, &foreign), "{foreign:?}");
        }
        let page = headers(&[("content-type", "text/html")]);
        assert!(is_foreign_refusal(StatusCode::NOT_FOUND, &page));
        assert!(is_foreign_refusal(StatusCode::FORBIDDEN, &page));
        assert!(!is_foreign_refusal(StatusCode::TOO_MANY_REQUESTS, &page));
        assert!(!is_foreign_refusal(StatusCode::BAD_GATEWAY, &page));
        for ours in [
            headers(&[("x-amz-request-id", "1"), ("content-type", "text/html")]),
            headers(&[("content-type", "application/xml")]),
            headers(&[]),
        ] {
            assert!(
                !is_foreign_refusal(StatusCode::NOT_FOUND, &ours),
                "{ours:?}"
            );
        }
    }
}
