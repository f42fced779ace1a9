//! Catalogs by location and settings.

use std::path::Path;
use std::sync::Arc;

use lakehouse_core::catalog::{
    CATALOG_FILE, CATALOG_NAME, Catalog, CatalogParts, MEMORY_WAREHOUSE, MemoryCatalog,
    OpenOptions, SqliteCatalog, find_catalog_file,
};
use lakehouse_core::lake::DEFAULT_NAMESPACE;
use lakehouse_core::name::NamespaceIdent;
use lakehouse_core::settings::{CatalogSettings, GlueSettings};

use crate::location::LakeLocation;
use crate::{Error, Result};

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
    if is_missing_or_empty(folder)? {
        if !create {
            return Err(Error::not_found(
                "there is no lake here; ask for one to be made, or check the path",
            )
            .with_context("folder", folder.display()));
        }
        let options = OpenOptions {
            create: true,
            ..OpenOptions::default()
        };
        let catalog = SqliteCatalog::open(None, folder.join(CATALOG_FILE), options, parts).await?;
        return with_default_namespace(Arc::new(catalog)).await;
    }
    let Some(file) = find_catalog_file(folder).await? else {
        return Err(Error::invalid(format!(
            "the folder holds files but no lake: neither {CATALOG_FILE} nor another SQLite file with \
             a table iceberg_tables; open an empty or missing folder to make a lake"
        ))
        .with_context("folder", folder.display()));
    };
    Ok(Arc::new(
        SqliteCatalog::open(None, file, OpenOptions::default(), parts).await?,
    ))
}

fn is_missing_or_empty(folder: &Path) -> Result<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => {
            let error = Error::from(error);
            Err(
                Error::new(error.kind(), "the lake's folder cannot be opened")
                    .with_context("folder", folder.display())
                    .with_source(error),
            )
        }
    }
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
            let warehouse = warehouse.as_deref().unwrap_or(MEMORY_WAREHOUSE);
            with_default_namespace(Arc::new(MemoryCatalog::new(name, warehouse, parts))).await
        }
        CatalogSettings::Sqlite {
            file,
            warehouse,
            catalog_name,
        } => {
            let is_new = !file.exists();
            let options = OpenOptions {
                create,
                catalog_name: catalog_name.clone(),
                warehouse: warehouse.clone(),
                ..OpenOptions::default()
            };
            let catalog: Arc<dyn Catalog> =
                Arc::new(SqliteCatalog::open(Some(name.to_owned()), file, options, parts).await?);
            if is_new {
                with_default_namespace(catalog).await
            } else {
                Ok(catalog)
            }
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

/// Two programs may make the same lake at once: the namespace may be there already.
async fn with_default_namespace(catalog: Arc<dyn Catalog>) -> Result<Arc<dyn Catalog>> {
    let namespace = NamespaceIdent::new(DEFAULT_NAMESPACE.to_owned());
    match catalog
        .create_namespace(&namespace, std::collections::HashMap::new())
        .await
    {
        Ok(()) => Ok(catalog),
        Err(error) if error.kind() == crate::ErrorKind::AlreadyExists => Ok(catalog),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_aws_says_how_to_have_it() {
        let error = without_aws("glue_catalog");
        assert_eq!(error.kind(), crate::ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(
            text.contains("feature `aws`") && text.contains("glue_catalog"),
            "{text}"
        );
    }
}
