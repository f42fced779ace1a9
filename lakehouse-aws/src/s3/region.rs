//! In which region a bucket is, as the bucket itself says.

use http::{HeaderMap, Method};
use lakehouse_core::error::{Error, ErrorKind, Result};
use object_store::client::{HttpRequest, HttpRequestBody};

use super::access::Access;

const REGION: &str = "x-amz-bucket-region";

/// Asks for a bucket's region. S3 answers everybody, with or without permission, from wherever it is
/// asked.
///
/// # Errors
/// When there is no such bucket, or the endpoint does not say.
pub(super) async fn region_of(bucket: &str, access: &Access) -> Result<String> {
    // Any region of a partition knows its partition's buckets.
    let base = access.endpoint_in(access.first_region());
    let unasked = |cause: String| {
        Error::new(
            ErrorKind::Unavailable,
            format!("the region of bucket {bucket:?} cannot be found out at {base}: {cause}"),
        )
    };
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = Method::HEAD;
    let url = format!("{base}/{bucket}");
    *request.uri_mut() = url
        .parse()
        .map_err(|_| unasked("its name makes no URL".to_owned()))?;
    let answer = access.http.execute(request).await;
    let answer = answer.map_err(|error| unasked(error.to_string()))?;
    if let Some(region) = stated(answer.headers()) {
        return Ok(region);
    }
    match answer.status().as_u16() {
        404 => Err(Error::not_found(format!(
            "bucket {bucket:?} does not exist"
        ))),
        status => Err(unasked(format!(
            "HTTP {status} without a region; set the region in the settings"
        ))),
    }
}

fn stated(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(REGION)?.to_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}
