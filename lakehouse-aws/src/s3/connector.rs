//! Connections whose answers are looked at before anybody takes them for S3's.

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, StatusCode};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{ClientOptions, Result};

/// What an answer is refused with that is not one of S3.
pub(super) const FOREIGN_ANSWER: &str = "the answer is none of S3";

/// Headers of which each answer of S3, and of stores that speak its protocol, has one.
const OF_S3: [&str; 3] = ["x-amz-request-id", "x-amz-id-2", "x-amz-bucket-region"];

/// Makes connections of which a proxy's or sign-in page's answer is an error and no object.
#[derive(Debug, Default)]
pub(super) struct CheckedConnector {
    connector: ReqwestConnector,
}

impl HttpConnector for CheckedConnector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let client = self.connector.connect(options)?;
        Ok(HttpClient::new(Checked { client }))
    }
}

#[derive(Debug)]
struct Checked {
    client: HttpClient,
}

#[async_trait]
impl HttpService for Checked {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.client.execute(request).await?;
        if answer.status().is_success() && is_foreign(answer.status(), answer.headers()) {
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
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    !kind.is_some_and(|kind| kind.contains("xml") && !kind.contains("html"))
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
    }
}
