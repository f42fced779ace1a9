//! A Glue data catalog as a catalog of the lakehouse.

mod calls;
mod find;
mod hive_type;
mod names;
mod other;
mod pointers;
mod remove;
mod rename;
mod settle;
mod table_input;

use std::sync::Arc;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use lakehouse_core::catalog::{CatalogParts, PointerCatalog};
use lakehouse_core::clock::Clock;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::settings::GlueSettings;
use lakehouse_core::storage::RemoteStores;

use crate::chain::{Chain, Identity, checked_endpoint};
use crate::s3::S3Stores;
pub(crate) use calls::{Calls, Place};
pub(crate) use other::is_iceberg;
pub use pointers::{GluePointers, SeenTable};

/// Tables of a Glue data catalog, beside Athena, Spark, EMR and Glue jobs.
///
/// A commit moves a table from the version of the Glue table that was read, with its `VersionId`:
/// what another engine committed meanwhile makes it a conflict, and is never overwritten. What
/// others keep in the Glue table, such as owner, parameters and comments, stays. Columns are written
/// as Glue's own, so that Athena lists and governs them.
///
/// Names of databases and tables are in lower case, which is how Glue keeps them: lookups fold what
/// is asked for, and a new name in another case is refused. Databases do not nest.
pub type GlueCatalog = PointerCatalog<GluePointers>;

/// Opens the catalog that statements address as `name`. AWS is not asked for anything yet.
///
/// The tables' files are reached through S3 stores made of the same settings; local files and memory
/// stay those of `parts`.
///
/// # Errors
/// [`lakehouse_core::error::ErrorKind::InvalidInput`] for settings without sense, and when neither
/// settings nor environment name a region.
pub async fn open(
    name: impl Into<String>,
    settings: &GlueSettings,
    parts: CatalogParts,
) -> Result<GlueCatalog> {
    open_as(name.into(), settings, parts, None).await
}

/// As [`open`], with credentials of the program's own in the place of the AWS chain's.
///
/// # Errors
/// As [`open`].
pub async fn open_with(
    name: impl Into<String>,
    settings: &GlueSettings,
    parts: CatalogParts,
    credentials: impl ProvideCredentials + 'static,
) -> Result<GlueCatalog> {
    let credentials = SharedCredentialsProvider::new(credentials);
    open_as(name.into(), settings, parts, Some(credentials)).await
}

async fn open_as(
    name: String,
    settings: &GlueSettings,
    parts: CatalogParts,
    credentials: Option<SharedCredentialsProvider>,
) -> Result<GlueCatalog> {
    let identity = Identity::of_catalog(settings);
    let chain = Chain::load(identity, settings.call_ms_max, credentials, &parts.clock).await?;
    open_by(&chain, name, settings, parts).await
}

/// As [`open`], by a chain that was loaded.
pub(crate) async fn open_by(
    chain: &Chain,
    name: String,
    settings: &GlueSettings,
    parts: CatalogParts,
) -> Result<GlueCatalog> {
    if chain.region().is_none() {
        return Err(Error::invalid(
            "no AWS region is known; set region in the catalog's settings, AWS_REGION, or a region \
             in the profile",
        ));
    }
    let stores = S3Stores::of_catalog(settings, chain, &parts.clock).await?;
    let stores: Arc<dyn RemoteStores> = Arc::new(stores);
    let storage = parts
        .storage
        .with_remote_stores(parts.clock.as_ref(), stores)?;
    let pointers = GluePointers::new(
        calls_by(chain, settings, &parts.clock)?,
        settings.catalog_id.clone(),
        chain.region().map(str::to_owned),
        settings.skip_archive,
    );
    let warehouse = settings.warehouse.clone().unwrap_or_default();
    let parts = CatalogParts { storage, ..parts };
    Ok(GlueCatalog::over(pointers, name, warehouse, parts))
}

/// Calls to the Glue of the settings.
pub(crate) fn calls_by(
    chain: &Chain,
    settings: &GlueSettings,
    clock: &Arc<dyn Clock>,
) -> Result<Calls> {
    let mut config = aws_sdk_glue::config::Builder::from(&chain.config)
        // Which call may be sent twice is decided per call, by what it would do.
        .retry_config(aws_sdk_glue::config::retry::RetryConfig::disabled());
    let mut place = match chain.region() {
        Some(region) => format!("Glue in {region}"),
        None => "Glue".to_owned(),
    };
    if let Some(endpoint) = &settings.endpoint {
        let endpoint = checked_endpoint(endpoint)?;
        place = format!("{place} at {endpoint}");
        config = config.endpoint_url(endpoint);
    }
    let client = aws_sdk_glue::Client::from_conf(config.build());
    let credentials = Arc::clone(&chain.credentials);
    Ok(Calls::new(client, place, credentials, Arc::clone(clock)))
}
