//! Catalogs by location and settings.

use std::fs::DirEntry;
use std::path::Path;
use std::sync::Arc;

use lakehouse_core::catalog::{
    CATALOG_FILE, CATALOG_NAME, Catalog, CatalogParts, MEMORY_WAREHOUSE, MemoryCatalog,
    OpenOptions, SqliteCatalog, find_catalog_file,
};
use lakehouse_core::lake::DEFAULT_NAMESPACE;
use lakehouse_core::name::NamespaceIdent;
use lakehouse_core::settings::{CatalogSettings, GlueSettings};
use lakehouse_core::storage::absolute_location;

use crate::location::LakeLocation;
use crate::{Error, ErrorKind, Result};

/// The catalog of a lake's own location.
pub(crate) async fn open_location(
    location: &str,
    create: bool,
    parts: CatalogParts,
) -> Result<Arc<dyn Catalog>> {
    match LakeLocation::parse(location)? {
        LakeLocation::Memory => {
            let catalog = MemoryCatalog::new(CATALOG_NAME, MEMORY_WAREHOUSE, parts);
            with_default_namespace(Arc::new(catalog)).await
        }
        LakeLocation::Folder(folder) => open_folder(&folder, create, parts).await,
    }
}

async fn open_folder(folder: &Path, create: bool, parts: CatalogParts) -> Result<Arc<dyn Catalog>> {
    let usual = folder.join(CATALOG_FILE);
    let file = if !is_missing_or_empty(folder)? {
        find_catalog_file(folder).await?.ok_or_else(|| {
            Error::invalid(format!(
                "the folder holds files but no lake: neither {CATALOG_FILE} nor another SQLite \
                 file with a table iceberg_tables; open an empty or missing folder to make a lake"
            ))
            .with_context("folder", folder.display())
        })?
    } else if create {
        usual.clone()
    } else {
        return Err(Error::not_found(
            "there is no lake here; ask for one to be made, or check the path",
        )
        .with_context("folder", folder.display()));
    };
    // A lake whose making was interrupted, or goes on elsewhere. Beside a catalog file that was
    // emptied stand the folders of its tables.
    let is_made_here = create && file == usual && holds_catalog_alone(folder)?;
    let options = OpenOptions {
        create: is_made_here,
        first_namespace: Some(DEFAULT_NAMESPACE.to_owned()),
        ..OpenOptions::default()
    };
    let catalog: Arc<dyn Catalog> =
        Arc::new(SqliteCatalog::open(None, file, options, parts).await?);
    // Files of earlier makings may have their tables and no namespace.
    if is_made_here && catalog.list_namespaces().await?.is_empty() {
        return with_default_namespace(catalog).await;
    }
    Ok(catalog)
}

/// Whether a lake's folder is missing, or has nothing in it but the catalog file, its journal and
/// what is hidden, such as the queue of writers.
fn holds_catalog_alone(folder: &Path) -> Result<bool> {
    for entry in entries(folder)? {
        let name = entry.map_err(|error| unopened(error, folder))?.file_name();
        let name = name.as_encoded_bytes();
        if !name.starts_with(CATALOG_FILE.as_bytes()) && !name.starts_with(b".") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_missing_or_empty(folder: &Path) -> Result<bool> {
    Ok(entries(folder)?.next().is_none())
}

/// What stands in a lake's folder; nothing where it is missing.
fn entries(folder: &Path) -> Result<impl Iterator<Item = std::io::Result<DirEntry>>> {
    let listed = match std::fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unopened(error, folder)),
    };
    Ok(listed.into_iter().flatten())
}

fn unopened(error: std::io::Error, folder: &Path) -> Error {
    let error = Error::from(error);
    Error::new(error.kind(), "the lake's folder cannot be opened")
        .with_context("folder", folder.display())
        .with_source(error)
}

/// A catalog that settings describe.
pub(crate) async fn open_catalog(
    name: &str,
    settings: &CatalogSettings,
    create: bool,
    parts: CatalogParts,
) -> Result<Arc<dyn Catalog>> {
    match settings {
        CatalogSettings::Glue(settings) => open_glue(name, settings, parts).await,
        CatalogSettings::Memory { warehouse } => {
            let warehouse = absolute_location(warehouse.as_deref().unwrap_or(MEMORY_WAREHOUSE))?;
            with_default_namespace(Arc::new(MemoryCatalog::new(name, warehouse, parts))).await
        }
        CatalogSettings::Sqlite {
            file,
            warehouse,
            catalog_name,
        } => {
            let options = OpenOptions {
                create,
                catalog_name: catalog_name.clone(),
                warehouse: warehouse.clone(),
                first_namespace: Some(DEFAULT_NAMESPACE.to_owned()),
                ..OpenOptions::default()
            };
            let name = Some(name.to_owned());
            Ok(Arc::new(
                SqliteCatalog::open(name, file, options, parts).await?,
            ))
        }
    }
}

#[cfg(feature = "aws")]
async fn open_glue(
    name: &str,
    settings: &GlueSettings,
    parts: CatalogParts,
) -> Result<Arc<dyn Catalog>> {
    let catalog = lakehouse_aws::open_glue(name, settings, parts).await;
    let catalog = catalog.map_err(|error| error.with_context("catalog", name))?;
    Ok(Arc::new(catalog))
}

#[cfg(not(feature = "aws"))]
async fn open_glue(
    name: &str,
    _settings: &GlueSettings,
    _parts: CatalogParts,
) -> Result<Arc<dyn Catalog>> {
    Err(without_aws(name))
}

#[cfg(any(test, not(feature = "aws")))]
fn without_aws(name: &str) -> Error {
    Error::unsupported(
        "the settings describe a Glue catalog, and this program is built without AWS; build it with \
         the feature `aws` of the crate `lakehouse`",
    )
    .with_context("catalog", name)
}

/// Two programs may make the same lake at once: the namespace may be there already. A lake that can
/// only be read stays as it is.
async fn with_default_namespace(catalog: Arc<dyn Catalog>) -> Result<Arc<dyn Catalog>> {
    let namespace = NamespaceIdent::new(DEFAULT_NAMESPACE.to_owned());
    match catalog
        .create_namespace(&namespace, std::collections::HashMap::new())
        .await
    {
        Ok(()) => Ok(catalog),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::AlreadyExists | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(catalog)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_aws_says_how_to_have_it() {
        let error = without_aws("glue_catalog");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(
            text.contains("feature `aws`") && text.contains("glue_catalog"),
            "{text}"
        );
    }
}
