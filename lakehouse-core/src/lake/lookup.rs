//! From a name as written to the namespace or table it means.
//!
//! A name's parts may begin with a catalog and may end with a metadata table or a version selector;
//! a real table or namespace of a name always wins over those.

use std::sync::Arc;

use iceberg::{NamespaceIdent, TableIdent};

use super::{Lake, dotted};
use crate::catalog::{Catalog, NameCase, find_metadata_file, load_by_metadata_file};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{Name, hint, quote};
use crate::scan::MetadataTable;
use crate::table::{MAIN_BRANCH, Table, Version};

/// What follows a table's name: a metadata table or a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `t.snapshots` or `"t$snapshots"`; of a version by name, `t.branch_x.files`.
    Metadata(MetadataTable),
    /// `t.branch_x`, `t.tag_x`, `t.snapshot_id_1`, `t.at_timestamp_1`.
    Version(Version),
}

impl Selector {
    /// Reads the last part of a name; `None` when it selects nothing.
    pub fn parse(part: &str) -> Option<Self> {
        if let Some(table) = MetadataTable::from_name(part) {
            return Some(Self::Metadata(table));
        }
        // Only the prefix is folded: refs are matched as names are.
        let strip = |prefix: &str| {
            part.get(..prefix.len())
                .filter(|start| start.eq_ignore_ascii_case(prefix))
                .map(|_| &part[prefix.len()..])
                .filter(|rest| !rest.is_empty())
        };
        if let Some(name) = strip("branch_") {
            return Some(Self::Version(Version::Branch(name.to_owned())));
        }
        if let Some(name) = strip("tag_") {
            return Some(Self::Version(Version::Tag(name.to_owned())));
        }
        if let Some(id) = strip("snapshot_id_").and_then(|id| id.parse().ok()) {
            return Some(Self::Version(Version::Snapshot(id)));
        }
        let ms = strip("at_timestamp_").and_then(|ms| ms.parse().ok())?;
        Some(Self::Version(Version::Timestamp(ms)))
    }
}

/// A table that a name means.
#[derive(Debug, Clone)]
pub struct FoundTable {
    /// The catalog's name, as the lake knows it.
    pub catalog_name: String,
    /// The catalog.
    pub catalog: Arc<dyn Catalog>,
    /// The table's current state.
    pub table: Table,
    /// What the name's last part selects of it.
    pub selector: Option<Selector>,
}

/// A table's name in its catalog, of a table that need not be readable.
#[derive(Debug, Clone)]
pub struct FoundName {
    /// The catalog's name, as the lake knows it.
    pub catalog_name: String,
    /// The catalog.
    pub catalog: Arc<dyn Catalog>,
    /// Namespace and name, as stored.
    pub ident: TableIdent,
}

/// One way to read a name: a catalog and the parts that follow.
struct Reading<'a> {
    catalog_name: &'a str,
    catalog: &'a Arc<dyn Catalog>,
    parts: &'a [Name],
    /// Whether the catalog was written or is the default one.
    written: bool,
}

impl Lake {
    /// The table a name means. `namespace` is the session's current one, in the default catalog.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with the nearest names; ambiguity of names that differ in case.
    pub async fn find_table(
        &self,
        parts: &[Name],
        default_catalog: &str,
        namespace: &NamespaceIdent,
    ) -> Result<FoundTable> {
        if parts.is_empty() || parts.iter().any(|part| part.as_str().is_empty()) {
            return Err(Error::invalid("a table name must not have an empty part"));
        }
        let readings = self.readings(parts, default_catalog)?;
        // `t.snapshots` is asked for as a table of a namespace `t` first, which policies may forbid
        // to everybody: that is the answer only when the name means nothing else.
        let mut denied = None;
        let is_deferred =
            |error: &Error| error.kind() == ErrorKind::PermissionDenied && may_select(parts);
        for reading in &readings {
            match find_in(reading, reading.parts, namespace).await {
                Ok(Some(found)) => return Ok(reading.found(found, None)),
                Ok(None) => {}
                Err(error) if is_deferred(&error) => {
                    denied = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        for reading in &readings {
            match find_selected(reading, namespace).await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error) if is_deferred(&error) => denied = denied.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        match denied {
            Some(error) => Err(error),
            None => Err(self.no_table(parts, &readings, namespace).await),
        }
    }

    /// The table's name that [`Catalog::drop_table`] would remove, whether or not the table can be
    /// read; `None` when there is none.
    ///
    /// # Errors
    /// As [`Catalog::is_droppable`]; ambiguity of names that differ in case.
    pub async fn find_droppable(
        &self,
        parts: &[Name],
        default_catalog: &str,
        namespace: &NamespaceIdent,
    ) -> Result<Option<FoundName>> {
        for reading in self.readings(parts, default_catalog)? {
            let Some(ident) = ident_in(&reading, reading.parts, namespace).await? else {
                continue;
            };
            if reading.catalog.is_droppable(&ident).await? {
                return Ok(Some(FoundName {
                    catalog_name: reading.catalog_name.to_owned(),
                    catalog: Arc::clone(reading.catalog),
                    ident,
                }));
            }
        }
        Ok(None)
    }

    /// A table that no catalog names: by its metadata file, or by its folder when
    /// `version-hint.text` there names the version.
    ///
    /// Its ident is made of its folder's name; it can only be read.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] for a folder without a hint, with its
    /// metadata files listed, because the newest by number may be the loser of a race.
    pub async fn open_file(&self, location: &str) -> Result<FoundTable> {
        let location = absolute(location)?;
        let file = match location.ends_with(".json") {
            true => location,
            false => find_metadata_file(self.storage(), &location, false).await?,
        };
        let pointer = load_by_metadata_file(self.storage(), &file).await?;
        let (catalog_name, catalog) = self.catalog(&Name::quoted(self.default_catalog()))?;
        // Pinned to what the file says is current, so that nobody takes it for a target.
        let main = Version::Branch(MAIN_BRANCH.to_owned());
        let table = Table::new(pointer, self.storage().clone()).at(main)?;
        Ok(FoundTable {
            catalog_name: catalog_name.to_owned(),
            catalog: Arc::clone(catalog),
            table,
            selector: None,
        })
    }

    /// The namespace a name means, with its catalog.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with the nearest names.
    pub async fn find_namespace(
        &self,
        parts: &[Name],
        default_catalog: &str,
    ) -> Result<(String, Arc<dyn Catalog>, NamespaceIdent)> {
        let mut known = Vec::new();
        let readings = self.readings(parts, default_catalog)?;
        for reading in &readings {
            if let Some(found) = folded_namespace(reading).await? {
                let catalog = Arc::clone(reading.catalog);
                return Ok((reading.catalog_name.to_owned(), catalog, found));
            }
            let namespaces = match reading.catalog.list_namespaces().await {
                // Names in lower case were looked for already: the list gives hints alone.
                Err(_) if reading.catalog.name_case() == NameCase::Lower => continue,
                listed => listed?,
            };
            if !reading.parts.is_empty()
                && let Some(found) = match_namespace(&namespaces, reading.parts)?
            {
                let catalog = Arc::clone(reading.catalog);
                return Ok((reading.catalog_name.to_owned(), catalog, found));
            }
            known.extend(namespaces.iter().map(dotted));
        }
        let wanted = join_names(parts);
        let names = known.iter().map(String::as_str);
        let hint = hint(&wanted, names);
        Err(Error::not_found(format!(
            "there is no namespace {wanted}{}",
            or_places(hint, &readings)
        )))
    }

    /// Where a new table of this name belongs: a namespace that exists, and the name as written.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the namespace does not exist;
    /// [`ErrorKind::AlreadyExists`] when a table of that name in any case does.
    pub async fn new_table_ident(
        &self,
        parts: &[Name],
        default_catalog: &str,
        namespace: &NamespaceIdent,
    ) -> Result<(String, Arc<dyn Catalog>, TableIdent)> {
        let Some((name, qualifier)) = parts.split_last() else {
            return Err(Error::invalid("a new table needs a name"));
        };
        let (catalog_name, catalog, namespace) = if qualifier.is_empty() {
            let (catalog_name, catalog) = self.catalog(&Name::quoted(default_catalog))?;
            (
                catalog_name.to_owned(),
                Arc::clone(catalog),
                namespace.clone(),
            )
        } else {
            self.find_namespace(qualifier, default_catalog).await?
        };
        if catalog.name_case() == NameCase::Lower {
            let folded = TableIdent::new(namespace.clone(), name.as_str().to_lowercase());
            if catalog.is_taken(&folded).await? {
                return Err(exists_already(&folded));
            }
            let ident = TableIdent::new(namespace, name.as_str().to_owned());
            return Ok((catalog_name, catalog, ident));
        }
        let tables = catalog.list_tables(&namespace).await?;
        if let Some(existing) = Name::new(name.as_str()).find(&tables, TableIdent::name)? {
            return Err(exists_already(existing));
        }
        Ok((
            catalog_name,
            catalog,
            TableIdent::new(namespace, name.as_str().to_owned()),
        ))
    }

    /// The ways to read a name, the likelier first: a written catalog before the default one.
    fn readings<'a>(
        &'a self,
        parts: &'a [Name],
        default_catalog: &str,
    ) -> Result<Vec<Reading<'a>>> {
        let mut readings = Vec::new();
        if let [first, rest @ ..] = parts
            && !rest.is_empty()
            && let Some((catalog_name, catalog)) = self.find_catalog(first)?
        {
            readings.push(Reading {
                catalog_name,
                catalog,
                parts: rest,
                written: true,
            });
        }
        let (catalog_name, catalog) = self.catalog(&Name::quoted(default_catalog))?;
        readings.push(Reading {
            catalog_name,
            catalog,
            parts,
            written: false,
        });
        Ok(readings)
    }

    async fn no_table(
        &self,
        parts: &[Name],
        readings: &[Reading<'_>],
        namespace: &NamespaceIdent,
    ) -> Error {
        let mut known = Vec::new();
        for reading in readings {
            let Ok(namespaces) = reading.catalog.list_namespaces().await else {
                continue;
            };
            let qualifier = &reading.parts[..reading.parts.len() - 1];
            let here = match match_namespace(&namespaces, qualifier) {
                Ok(Some(found)) => vec![found],
                _ if qualifier.is_empty() => vec![namespace.clone()],
                _ => namespaces,
            };
            for namespace in here {
                if let Ok(tables) = reading.catalog.list_tables(&namespace).await {
                    known.extend(tables.into_iter().map(|table| table.name().to_owned()));
                }
            }
        }
        let wanted = parts.last().map_or("", Name::as_str);
        let mut hint = hint(wanted, known.iter().map(String::as_str));
        for reading in readings {
            if let Some(selected) = misspelt_metadata(reading, namespace).await {
                hint = metadata_hint(selected);
            }
        }
        let (table, hint) = (join_names(parts), or_places(hint, readings));
        Error::not_found(format!("there is no table {table}{hint}"))
    }
}

/// A hint, or without one where the name was looked for, which settings may have wrong.
fn or_places(hint: String, readings: &[Reading<'_>]) -> String {
    let places = readings
        .iter()
        .filter_map(|reading| reading.catalog.place());
    let mut places: Vec<&str> = places.collect();
    places.dedup();
    match (hint.is_empty(), places.is_empty()) {
        (true, false) => format!("; it was looked for in {}", places.join(" and ")),
        _ => hint,
    }
}

impl Reading<'_> {
    fn found(&self, table: Table, selector: Option<Selector>) -> FoundTable {
        FoundTable {
            catalog_name: self.catalog_name.to_owned(),
            catalog: Arc::clone(self.catalog),
            table,
            selector,
        }
    }
}

fn exists_already(ident: &TableIdent) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("table {} exists already", quote(ident.name())),
    )
    .with_context("namespace", dotted(ident.namespace()))
}

/// Whether the last part of a name may select something of the table before it.
fn may_select(parts: &[Name]) -> bool {
    let last = parts.last().map_or("", Name::as_str);
    last.contains('$') || Selector::parse(last).is_some()
}

/// The table of `parts` with nothing selected of it.
async fn find_in(
    reading: &Reading<'_>,
    parts: &[Name],
    current: &NamespaceIdent,
) -> Result<Option<Table>> {
    let Some(ident) = ident_in(reading, parts, current).await? else {
        return Ok(None);
    };
    match reading.catalog.load_table(&ident).await {
        Ok(pointer) => Ok(Some(Table::new(pointer, reading.catalog.storage().clone()))),
        // No list was asked whether there is such a table.
        Err(error)
            if error.kind() == ErrorKind::NotFound
                && reading.catalog.name_case() == NameCase::Lower =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The table's name that `parts` mean; `None` when the lists have none. In a catalog that keeps
/// lower case no list is asked, and the name may be nobody's.
async fn ident_in(
    reading: &Reading<'_>,
    parts: &[Name],
    current: &NamespaceIdent,
) -> Result<Option<TableIdent>> {
    let Some((name, qualifier)) = parts.split_last() else {
        return Ok(None);
    };
    if reading.catalog.name_case() == NameCase::Lower {
        let namespace = match qualifier {
            [] => current.clone(),
            parts => folded(parts)?,
        };
        let name = name.as_str().to_lowercase();
        return Ok(Some(TableIdent::new(namespace, name)));
    }
    let namespace = if qualifier.is_empty() {
        // `catalog.t` leaves the namespace open; the current one belongs to the default catalog.
        if reading.written && reading.catalog.namespace_properties(current).await.is_err() {
            return Ok(None);
        }
        current.clone()
    } else {
        let namespaces = reading.catalog.list_namespaces().await?;
        match match_namespace(&namespaces, qualifier)? {
            Some(found) => found,
            None => return Ok(None),
        }
    };
    let tables = match reading.catalog.list_tables(&namespace).await {
        Ok(tables) => tables,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(name.find(&tables, TableIdent::name)?.cloned())
}

/// The namespace of a name in a catalog that keeps lower case, if there is one.
async fn folded_namespace(reading: &Reading<'_>) -> Result<Option<NamespaceIdent>> {
    if reading.catalog.name_case() != NameCase::Lower || reading.parts.is_empty() {
        return Ok(None);
    }
    let namespace = folded(reading.parts)?;
    match reading.catalog.namespace_properties(&namespace).await {
        Ok(_) => Ok(Some(namespace)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn folded(parts: &[Name]) -> Result<NamespaceIdent> {
    let parts = parts.iter().map(|part| part.as_str().to_lowercase());
    Ok(NamespaceIdent::from_vec(parts.collect())?)
}

/// The table of a name whose end is a selector: `t.snapshots`, `"t$snapshots"`, `t.branch_x`.
async fn find_selected(
    reading: &Reading<'_>,
    namespace: &NamespaceIdent,
) -> Result<Option<FoundTable>> {
    let Some((last, qualifier)) = reading.parts.split_last() else {
        return Ok(None);
    };
    if !qualifier.is_empty()
        && let Some(selector) = Selector::parse(last.as_str())
    {
        if let Some(table) = find_in(reading, qualifier, namespace).await? {
            return Ok(Some(reading.found(table, Some(selector))));
        }
        if let Selector::Metadata(kind) = selector
            && let Some(table) = find_version(reading, qualifier, namespace).await?
        {
            kind.check_takes_version()?;
            return Ok(Some(reading.found(table, Some(selector))));
        }
    }
    let Some((name, selected)) = last.as_str().rsplit_once('$') else {
        return Ok(None);
    };
    let Some(selector) = Selector::parse(selected) else {
        return Ok(None);
    };
    let mut parts = qualifier.to_vec();
    parts.push(if last.is_quoted() {
        Name::quoted(name)
    } else {
        Name::new(name)
    });
    let table = find_in(reading, &parts, namespace).await?;
    Ok(table.map(|table| reading.found(table, Some(selector))))
}

/// The table of a name that ends with a version, at that version: `t.branch_x`.
async fn find_version(
    reading: &Reading<'_>,
    parts: &[Name],
    namespace: &NamespaceIdent,
) -> Result<Option<Table>> {
    let Some((last, qualifier)) = parts.split_last() else {
        return Ok(None);
    };
    match Selector::parse(last.as_str()) {
        Some(Selector::Version(version)) if !qualifier.is_empty() => {
            let table = find_in(reading, qualifier, namespace).await?;
            table.map(|table| table.at(version)).transpose()
        }
        _ => Ok(None),
    }
}

/// The part of a name that was meant as a metadata table, when what stands before it is a table.
async fn misspelt_metadata<'a>(
    reading: &Reading<'a>,
    namespace: &NamespaceIdent,
) -> Option<&'a str> {
    let (last, qualifier) = reading.parts.split_last()?;
    let is_table = |parts: Vec<Name>| async move {
        matches!(find_in(reading, &parts, namespace).await, Ok(Some(_)))
    };
    if !qualifier.is_empty() && is_table(qualifier.to_vec()).await {
        return Some(last.as_str());
    }
    let (name, selected) = last.as_str().rsplit_once('$')?;
    let mut parts = qualifier.to_vec();
    parts.push(Name::new(name));
    is_table(parts).await.then_some(selected)
}

fn metadata_hint(selected: &str) -> String {
    hint(selected, MetadataTable::ALL.map(MetadataTable::name))
}

/// The namespace whose parts match; a part in quotes may hold several, joined by dots.
fn match_namespace(
    namespaces: &[NamespaceIdent],
    parts: &[Name],
) -> Result<Option<NamespaceIdent>> {
    if parts.is_empty() {
        return Ok(None);
    }
    let quoted = parts.iter().all(Name::is_quoted);
    let joined: Vec<&str> = parts.iter().map(Name::as_str).collect();
    let joined = joined.join(".");
    let wanted = if quoted {
        Name::quoted(joined)
    } else {
        Name::new(joined)
    };
    let named: Vec<(String, &NamespaceIdent)> = namespaces
        .iter()
        .map(|namespace| (dotted(namespace), namespace))
        .collect();
    let found = wanted.find(&named, |(name, _)| name)?;
    Ok(found.map(|(_, namespace)| (*namespace).clone()))
}

/// A relative path as the absolute one of this process; URLs stay as they are.
fn absolute(location: &str) -> Result<String> {
    let is_url = location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '+')
    });
    if is_url || location.starts_with('/') {
        return Ok(location.to_owned());
    }
    let path = std::path::absolute(location)?;
    path.into_os_string().into_string().map_err(|_| {
        Error::invalid("the path is not valid Unicode").with_context("location", location)
    })
}

fn join_names(parts: &[Name]) -> String {
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_without_regard_to_case() {
        assert_eq!(
            Selector::parse("Branch_Audit"),
            Some(Selector::Version(Version::Branch("Audit".to_owned())))
        );
        assert_eq!(
            Selector::parse("snapshot_id_12"),
            Some(Selector::Version(Version::Snapshot(12)))
        );
        assert_eq!(
            Selector::parse("at_timestamp_1000"),
            Some(Selector::Version(Version::Timestamp(1000)))
        );
        assert_eq!(Selector::parse("branch_"), None);
        assert_eq!(Selector::parse("snapshot_id_x"), None);
    }
}
