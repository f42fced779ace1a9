//! From names to tables pinned to a snapshot: the only stage that asks the catalog.

mod audit;
mod change;
mod column_value;
mod command;
mod common_table;
mod copied_file;
mod dialect_call;
mod information_schema;
mod insert;
mod inserted_value;
mod metadata_column;
mod named_join;
mod read_file;
mod relation;
mod scalar_call;
mod session_table;
mod spelling;
mod struct_value;
mod unnamed;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::{ParamValues, TableReference};
use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast;
use iceberg::NamespaceIdent;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::governance::Privilege;
use lakehouse_core::lake::{FoundTable, Lake};
use lakehouse_core::name::Name;
use lakehouse_core::provider::LakeCatalog;
use lakehouse_core::scan::MetadataColumn;

pub(crate) use audit::{of_write as audit_of_write, refuse as refuse_audited, view as audit_view};
pub(crate) use change::{
    ChangeKind, Changes, Clause, ClauseAction, ColumnChange, Explanation, NamedTarget, Value,
    column_change, inserted, named_target, privileges_of,
};
pub(crate) use command::{Command, NamespaceTarget, SettingValue, Show, TableTarget};
pub(crate) use insert::InsertForm;
pub(crate) use inserted_value::exact;
pub(crate) use relation::pin;
pub(crate) use session_table::SessionTable;

use crate::environment::{OverwriteMode, Wap};
use crate::statement::{Statement, WriteOptions};

/// A statement whose names are resolved: each table is loaded once and pinned to one snapshot.
#[derive(Debug)]
pub struct Resolved {
    intent: Intent,
    tables: Vec<ResolvedTable>,
}

impl Resolved {
    /// A statement that has nothing to do.
    fn nothing() -> Self {
        Self {
            intent: Intent::Command {
                command: Box::new(Command::Nothing),
                source: None,
            },
            tables: Vec::new(),
        }
    }

    pub(crate) fn into_parts(self) -> (Intent, Vec<ResolvedTable>) {
        (self.intent, self.tables)
    }
}

/// What a resolved statement asks for.
#[derive(Debug)]
pub(crate) enum Intent {
    /// Rows that the engine plans: a query, an insert, an explanation, a copy.
    Rows {
        statement: Box<EngineStatement>,
        /// How the rows of an insert take their place.
        insert: Option<InsertForm>,
    },
    /// Changes of a table's rows.
    Changes(Box<Changes>),
    /// A command of ours, with the query whose rows a new table begins with.
    Command {
        command: Box<Command>,
        source: Option<Box<ast::Query>>,
    },
}

/// A table of a statement, under the name that now stands for it in the syntax tree.
#[derive(Debug)]
pub(crate) struct ResolvedTable {
    pub(crate) key: TableReference,
    pub(crate) source: TableOrigin,
}

/// Where a table of a statement comes from.
#[derive(Debug)]
pub(crate) enum TableOrigin {
    /// The lake: governed.
    Lake {
        found: Box<FoundTable>,
        privilege: Privilege,
        /// The metadata columns that the statement names.
        metadata_columns: Vec<MetadataColumn>,
    },
    /// The session's or program's own context: not the lake's to govern.
    Context {
        provider: Arc<dyn TableProvider>,
        privilege: Privilege,
    },
}

/// Everything names of one statement are looked up in.
pub(crate) struct Scope<'a> {
    pub(crate) lake: &'a Lake,
    pub(crate) state: &'a SessionState,
    /// The lake's catalogs by name, with the session's own tables in them.
    pub(crate) local: &'a BTreeMap<String, Arc<LakeCatalog>>,
    pub(crate) catalog: String,
    pub(crate) namespace: NamespaceIdent,
    /// The time that fixes every table of the session at once, in milliseconds since 1970.
    pub(crate) as_of_ms: Option<i64>,
    /// Which rows an INSERT OVERWRITE replaces, unless it says so itself.
    pub(crate) overwrite_mode: OverwriteMode,
    /// Where what is written to tables with `write.wap.enabled` goes.
    pub(crate) wap: Wap,
    /// How statements write that do not say it.
    pub(crate) write: WriteOptions,
    /// One instant per statement: what `current_timestamp` answers.
    pub(crate) instant: DateTime<Utc>,
    pub(crate) parameters: Option<&'a ParamValues>,
}

/// Resolves the names of a statement.
///
/// # Errors
/// Unknown names with the nearest ones, versions that do not exist, and what the catalog answers.
pub(crate) async fn resolve(mut statement: Statement, scope: &Scope<'_>) -> Result<Resolved> {
    scalar_call::refuse_ignored_clauses(&mut statement, scope.state)?;
    dialect_call::write_out_calls(&mut statement, scope.state)?;
    match statement {
        statement if change::changes_rows(&statement) => {
            change::resolve_changes(statement, scope).await
        }
        Statement::Query(_)
        | Statement::Explain(_)
        | Statement::Insert(_)
        | Statement::DataFusion(_) => relation::resolve_rows(statement, scope).await,
        other => command::resolve_command(other, scope).await,
    }
}

/// What a session that reads the past may not do.
fn refuse_writes_in_the_past(scope: &Scope<'_>) -> Result<()> {
    match scope.as_of_ms {
        None => Ok(()),
        Some(_) => Err(Error::invalid(
            "the session reads as of a time (`lakehouse.as_of`), so it cannot write; \
             `RESET lakehouse.as_of` first",
        )),
    }
}

/// A name's parts as the lake matches them.
pub(crate) fn names(parts: &[ast::Ident]) -> Vec<Name> {
    parts.iter().map(name).collect()
}

pub(crate) fn name(ident: &ast::Ident) -> Name {
    match ident.quote_style {
        Some(_) => Name::quoted(&ident.value),
        None => Name::new(&ident.value),
    }
}
