//! An emulated AWS for one test: an account and a bucket of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_credential_types::Credentials;
use http::Method;
use http::header::AUTHORIZATION;
use lakehouse_aws::{GlueCatalog, GlueSettings, open_glue_with};
use lakehouse_core::catalog::CatalogParts;
use lakehouse_core::clock::SystemClock;
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::Storage;
use object_store::ClientOptions;
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use uuid::Uuid;

pub(crate) const REGION: &str = "us-east-1";

/// The secret of every account; it must never be seen.
pub(crate) const SECRET: &str = "hush-secret-key";

/// One account of the emulator that nobody else uses.
pub(crate) struct Emulated {
    pub(crate) endpoint: String,
    pub(crate) account: String,
    pub(crate) bucket: String,
}

impl Emulated {
    pub(crate) async fn start() -> Self {
        static ACCOUNTS: AtomicU64 = AtomicU64::new(0);
        // The emulator takes a key of twelve digits for an account.
        let number = ACCOUNTS.fetch_add(1, Ordering::Relaxed);
        let chance = Uuid::new_v4().as_u128() % 90_000_000;
        let account = format!("{:012}", 100_000_000_000 + chance as u64 * 1_000 + number);
        let emulated = Self {
            endpoint: endpoint(),
            bucket: format!("lake-{}", Uuid::new_v4().simple()),
            account,
        };
        emulated.make_bucket(&emulated.bucket).await;
        emulated
    }

    pub(crate) async fn make_bucket(&self, bucket: &str) {
        let url = format!("{}/{bucket}", self.endpoint);
        let options = ClientOptions::new().with_allow_http(true);
        let client = ReqwestConnector::default().connect(&options).unwrap();
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = url.parse().unwrap();
        // It reads the account off the key and checks no signature.
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/{REGION}/s3/aws4_request, \
             SignedHeaders=host, Signature=0",
            self.account
        );
        request
            .headers_mut()
            .insert(AUTHORIZATION, signed.parse().unwrap());
        let answer = client.execute(request).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    pub(crate) fn settings(&self) -> GlueSettings {
        GlueSettings {
            region: Some(REGION.to_owned()),
            warehouse: Some(format!("s3://{}/warehouse/", self.bucket)),
            endpoint: Some(self.endpoint.clone()),
            s3_endpoint: Some(self.endpoint.clone()),
            ..GlueSettings::default()
        }
    }

    pub(crate) async fn catalog(&self) -> GlueCatalog {
        self.catalog_with(&self.settings()).await
    }

    pub(crate) async fn catalog_with(&self, settings: &GlueSettings) -> GlueCatalog {
        open_glue_with("glue", settings, parts(), self.credentials())
            .await
            .unwrap()
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::new(&self.account, SECRET, None, None, "test")
    }

    /// A client of Glue beside the library, as another engine would have one.
    pub(crate) fn glue(&self) -> aws_sdk_glue::Client {
        let config = aws_sdk_glue::Config::builder()
            .behavior_version(aws_sdk_glue::config::BehaviorVersion::latest())
            .region(aws_sdk_glue::config::Region::new(REGION))
            .credentials_provider(self.credentials())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.endpoint)
            .build();
        aws_sdk_glue::Client::from_conf(config)
    }
}

pub(crate) fn parts() -> CatalogParts {
    let storage = Storage::new(&SystemClock, Durability::None).unwrap();
    CatalogParts::new(storage, Arc::new(SystemClock))
}

fn endpoint() -> String {
    std::env::var("AWS_ENDPOINT_URL").expect("the emulator's endpoint")
}
