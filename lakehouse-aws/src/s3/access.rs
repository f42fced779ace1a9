//! How the objects of a bucket are reached.

use std::sync::Arc;
use std::time::Duration;

use lakehouse_core::clock::Clock;
use lakehouse_core::error::{Error, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::connector::CheckedConnector;
use crate::chain::CONNECT_MS_MAX;
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
    pub(super) call_ms_max: u64,
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

    pub(super) fn client_options(&self) -> ClientOptions {
        let is_plain = self
            .endpoint
            .as_deref()
            .is_some_and(|endpoint| endpoint.starts_with("http://"));
        ClientOptions::new()
            .with_connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
            .with_timeout(Duration::from_millis(self.call_ms_max))
            .with_allow_http(is_plain)
    }

    /// A client of a bucket in `region`.
    ///
    /// # Errors
    /// For a bucket's name or an endpoint that no request can be made of.
    pub(super) fn client(&self, bucket: &str, region: &str) -> Result<AmazonS3> {
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(PAUSE_MS_MIN),
                max_backoff: Duration::from_millis(PAUSE_MS_MAX),
                base: 2.,
            },
            max_retries: RETRIES_MAX,
            retry_timeout: Duration::from_millis(RETRIED_MS_MAX),
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_credentials(Arc::clone(&self.credentials) as _)
            .with_virtual_hosted_style_request(!self.path_style)
            .with_request_payer(self.requester_pays)
            .with_client_options(self.client_options())
            .with_http_connector(CheckedConnector::default())
            .with_retry(retry);
        if let Some(endpoint) = &self.endpoint {
            let endpoint = match self.path_style {
                true => endpoint.clone(),
                false => in_host(endpoint, bucket),
            };
            builder = builder.with_endpoint(endpoint);
        }
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
