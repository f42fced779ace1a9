//! An emulated AWS for one test: an account and a bucket of its own, behind a proxy that may fail.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use futures::future::BoxFuture;
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
use lakehouse_testkit::AwsAccount;
use uuid::Uuid;

/// One account of the emulator that nobody else uses.
#[derive(Debug)]
pub(crate) struct Emulated {
    account: AwsAccount,
}

impl Deref for Emulated {
    type Target = AwsAccount;

    fn deref(&self) -> &AwsAccount {
        &self.account
    }
}

impl Emulated {
    pub(crate) async fn start() -> Option<Self> {
        let account = AwsAccount::start().unwrap()?;
        Some(Self { account })
    }

    pub(crate) fn settings(&self) -> GlueSettings {
        GlueSettings {
            region: Some(self.region.clone()),
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
        Credentials::new(&self.key, AwsAccount::SECRET, None, None, "test")
    }

    /// A client of Glue beside the library, as another engine would have one.
    pub(crate) fn glue(&self) -> aws_sdk_glue::Client {
        let config = aws_sdk_glue::Config::builder()
            .behavior_version(aws_sdk_glue::config::BehaviorVersion::latest())
            .region(aws_sdk_glue::config::Region::new(self.region.clone()))
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
