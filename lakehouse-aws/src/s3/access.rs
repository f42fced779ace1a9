//! How the objects of a bucket are reached.

use std::sync::Arc;
use std::time::Duration;

use lakehouse_core::clock::Clock;
use lakehouse_core::error::{Error, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::HttpClient;
use object_store::{BackoffConfig, RetryConfig};

use super::connector::Connected;
use crate::chain::aws_endpoint;
use crate::credentials::RenewedCredentials;

/// Retries of a request after throttling, lost answers and failures of the server.
const RETRIES_MAX: usize = 10;
const PAUSE_MS_MIN: u64 = 100;
const PAUSE_MS_MAX: u64 = 15_000;
/// No retry begins later than this after the request was first sent.
const RETRIED_MS_MAX: u64 = 180_000;
/// Where the region of a bucket is asked for when none is known.
const REGION_OF_LAST_RESORT: &str = "us-east-1";

/// Credentials, endpoint and habits of one kind of access.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) credentials: Arc<RenewedCredentials>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) path_style: bool,
    pub(super) kms_key: Option<String>,
    pub(super) requester_pays: bool,
    /// The connections of all buckets that are reached so.
    pub(super) http: HttpClient,
    pub(super) retry: RetryConfig,
}

/// How often and how long a request is sent again.
pub(super) fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(PAUSE_MS_MIN),
            max_backoff: Duration::from_millis(PAUSE_MS_MAX),
            base: 2.,
        },
        max_retries: RETRIES_MAX,
        retry_timeout: Duration::from_millis(RETRIED_MS_MAX),
    }
}

impl Access {
    /// The region to begin with.
    pub(super) fn first_region(&self) -> &str {
        self.region.as_deref().unwrap_or(REGION_OF_LAST_RESORT)
    }

    /// The endpoint as messages name it.
    pub(super) fn shown_endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("S3")
    }

    /// The URL of S3 for a region.
    pub(super) fn endpoint_in(&self, region: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => aws_endpoint("s3", region),
        }
    }

    /// A client of a bucket in `region`.
    ///
    /// # Errors
    /// For a bucket's name or an endpoint that no request can be made of.
    pub(super) fn client(&self, bucket: &str, region: &str) -> Result<AmazonS3> {
        let base = self.endpoint_in(region);
        // No certificate is of a host in which a bucket's name has dots.
        let in_path = self.path_style || (bucket.contains('.') && base.starts_with("https://"));
        let endpoint = match in_path {
            true => base,
            false => in_host(&base, bucket),
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_credentials(Arc::clone(&self.credentials) as _)
            .with_virtual_hosted_style_request(!in_path)
            .with_endpoint(endpoint)
            .with_request_payer(self.requester_pays)
            .with_http_connector(Connected(self.http.clone()))
            .with_retry(self.retry.clone());
        if let Some(key) = &self.kms_key {
            builder = builder.with_sse_kms_encryption(key).with_bucket_key(true);
        }
        builder.build().map_err(|error| {
            Error::invalid(format!(
                "bucket {bucket:?} cannot be reached with these settings: {error}"
            ))
        })
    }
}

/// An endpoint with the bucket as the first part of its host.
fn in_host(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
        None => endpoint.to_owned(),
    }
}
