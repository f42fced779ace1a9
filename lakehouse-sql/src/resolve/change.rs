//! DELETE, UPDATE and MERGE with their names looked up.
//!
//! The expressions of such a statement become the columns of one query over its target and what it
//! reads beside: so names, versions and metadata columns mean what they mean in queries, and are
//! looked up by the same code. How rows change is said by numbers of these columns.

mod aggregate;
mod assigned;
mod expressions;
mod qualified;

use datafusion::common::TableReference;
use datafusion::common::format::ExplainFormat;
use datafusion::sql::sqlparser::ast::{self, Ident};
use datafusion::sql::sqlparser::tokenizer::Location;
use iceberg::spec::FormatVersion;
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::governance::Privilege;
use lakehouse_core::lake::{FoundTable, Selector};
use lakehouse_core::name::quote;
use lakehouse_core::provider::WriteTerms;
use lakehouse_core::scan::MetadataColumn;
use lakehouse_core::table::{Table, Version};

use super::audit::{self, Audit};
use super::relation::{at_place, context_table, path_text, pin, resolve_query_over};
use super::{Intent, Resolved, Scope, names, refuse_writes_in_the_past};
pub(crate) use assigned::{column_change, inserted};

use crate::environment::Wap;
use crate::statement::{Explain, MergeKind, Statement, Target, WriteOptions};

/// A statement that changes rows, whose names are resolved.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The table.
    pub(crate) target: NamedTarget,
    /// What stands for the table in the query.
    pub(crate) key: TableReference,
    /// The statement's expressions as columns, over the target and what is read beside it.
    pub(crate) query: Box<ast::Query>,
    /// What is done with the rows.
    pub(crate) kind: ChangeKind,
    /// How the statement is to be explained instead of run.
    pub(crate) explain: Option<Explanation>,
}

/// What the policies are asked beside reading.
pub(crate) fn privileges_of(kind: &ChangeKind) -> Vec<Privilege> {
    match kind {
        ChangeKind::Delete => vec![Privilege::Delete],
        ChangeKind::Update(_) => vec![Privilege::Update],
        ChangeKind::Merge(clauses) => {
            let mut privileges: Vec<Privilege> = clauses
                .iter()
                .map(|clause| match clause.action {
                    ClauseAction::Delete => Privilege::Delete,
                    ClauseAction::Update(_) | ClauseAction::UpdateAll => Privilege::Update,
                    ClauseAction::Insert(_) | ClauseAction::InsertAll => Privilege::Insert,
                })
                .collect();
            privileges.dedup();
            privileges
        }
    }
}

/// The options of an `EXPLAIN`.
#[derive(Debug)]
pub(crate) struct Explanation {
    pub(crate) analyze: bool,
    pub(crate) verbose: bool,
    pub(crate) format: Option<ExplainFormat>,
}

/// What is done with the rows of a target.
#[derive(Debug)]
pub(crate) enum ChangeKind {
    /// The query's rows go.
    Delete,
    /// The query's rows change.
    Update(Vec<ColumnChange>),
    /// The first clause that is true for a row decides.
    Merge(Vec<Clause>),
}

/// A column, or a field in it, that gets another value.
#[derive(Debug)]
pub(crate) struct ColumnChange {
    /// The column's place among those of the table.
    pub(crate) column: usize,
    /// Places of fields inside of structs, from the outermost.
    pub(crate) fields: Vec<usize>,
    pub(crate) value: Value,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// The column's default, or NULL.
    Default,
    /// A column of the query.
    Item(usize),
}

/// `WHEN … THEN …` of a MERGE.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) kind: MergeKind,
    /// The column of the query that says whether the clause applies.
    pub(crate) condition: Option<usize>,
    pub(crate) action: ClauseAction,
    pub(crate) place: Location,
}

impl Clause {
    /// A clause that stands in no text.
    pub(crate) fn of_call(kind: MergeKind, condition: Option<usize>, action: ClauseAction) -> Self {
        Self {
            kind,
            condition,
            action,
            place: Location::empty(),
        }
    }
}

/// What a clause does.
#[derive(Debug)]
pub(crate) enum ClauseAction {
    Delete,
    Update(Vec<ColumnChange>),
    /// All columns from the source's of the same name.
    UpdateAll,
    /// A value for each column of the table, in order.
    Insert(Vec<Value>),
    /// All columns from the source's of the same name.
    InsertAll,
}

/// Whether a statement changes rows, also below an `EXPLAIN`.
pub(super) fn changes_rows(statement: &Statement) -> bool {
    match statement {
        Statement::Delete(_) | Statement::Update(_) | Statement::Merge(_) => true,
        Statement::Explain(explain) => changes_rows(&explain.statement),
        _ => false,
    }
}

/// Resolves a statement that changes rows.
pub(super) async fn resolve_changes(statement: Statement, scope: &Scope<'_>) -> Result<Resolved> {
    let (mut statement, explain) = match statement {
        Statement::Explain(Explain {
            analyze,
            verbose,
            format,
            statement,
        }) => {
            let explain = Explanation {
                analyze,
                verbose,
                format,
            };
            (*statement, Some(explain))
        }
        other => (other, None),
    };
    refuse_writes_in_the_past(scope)?;
    aggregate::refuse_aggregates(&mut statement, scope.state)?;
    let written = match &statement {
        Statement::Delete(delete) => delete.target.clone(),
        Statement::Update(update) => update.target.clone(),
        Statement::Merge(merge) => merge.target.clone(),
        _ => return Err(Error::internal("a statement that changes no rows")),
    };
    let target = find_target(&written, scope).await?;
    let written = target.written(written);
    let schema = target.named.found.table.schema();
    let (query, kind) = match statement {
        Statement::Delete(delete) => expressions::of_delete(*delete, &written)?,
        Statement::Update(update) => expressions::of_update(*update, &written, schema)?,
        Statement::Merge(merge) => expressions::of_merge(*merge, &written, schema)?,
        _ => return Err(Error::internal("a statement that changes no rows")),
    };
    let (query, key, tables) = resolve_query_over(query, &target, scope).await?;
    Ok(Resolved {
        intent: Intent::Changes(Box::new(Changes {
            target: target.named,
            key,
            query,
            kind,
            explain,
        })),
        tables,
    })
}

/// A table whose rows may be changed.
#[derive(Debug, Clone)]
pub(crate) struct NamedTarget {
    /// The table, viewed at the branch that is written.
    pub(crate) found: FoundTable,
    /// The metadata columns by which its rows are changed.
    pub(crate) columns: Vec<MetadataColumn>,
    /// How they are changed.
    pub(crate) terms: WriteTerms,
}

/// What a name found, as a table whose rows may be changed: in its current state, or that of a
/// branch.
///
/// # Errors
/// Versions and metadata tables, which can only be read; branches that do not exist; columns of its
/// own that hide those by which rows are told apart.
pub(crate) fn named_target(
    found: FoundTable,
    wap: &Wap,
    options: &WriteOptions,
) -> Result<NamedTarget> {
    let found = audit::view(found, wap)?;
    if !matches!(
        found.selector,
        None | Some(Selector::Version(Version::Branch(_)))
    ) {
        return Err(Error::invalid(format!(
            "this name of table {} can only be read; rows are changed in the table itself or a \
             branch of it",
            quote(found.table.ident().name())
        )));
    }
    let found = pin(found, None, None)?;
    let columns = row_columns(&found)?;
    let terms = terms(&found.table, wap, options)?;
    Ok(NamedTarget {
        found,
        columns,
        terms,
    })
}

/// On which terms a table is written, which is viewed as it is written.
pub(super) fn terms(table: &Table, wap: &Wap, options: &WriteOptions) -> Result<WriteTerms> {
    let Audit { wap_id, new_branch } = audit::of_write(table, wap)?;
    Ok(WriteTerms {
        isolation: options.isolation.as_deref().map(str::parse).transpose()?,
        wap_id,
        new_branch,
        properties: options.properties.clone().into_iter().collect(),
        summary: options.summary.clone(),
    })
}

/// The table that a statement changes.
pub(super) struct ChangeTarget {
    /// Its name as typed.
    pub(super) path: Vec<Ident>,
    /// As the name found it.
    pub(super) found: FoundTable,
    pub(super) named: NamedTarget,
}

impl ChangeTarget {
    /// The target with a name that its columns are qualified by: of a branch that of its table.
    fn written(&self, mut written: Target) -> Target {
        if self.found.selector.is_some() && written.alias.is_none() {
            written.alias = self.path.iter().rev().nth(1).cloned();
        }
        written
    }
}

/// The table a statement changes: in its current state, or that of a branch.
async fn find_target(written: &Target, scope: &Scope<'_>) -> Result<ChangeTarget> {
    let path = &written.name;
    if context_table(path, scope).await?.is_some() {
        let message = format!(
            "{} belongs to this session or is a file; only rows of the lake's tables are changed",
            path_text(path)
        );
        return Err(at_place(Error::unsupported(message), path));
    }
    let found = scope
        .lake
        .find_table(&names(path), &scope.catalog, &scope.namespace)
        .await
        .map_err(|error| at_place(error, path))?;
    refuse_insert_options(&written.options)?;
    let options = written.options.or(&scope.write);
    let named =
        named_target(found.clone(), &scope.wap, &options).map_err(|error| at_place(error, path))?;
    Ok(ChangeTarget {
        path: path.clone(),
        found,
        named,
    })
}

fn refuse_insert_options(options: &WriteOptions) -> Result<()> {
    let option = match options {
        WriteOptions {
            overwrite_mode: Some(_),
            ..
        } => "'overwrite-mode' is an option of INSERT OVERWRITE",
        WriteOptions {
            merge_schema: Some(_),
            ..
        } => "'merge-schema' is an option of INSERT … BY NAME",
        _ => return Ok(()),
    };
    Err(Error::invalid(option))
}

/// The metadata columns that say which row is meant.
fn row_columns(found: &FoundTable) -> Result<Vec<MetadataColumn>> {
    let mut columns = vec![MetadataColumn::File, MetadataColumn::Pos];
    if found.table.format_version() >= FormatVersion::V3 {
        columns.push(MetadataColumn::RowId);
    }
    let known = MetadataColumn::of_table(&found.table);
    match columns.iter().find(|column| !known.contains(column)) {
        None => Ok(columns),
        Some(hidden) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "rows of table {} are not changed: its own column {} hides the metadata column by \
                 which they are found",
                quote(found.table.ident().name()),
                quote(hidden.name())
            ),
        )),
    }
}
