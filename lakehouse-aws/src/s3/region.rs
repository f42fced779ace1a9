//! In which region a bucket is, as the bucket itself says.

use http::{HeaderMap, Method};
use lakehouse_core::error::{Error, ErrorKind, Result};
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};

use super::access::Access;

const REGION: &str = "x-amz-bucket-region";

/// Asks for a bucket's region. S3 answers everybody, with or without permission, from wherever it is
/// asked.
///
/// # Errors
/// When there is no such bucket, or the endpoint does not say.
pub(super) async fn region_of(bucket: &str, access: &Access) -> Result<String> {
    let base = match &access.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => regional_endpoint(access.first_region()),
    };
    let unasked = |cause: String| {
        Error::new(
            ErrorKind::Unavailable,
            format!("the region of bucket {bucket:?} cannot be found out at {base}: {cause}"),
        )
    };
    let client = ReqwestConnector::default()
        .connect(&access.client_options())
        .map_err(|error| unasked(error.to_string()))?;
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = Method::HEAD;
    let url = format!("{base}/{bucket}");
    *request.uri_mut() = url
        .parse()
        .map_err(|_| unasked("its name makes no URL".to_owned()))?;
    let answer = client.execute(request).await;
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

/// Any region of a partition knows its partition's buckets.
fn regional_endpoint(region: &str) -> String {
    let suffix = match region.starts_with("cn-") {
        true => ".cn",
        false => "",
    };
    format!("https://s3.{region}.amazonaws.com{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_have_endpoints_of_their_own() {
        assert_eq!(
            regional_endpoint("eu-central-1"),
            "https://s3.eu-central-1.amazonaws.com"
        );
        assert_eq!(
            regional_endpoint("cn-north-1"),
            "https://s3.cn-north-1.amazonaws.com.cn"
        );
    }
}
