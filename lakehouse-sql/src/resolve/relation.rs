//! The tables of queries and inserts: looked up, pinned, and named by keys the planner finds.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::sql::parser::{ExplainStatement, Statement as EngineStatement};
use datafusion::sql::sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, TableAlias, TableFactor,
    TableFunctionArgs,
};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::governance::Privilege;
use lakehouse_core::lake::{FoundTable, Selector, dotted};
use lakehouse_core::name::quote;
use lakehouse_core::scan::MetadataColumn;
use lakehouse_core::table::Version;

use super::audit;
use super::change::ChangeTarget;
use super::common_table::move_column_names;
use super::insert::{InsertForm, insert_of, open_file, resolve_target};
use super::metadata_column::{Offer, Wanted, name_metadata_columns};
use super::named_join::write_out_joins;
use super::read_file::refuse_special_at;
use super::spelling::{Learner, Speller, Spellings, table_key};
use super::unnamed::name_repeated_columns;
use super::{Intent, Resolved, ResolvedTable, Scope, TableOrigin, names, session_table};
use crate::constant::Constants;
use crate::parse::version_clause;
use crate::statement::relation::{Relation, rename_hiding_common_tables, visit_tables_mut, walk};
use crate::statement::{Explain, Statement};

/// The table function that opens a table without a catalog.
const READ_ICEBERG: &str = "read_iceberg";

/// One table factor as written.
struct Written {
    path: Vec<Ident>,
    version: Option<ast::TableVersion>,
    /// The arguments of [`READ_ICEBERG`].
    arguments: Option<TableFunctionArgs>,
    has_alias: bool,
}

/// What stands for a table factor after its name was looked up.
pub(super) struct Replacement {
    pub(super) name: ObjectName,
    alias: Option<Ident>,
}

/// Tables found so far, by the key that stands for them.
#[derive(Default)]
pub(super) struct Found {
    tables: Vec<ResolvedTable>,
    spellings: HashMap<String, Spellings>,
    offers: HashMap<String, Offer>,
    /// Each table is loaded once for a statement, however often it is named.
    loaded: HashMap<String, FoundTable>,
    /// The files that the statement copies, by the names that stand for them.
    files: HashMap<String, Arc<dyn TableProvider>>,
    /// Metadata columns that are needed though the statement does not name them.
    wanted: Wanted,
    /// How the rows of the statement's insert take their place.
    insert: Option<InsertForm>,
}

/// Resolves a statement that the engine plans.
pub(super) async fn resolve_rows(mut statement: Statement, scope: &Scope<'_>) -> Result<Resolved> {
    if let Statement::DataFusion(engine) = &mut statement
        && let EngineStatement::CreateExternalTable(create) = engine.as_mut()
        && !session_table::place_external(create, scope).await?
    {
        return Ok(Resolved::nothing());
    }
    let mut found = Found::default();
    resolve_tables(&mut statement, scope, Repeated::Named, &mut found).await?;
    Ok(Resolved {
        intent: Intent::Rows {
            statement: Box::new(engine_statement(statement)?),
            insert: found.insert,
        },
        tables: found.tables,
    })
}

/// Resolves the query that a new table's rows come from; what it reads of the table that is
/// replaced, which is `loaded`, is read in the same state.
pub(super) async fn resolve_source(
    query: Box<ast::Query>,
    loaded: Option<(&[Ident], FoundTable)>,
    scope: &Scope<'_>,
) -> Result<(Box<ast::Query>, Vec<ResolvedTable>)> {
    let mut statement = Statement::Query(query);
    let mut found = Found::default();
    let loaded = loaded.map(|(path, table)| (path_key(path), table));
    found.loaded.extend(loaded);
    resolve_tables(&mut statement, scope, Repeated::Refused, &mut found).await?;
    Ok((query_of(statement)?, found.tables))
}

/// Resolves a query over a table that is changed, whose rows are told apart by metadata columns;
/// returns the key that stands for it, too.
pub(super) async fn resolve_query_over(
    query: Box<ast::Query>,
    target: &ChangeTarget,
    scope: &Scope<'_>,
) -> Result<(Box<ast::Query>, TableReference, Vec<ResolvedTable>)> {
    let mut statement = Statement::Query(query);
    let mut found = Found::default();
    // Where the query names the table again, it reads the same state.
    let loaded = (path_key(&target.path), target.found.clone());
    found.loaded.extend([loaded]);
    let view = &target.named.found;
    found.add_lake_table(&target.path, view.clone(), Privilege::Select)?;
    let key = found
        .key_of(view, Privilege::Select)
        .cloned()
        .ok_or_else(|| Error::internal("a table without a key"))?;
    let columns = target.named.columns.iter().copied().collect();
    found.wanted.insert(key_text(&key), columns);
    resolve_tables(&mut statement, scope, Repeated::Named, &mut found).await?;
    Ok((query_of(statement)?, key, found.tables))
}

fn query_of(statement: Statement) -> Result<Box<ast::Query>> {
    match statement {
        Statement::Query(query) => Ok(query),
        _ => Err(Error::internal(
            "a query became another statement while it was resolved",
        )),
    }
}

/// What becomes of a column that a `*` beside it shows too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeated {
    /// It gets a name of its own.
    Named,
    /// The engine refuses it: the columns of a new table are named by who makes it.
    Refused,
}

async fn resolve_tables(
    statement: &mut Statement,
    scope: &Scope<'_>,
    repeated: Repeated,
    found: &mut Found,
) -> Result<()> {
    if let Some(insert) = insert_of(statement) {
        open_file(insert, scope, found).await?;
    }
    name_repeated_columns(statement, None);
    rename_hiding_common_tables(statement);
    let mut written = Vec::new();
    visit_tables_mut(statement, |factor, relation| {
        collect(factor, relation, &mut written)
    })?;

    let constants = Constants::try_new(scope.state, scope.instant, scope.parameters)?;
    let mut replacements = Vec::with_capacity(written.len());
    for table in &written {
        replacements.push(look_up(table, scope, &constants, found).await?);
    }
    keep_apart(&written, &mut replacements);
    let mut replacements = replacements.into_iter();
    visit_tables_mut(statement, |factor, relation| {
        if (relation == Relation::Table || is_read_iceberg(factor))
            && let Some(replacement) = replacements.next()
        {
            replace(factor, replacement);
        }
        Ok(())
    })?;
    if let Some(insert) = insert_of(statement) {
        found.insert = Some(resolve_target(insert, scope, found).await?);
    }
    write_out_joins(statement, &found.spellings)?;
    spell(statement, &found.spellings)?;
    // Again: what differed in spelling only is the same by now.
    let tables = (repeated == Repeated::Named).then_some(&found.spellings);
    name_repeated_columns(statement, tables);
    let wanted = std::mem::take(&mut found.wanted);
    let wanted = name_metadata_columns(statement, &found.offers, wanted)?;
    found.want(&wanted);
    move_column_names(statement)
}

fn collect(factor: &TableFactor, relation: Relation, written: &mut Vec<Written>) -> Result<()> {
    let TableFactor::Table {
        name,
        version,
        args,
        alias,
        ..
    } = factor
    else {
        return Ok(());
    };
    if relation == Relation::Table || is_read_iceberg(factor) {
        let (path, version) = (idents(name)?, version.clone());
        written.push(Written {
            path,
            version,
            arguments: args.clone(),
            has_alias: alias.is_some(),
        });
    } else if let Some(version) = version {
        return Err(Error::invalid(format!(
            "`{version}` stands behind {name}, which is not a table of the lake"
        )));
    }
    Ok(())
}

/// Two tables of one last name (`a.t` and `b.t`) keep their whole names, so that a column can say
/// which it means.
fn keep_apart(written: &[Written], replacements: &mut [Replacement]) {
    let mut names: HashMap<String, BTreeSet<String>> = HashMap::new();
    let last = |written: &Written| {
        let last = written.path.last().filter(|_| !written.has_alias);
        last.map(|last| last.value.to_lowercase())
    };
    for (written, replacement) in written.iter().zip(&*replacements) {
        if let Some(last) = last(written) {
            let name = table_key(&replacement.name);
            names.entry(last).or_default().insert(name);
        }
    }
    for (written, replacement) in written.iter().zip(replacements) {
        let names = last(written).and_then(|last| names.get(&last));
        if names.is_some_and(|names| names.len() > 1) && replacement.name.0.len() > 1 {
            replacement.alias = None;
        }
    }
}

fn is_read_iceberg(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Table { name, args: Some(_), .. }
        if matches!(name.0.as_slice(), [ObjectNamePart::Identifier(function)]
            if function.value.eq_ignore_ascii_case(READ_ICEBERG)))
}

pub(super) fn idents(name: &ObjectName) -> Result<Vec<Ident>> {
    name.0
        .iter()
        .map(|part| {
            part.as_ident()
                .cloned()
                .ok_or_else(|| Error::invalid(format!("{name} is no name of a table")))
        })
        .collect()
}

/// Finds what a table factor means and names it by a key.
async fn look_up(
    written: &Written,
    scope: &Scope<'_>,
    constants: &Constants<'_>,
    found: &mut Found,
) -> Result<Replacement> {
    let version = match &written.version {
        Some(version) => Some(constants.version(&version_clause(version)?)?),
        None => None,
    };
    if let Some(arguments) = &written.arguments {
        let location = file_argument(arguments, constants)?;
        let table = scope
            .lake
            .open_file(&location)
            .await
            .map_err(|e| at_place(e, &written.path))?;
        let pinned =
            pin(table, version, scope.as_of_ms).map_err(|error| at_place(error, &written.path))?;
        return found.add_lake_table(&[], pinned, Privilege::Select);
    }
    if let Some(file) = found.files.get(&path_key(&written.path)) {
        let provider = Arc::clone(file);
        return Ok(found.add_context_table(&written.path, provider, Privilege::Select));
    }
    if let Some(provider) = context_table(&written.path, scope).await? {
        if version.is_some() {
            return Err(Error::unsupported(format!(
                "table {} belongs to this session and has no versions",
                path_text(&written.path)
            )));
        }
        return Ok(found.add_context_table(&written.path, provider, Privilege::Select));
    }
    let table = match found.loaded.get(&path_key(&written.path)) {
        Some(table) => table.clone(),
        None => {
            let table = scope
                .lake
                .find_table(&names(&written.path), &scope.catalog, &scope.namespace)
                .await
                .map_err(|error| at_place(error, &written.path))?;
            // Another spelling of a table's name reads the same state of it.
            let table = found.as_loaded(table);
            found.loaded.insert(path_key(&written.path), table.clone());
            table
        }
    };
    let table = match (&version, scope.as_of_ms) {
        (None, None) => audit::view(table, &scope.wap),
        _ => Ok(table),
    };
    let pinned = table.and_then(|table| pin(table, version, scope.as_of_ms));
    let pinned = pinned.map_err(|error| at_place(error, &written.path))?;
    found.add_lake_table(&written.path, pinned, Privilege::Select)
}

/// The one text argument of `read_iceberg('…')`.
fn file_argument(arguments: &TableFunctionArgs, constants: &Constants<'_>) -> Result<String> {
    let expected = || {
        Error::invalid(format!(
            "{READ_ICEBERG} takes one text: a metadata file, or a table's folder with version-hint.text"
        ))
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = arguments.args.as_slice() else {
        return Err(expected());
    };
    let value = constants.evaluate(argument)?;
    value
        .try_as_str()
        .flatten()
        .map(str::to_owned)
        .ok_or_else(expected)
}

/// The table at the version that clause, name and session ask for, in this order.
///
/// # Errors
/// Two versions for one table; versions that do not exist.
pub(crate) fn pin(
    mut found: FoundTable,
    clause: Option<Version>,
    as_of_ms: Option<i64>,
) -> Result<FoundTable> {
    let is_named = match &found.selector {
        Some(Selector::Version(_)) => true,
        // `t.branch_x.files` is pinned to its version by now.
        Some(Selector::Metadata(_)) => found.table.version().is_some(),
        None => false,
    };
    if is_named && clause.is_some() {
        return Err(Error::invalid(
            "a table takes one version: either in its name or in an AS OF clause",
        ));
    }
    if let (Some(Selector::Metadata(kind)), Some(_)) = (&found.selector, &clause) {
        kind.check_takes_version()?;
    }
    let version = match (&found.selector, clause) {
        (Some(Selector::Version(version)), None) => Some(version.clone()),
        (Some(Selector::Metadata(kind)), None) if is_named || !kind.allows_time_travel() => None,
        (_, Some(version)) => Some(version),
        (_, None) => as_of_ms.map(Version::Timestamp),
    };
    if let Some(version) = version {
        found.table = found.table.at(version)?;
    }
    if let Some(Selector::Version(_)) = found.selector {
        found.selector = None;
    }
    Ok(found)
}

/// A table that the session or program registered, which wins over the lake's.
pub(super) async fn context_table(
    path: &[Ident],
    scope: &Scope<'_>,
) -> Result<Option<Arc<dyn TableProvider>>> {
    if let Some(own) = session_table::find(path, scope)? {
        return Ok(Some(own.provider));
    }
    let reference = match path {
        [table] => TableReference::bare(table.value.clone()),
        [schema, table] => TableReference::partial(schema.value.clone(), table.value.clone()),
        [catalog, schema, table] => TableReference::full(
            catalog.value.clone(),
            schema.value.clone(),
            table.value.clone(),
        ),
        _ => return Ok(None),
    };
    let is_information_schema = reference
        .schema()
        .is_some_and(|schema| schema.eq_ignore_ascii_case("information_schema"));
    let is_foreign = reference
        .catalog()
        .is_some_and(|catalog| !scope.lake.catalogs().contains_key(catalog))
        && reference
            .catalog()
            .is_some_and(|catalog| scope.state.catalog_list().catalog(catalog).is_some());
    if is_information_schema {
        for catalog in scope.local.values() {
            catalog.refresh().await?;
        }
    }
    let is_file = looks_like_file(path);
    if !is_information_schema && !is_foreign && !is_file {
        return Ok(None);
    }
    if is_file {
        let checked = refuse_special_at(reference.table()).await;
        checked.map_err(|error| at_place(error, path))?;
    }
    let reference = if is_information_schema {
        lower(&reference)
    } else {
        reference
    };
    let schema = scope.state.schema_for_ref(reference.clone())?;
    let table = schema.table(reference.table()).await?;
    match table {
        Some(engine) if is_information_schema && reference.table() == "columns" => Ok(Some(
            super::information_schema::columns(engine.as_ref(), scope.state).await?,
        )),
        other => Ok(other),
    }
}

fn lower(reference: &TableReference) -> TableReference {
    let table = reference.table().to_lowercase();
    match (reference.catalog(), reference.schema()) {
        (Some(catalog), Some(schema)) => {
            TableReference::full(catalog, schema.to_lowercase(), table)
        }
        (None, Some(schema)) => TableReference::partial(schema.to_lowercase(), table),
        _ => TableReference::bare(table),
    }
}

/// `SELECT * FROM 'folder/file.parquet'`: one quoted part with an extension the engine knows.
fn looks_like_file(path: &[Ident]) -> bool {
    const COMPRESSED: &[&str] = &[".gz", ".bz2", ".xz", ".zst"];
    let [only] = path else {
        return false;
    };
    let name = only.value.to_lowercase();
    let plain = COMPRESSED.iter().find_map(|end| name.strip_suffix(end));
    let plain = plain.unwrap_or(&name);
    only.quote_style.is_some()
        && [".parquet", ".csv", ".json", ".ndjson", ".arrow"]
            .iter()
            .any(|extension| plain.ends_with(extension))
}

impl Found {
    pub(super) fn add_context_table(
        &mut self,
        path: &[Ident],
        provider: Arc<dyn TableProvider>,
        privilege: Privilege,
    ) -> Replacement {
        let key = path_key(path);
        let name = ObjectName(vec![quoted_part(&key)]);
        let schema = provider.schema();
        let columns = schema.fields().iter().map(|field| field.name().as_str());
        let hidden = columns.clone().filter_map(MetadataColumn::from_name);
        let offer = Offer {
            offered: Vec::new(),
            hidden: hidden.collect(),
        };
        self.offers.insert(table_key(&name), offer);
        self.spellings
            .insert(table_key(&name), Spellings::of_names(columns));
        let origin = TableOrigin::Context {
            provider,
            privilege,
        };
        self.add(TableReference::bare(key), origin);
        Replacement {
            name,
            alias: path.last().cloned(),
        }
    }

    /// Lets a name stand for a file.
    pub(super) fn add_file(&mut self, location: &str, provider: Arc<dyn TableProvider>) {
        let path = [Ident::with_quote('"', location)];
        self.files.insert(path_key(&path), provider);
    }

    /// Gives a table of the lake a key of the statement.
    pub(super) fn add_lake_table(
        &mut self,
        path: &[Ident],
        found: FoundTable,
        privilege: Privilege,
    ) -> Result<Replacement> {
        let ident = found.table.ident();
        let mut table = ident.name().to_owned();
        if let Some(Selector::Metadata(kind)) = &found.selector {
            table = format!("{table}${}", kind.name());
        }
        if let Some(version) = found.table.version() {
            table = format!("{table} at {version}");
        }
        let namespace = dotted(ident.namespace());
        let catalog = found.catalog_name.clone();
        let own = ident.name().to_lowercase();
        let is_own = |part: &Ident| part.value.to_lowercase() == own;
        let spellings = match (&found.selector, path) {
            (Some(Selector::Metadata(kind)), _) => {
                Spellings::of_fields(kind.schema(&found.table)?.fields())
            }
            // A name that goes on behind the table's.
            (_, [.., table, version]) if is_own(table) && !is_own(version) => {
                Spellings::of_schema(found.table.schema()).of_version(&table.value, &version.value)
            }
            _ => Spellings::of_schema(found.table.schema()),
        };
        let offer = match &found.selector {
            Some(Selector::Metadata(_)) => Offer::default(),
            _ => Offer::of(&found),
        };
        let key = match self.key_of(&found, privilege) {
            Some(key) => key.clone(),
            None => {
                // What is read is governed apart from what is written, though it is the same table.
                if privilege == Privilege::Insert && self.has(&catalog, &namespace, &table) {
                    table.push_str(" (target)");
                }
                self.new_key(&catalog, &namespace, &table)
            }
        };
        let parts = [key.catalog(), key.schema(), Some(key.table())];
        let name = ObjectName(parts.into_iter().flatten().map(quoted_part).collect());
        self.offers.insert(table_key(&name), offer);
        self.spellings.insert(table_key(&name), spellings);
        self.add(
            key,
            TableOrigin::Lake {
                found: Box::new(found),
                privilege,
                metadata_columns: Vec::new(),
            },
        );
        // By the name as typed the engine finds its columns and shows them: `t.c`, `count(t.c)`.
        Ok(Replacement {
            name,
            alias: path.last().cloned(),
        })
    }

    /// The table in the state in which the statement reads it, where it does.
    pub(super) fn as_loaded(&self, mut table: FoundTable) -> FoundTable {
        let is_it = |known: &&FoundTable| {
            known.catalog_name == table.catalog_name
                && known.table.ident() == table.table.ident()
                && known.table.version().is_none()
        };
        if table.table.version().is_none()
            && let Some(known) = self.loaded.values().find(is_it)
        {
            table.table = known.table.clone();
        }
        table
    }

    /// The key of a table that is here already: the same metadata at the same version.
    fn key_of(&self, wanted: &FoundTable, wanted_for: Privilege) -> Option<&TableReference> {
        let is_it = |table: &&ResolvedTable| match &table.source {
            TableOrigin::Lake {
                found, privilege, ..
            } => *privilege == wanted_for && is_same(found, wanted),
            TableOrigin::Context { .. } => false,
        };
        self.tables.iter().find(is_it).map(|table| &table.key)
    }

    /// A key like the table's name that no other table has. Names alone do not tell tables apart:
    /// files of two folders may be called the same, and a table may be called `t$snapshots`.
    fn new_key(&self, catalog: &str, namespace: &str, table: &str) -> TableReference {
        let mut key = TableReference::full(catalog, namespace, table);
        let mut number = 1_usize;
        while self.tables.iter().any(|known| known.key == key) {
            number += 1;
            key = TableReference::full(catalog, namespace, format!("{table} ({number})"));
        }
        key
    }

    fn add(&mut self, key: TableReference, source: TableOrigin) {
        if !self.tables.iter().any(|table| table.key == key) {
            self.tables.push(ResolvedTable { key, source });
        }
    }

    /// Gives the tables the metadata columns that are wanted of them.
    fn want(&mut self, wanted: &Wanted) {
        for table in &mut self.tables {
            if let TableOrigin::Lake {
                metadata_columns, ..
            } = &mut table.source
                && let Some(columns) = wanted.get(&key_text(&table.key))
            {
                *metadata_columns = columns.iter().copied().collect();
            }
        }
    }

    fn has(&self, catalog: &str, namespace: &str, table: &str) -> bool {
        let key = TableReference::full(catalog, namespace, table);
        self.tables.iter().any(|known| known.key == key)
    }
}

/// A key as [`table_key`] writes the name that stands for it.
fn key_text(key: &TableReference) -> String {
    let parts = [key.catalog(), key.schema(), Some(key.table())];
    let parts = parts.into_iter().flatten().map(quoted_part);
    table_key(&ObjectName(parts.collect()))
}

/// Whether two tables are one: every part of what was found that tells what is read.
fn is_same(one: &FoundTable, other: &FoundTable) -> bool {
    let FoundTable {
        catalog_name,
        catalog: _,
        table,
        selector,
    } = one;
    *catalog_name == other.catalog_name
        && *selector == other.selector
        && table.ident() == other.table.ident()
        && table.metadata_location() == other.table.metadata_location()
        && table.metadata().uuid() == other.table.metadata().uuid()
        && table.snapshot_id() == other.table.snapshot_id()
        && table.version() == other.table.version()
}

fn replace(factor: &mut TableFactor, replacement: Replacement) {
    if let TableFactor::Table {
        name,
        alias,
        version,
        args,
        ..
    } = factor
    {
        *name = replacement.name;
        *version = None;
        *args = None;
        if alias.is_none() {
            *alias = replacement.alias.map(|name| TableAlias {
                explicit: true,
                name,
                columns: Vec::new(),
            });
        }
    }
}

/// Writes every column name as it is stored.
fn spell(statement: &mut Statement, tables: &HashMap<String, Spellings>) -> Result<()> {
    let mut speller = Speller::new(tables);
    for step in [true, false] {
        let walked = if step {
            walk(statement, &mut Learner(&mut speller))
        } else {
            walk(statement, &mut speller)
        };
        if let ControlFlow::Break(error) = walked {
            return Err(error);
        }
    }
    Ok(())
}

/// The statement in the form the engine's planner takes.
fn engine_statement(statement: Statement) -> Result<EngineStatement> {
    Ok(match statement {
        Statement::Query(query) => {
            EngineStatement::Statement(Box::new(ast::Statement::Query(query)))
        }
        Statement::Insert(insert) => {
            EngineStatement::Statement(Box::new(ast::Statement::Insert(insert.insert)))
        }
        Statement::DataFusion(statement) => *statement,
        Statement::Explain(Explain {
            analyze,
            verbose,
            format,
            statement,
        }) => EngineStatement::Explain(ExplainStatement {
            analyze,
            verbose,
            format: format.map(|format| format.to_string()),
            statement: Box::new(engine_statement(*statement)?),
        }),
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("this statement cannot be planned here: {other:?}"),
            ));
        }
    })
}

fn quoted_part(part: &str) -> ObjectNamePart {
    ObjectNamePart::Identifier(Ident::with_quote('"', part))
}

pub(super) fn path_text(path: &[Ident]) -> String {
    let parts: Vec<String> = path.iter().map(ToString::to_string).collect();
    parts.join(".")
}

/// A path's identity within a statement: quoting matters, case of unquoted parts does not.
fn path_key(path: &[Ident]) -> String {
    let parts: Vec<String> = path
        .iter()
        .map(|ident| match ident.quote_style {
            Some(_) => quote(&ident.value),
            None => ident.value.to_lowercase(),
        })
        .collect();
    parts.join(".")
}

/// An error about a name, with the name's place in the SQL.
pub(super) fn at_place(error: Error, path: &[Ident]) -> Error {
    match path.first() {
        Some(first) if first.span.start.line > 0 => error
            .with_context("line", first.span.start.line)
            .with_context("column", first.span.start.column),
        _ => error,
    }
}
