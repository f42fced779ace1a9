//! An emulated AWS for one test: an account and a bucket of its own, behind a proxy that may fail.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use futures::future::BoxFuture;
use http::Method;
use http::header::AUTHORIZATION;
use iceberg::TableUpdate;
use iceberg::spec::{
    FormatVersion, NestedField, PartitionSpec, PrimitiveType, Schema, SortOrder,
    TableMetadataBuilder, Type,
};
use lakehouse_aws::{GlueCatalog, GlueSettings, open_glue_with};
use lakehouse_core::catalog::{Catalog, CatalogParts, CommitOutcome, TablePointer};
use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_core::name::{NamespaceIdent, TableIdent};
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::Storage;
use lakehouse_testkit::{Emulators, FaultProxy};
use object_store::ClientOptions;
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use uuid::Uuid;

pub(crate) const REGION: &str = "us-east-1";

/// The secret of every account; it must never be seen.
pub(crate) const SECRET: &str = "hush-secret-key";

/// One account of the emulator that nobody else uses.
pub(crate) struct Emulated {
    pub(crate) proxy: FaultProxy,
    pub(crate) account: String,
    pub(crate) bucket: String,
}

impl Emulated {
    pub(crate) async fn start() -> Option<Self> {
        let emulators = Emulators::shared().unwrap()?;
        static ACCOUNTS: AtomicU64 = AtomicU64::new(0);
        // The emulator takes a key of twelve digits for an account.
        let number = ACCOUNTS.fetch_add(1, Ordering::Relaxed);
        let emulated = Self {
            proxy: FaultProxy::start(emulators.ministack(), 7).unwrap(),
            account: format!("{:012}", 100_000_000_000 + number),
            bucket: format!("lake-{}", Uuid::new_v4().simple()),
        };
        emulated.make_bucket(&emulated.bucket).await;
        emulated.proxy.forget();
        Some(emulated)
    }

    async fn make_bucket(&self, bucket: &str) {
        let url = format!("{}/{bucket}", self.proxy.endpoint());
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
            endpoint: Some(self.proxy.endpoint()),
            s3_endpoint: Some(self.proxy.endpoint()),
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
            .endpoint_url(self.proxy.endpoint())
            .build();
        aws_sdk_glue::Client::from_conf(config)
    }

    /// The Glue table as it stands there.
    pub(crate) async fn glue_table(
        &self,
        database: &str,
        name: &str,
    ) -> aws_sdk_glue::types::Table {
        let call = self.glue().get_table().database_name(database).name(name);
        call.send().await.unwrap().table.unwrap()
    }
}

pub(crate) fn parts() -> CatalogParts {
    let storage = Storage::new(&SystemClock, Durability::None).unwrap();
    CatalogParts::new(storage, Arc::new(HastyClock))
}

/// The machine's clock, but that pauses between attempts take a tenth of their time.
#[derive(Debug)]
struct HastyClock;

impl Clock for HastyClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms()
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(pause / 10)
    }

    fn new_uuid(&self) -> Uuid {
        SystemClock.new_uuid()
    }
}

pub(crate) fn ident(namespace: &str, name: &str) -> TableIdent {
    TableIdent::from_strs([namespace, name]).unwrap()
}

/// Makes `silver.t`, with its namespace.
pub(crate) async fn make_table(catalog: &dyn Catalog) -> TablePointer {
    let silver = NamespaceIdent::new("silver".to_owned());
    catalog
        .create_namespace(&silver, HashMap::new())
        .await
        .unwrap();
    make(catalog, &ident("silver", "t")).await
}

/// Makes a table in a namespace that exists.
pub(crate) async fn make(catalog: &dyn Catalog, ident: &TableIdent) -> TablePointer {
    match try_make(catalog, ident).await {
        Ok(CommitOutcome::Committed(made)) => made,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn try_make(
    catalog: &dyn Catalog,
    ident: &TableIdent,
) -> lakehouse_core::error::Result<CommitOutcome> {
    let id = NestedField::optional(1, "Id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields([id.into()]).build().unwrap();
    let location = catalog.new_table_location(ident).await?;
    let built = TableMetadataBuilder::new(
        schema,
        PartitionSpec::unpartition_spec(),
        SortOrder::unsorted_order(),
        location,
        FormatVersion::V2,
        HashMap::new(),
    );
    let metadata = built.unwrap().build().unwrap().metadata;
    catalog.create_table(ident, metadata).await
}

pub(crate) fn set_property(key: &str, value: &str) -> Vec<TableUpdate> {
    vec![TableUpdate::SetProperties {
        updates: HashMap::from([(key.to_owned(), value.to_owned())]),
    }]
}
