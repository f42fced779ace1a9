//! Tables of the session alone, such as external ones: they stand under names of the lake's
//! namespaces and are found before the lake's own.

use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, TableProvider};
use datafusion::sql::parser::CreateExternalTable;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::lake::dotted;
use lakehouse_core::name::quote;
use lakehouse_core::provider::LakeCatalog;

use super::read_file::refuse_special_at;
use super::{Scope, name, names};

/// A table of the session alone.
#[derive(Debug, Clone)]
pub(crate) struct SessionTable {
    /// The catalog whose name it stands under.
    pub(crate) catalog: Arc<LakeCatalog>,
    /// The namespace, its parts joined by dots.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) provider: Arc<dyn TableProvider>,
}

impl SessionTable {
    /// Takes the table out of its session; its files stay.
    ///
    /// # Errors
    /// When it is not there any more.
    pub(crate) fn remove(&self) -> Result<()> {
        if let Some(schema) = self.catalog.schema(&self.namespace) {
            schema.deregister_table(&self.name)?;
        }
        Ok(())
    }

    /// What to say where only the lake's tables are meant.
    pub(super) fn refusal(&self, wanted: &str) -> Error {
        Error::unsupported(format!(
            "table {} belongs to this session, not to the lake: {wanted}",
            quote(&self.name)
        ))
    }
}

/// The session's table that a name means.
///
/// # Errors
/// Ambiguity of names that differ in case.
pub(super) fn find(path: &[Ident], scope: &Scope<'_>) -> Result<Option<SessionTable>> {
    let Some((last, qualifier)) = path.split_last() else {
        return Ok(None);
    };
    let joined = |parts: &[Ident]| match parts {
        [] => dotted(&scope.namespace),
        parts => {
            let parts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
            parts.join(".")
        }
    };
    let mut readings = vec![(scope.catalog.clone(), joined(qualifier))];
    if let [first, rest @ ..] = qualifier
        && let Ok((catalog, _)) = scope.lake.catalog(&name(first))
    {
        readings.insert(0, (catalog.to_owned(), joined(rest)));
    }
    for (catalog, namespace) in readings {
        let Some(catalog) = scope.local.get(&catalog) else {
            continue;
        };
        if let Some(found) = catalog.local_table(&namespace, &name(last))? {
            return Ok(Some(SessionTable {
                namespace: found.namespace,
                name: found.name,
                provider: found.provider,
                catalog: Arc::clone(catalog),
            }));
        }
    }
    Ok(None)
}

/// The names of the session's tables in one namespace.
pub(super) fn list(catalog: &str, namespace: &str, scope: &Scope<'_>) -> Vec<String> {
    let catalog = scope.local.get(catalog);
    catalog
        .map(|catalog| catalog.local_names(namespace))
        .unwrap_or_default()
}

/// Gives a new external table its whole name; false when `IF NOT EXISTS` leaves nothing to do.
///
/// # Errors
/// A namespace that does not exist; a name that the lake or the session has already.
pub(super) async fn place_external(
    create: &mut CreateExternalTable,
    scope: &Scope<'_>,
) -> Result<bool> {
    let path: Option<Vec<Ident>> = create
        .name
        .0
        .iter()
        .map(|p| p.as_ident().cloned())
        .collect();
    let path = path.ok_or_else(|| Error::invalid(format!("{} is no name", create.name)))?;
    if is_foreign(&path, scope) {
        return Ok(true);
    }
    if let Some(own) = find(&path, scope)?
        && !create.or_replace
    {
        return match create.if_not_exists {
            true => Ok(false),
            false => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("this session has a table {} already", quote(&own.name)),
            )),
        };
    }
    let new = scope
        .lake
        .new_table_ident(&names(&path), &scope.catalog, &scope.namespace)
        .await;
    match new {
        Ok((catalog, _, ident)) => {
            // A table without an end is one of a pipe.
            if !create.unbounded {
                refuse_special_at(&create.location).await?;
            }
            let parts = [catalog, dotted(ident.namespace()), ident.name().to_owned()];
            let parts = parts.map(|part| Ident::with_quote('"', part));
            create.name = ObjectName(parts.map(ObjectNamePart::Identifier).to_vec());
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists && create.if_not_exists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a name is of a catalog that the program registered beside the lake's.
fn is_foreign(path: &[Ident], scope: &Scope<'_>) -> bool {
    let [catalog, _, _] = path else {
        return false;
    };
    let known = scope.state.catalog_list();
    scope.lake.catalog(&name(catalog)).is_err() && known.catalog(&catalog.value).is_some()
}
