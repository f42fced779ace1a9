//! The closed set of statements, one file per family, and the choice among them by leading words.
//!
//! What is not a variant of [`Statement`] is refused while it is read, with the words that are not
//! offered; no later stage meets a statement it does not know.

mod alter;
mod call;
mod change;
mod copy;
mod create;
mod data_type;
mod delete;
mod drop;
mod insert;
mod merge;
mod namespace;
mod partition;
mod properties;
mod query;
pub mod relation;
mod set;
mod show;
mod truncate;
mod update;
mod write_option;

use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::{Error, Result};

pub use alter::{
    AlterAction, AlterTable, ColumnChange, ColumnPosition, NewColumnDefinition, RefKind,
    RefOptions, SortTermDefinition, WriteOrder,
};
pub use call::{Argument, Call};
pub use change::{AssignedValue, Assignment, Target};
pub(crate) use copy::PARTITION_COLUMN;
pub use copy::{CopiedFile, CopyFormat, CsvForm};
pub use create::{ColumnDefinition, CreateMode, CreateTable};
pub(crate) use data_type::DEPTH_MAX as TYPE_DEPTH_MAX;
pub use delete::Delete;
pub use drop::{DropNamespace, DropTable};
pub use insert::InsertRows;
pub use merge::{Merge, MergeAction, MergeClause, MergeKind};
pub use namespace::CreateNamespace;
pub use partition::PartitionTerm;
pub use query::Explain;
pub use set::{Reset, Set, SetValue, Use};
pub use show::{Describe, ShowTarget};
pub use update::Update;
pub use write_option::WriteOptions;

use crate::parse::{Cursor, nearest};

/// One SQL statement, read but not resolved: names are as typed.
#[derive(Debug, Clone)]
pub enum Statement {
    /// `SELECT`, `WITH`, `VALUES`, `FROM …`.
    Query(Box<Query>),
    /// `EXPLAIN` of a query or a statement that writes rows.
    Explain(Explain),
    /// `INSERT INTO` or `INSERT OVERWRITE` with a query or values.
    Insert(Box<InsertRows>),
    /// `DELETE`, and `TRUNCATE TABLE`, which deletes all rows.
    Delete(Box<Delete>),
    /// `UPDATE`.
    Update(Box<Update>),
    /// `MERGE INTO`.
    Merge(Box<Merge>),
    /// `CREATE SCHEMA`, `DATABASE` or `NAMESPACE`.
    CreateNamespace(CreateNamespace),
    /// `DROP SCHEMA`, `DATABASE` or `NAMESPACE`.
    DropNamespace(DropNamespace),
    /// `CREATE TABLE` and `REPLACE TABLE`, with or without a query.
    CreateTable(CreateTable),
    /// `DROP TABLE`.
    DropTable(DropTable),
    /// `ALTER TABLE`.
    AlterTable(AlterTable),
    /// `CALL` of a procedure.
    Call(Call),
    /// `SHOW`.
    Show(ShowTarget),
    /// `DESCRIBE` of a table.
    Describe(Describe),
    /// `SET` of a variable.
    Set(Set),
    /// `RESET` of a variable.
    Reset(Reset),
    /// `USE` of a namespace.
    Use(Use),
    /// What DataFusion plans itself: `COPY … TO` (its source is always a query) and
    /// `CREATE EXTERNAL TABLE`, which lasts as long as the session.
    DataFusion(Box<DataFusionStatement>),
}

impl Statement {
    /// What kind of statement this is, in lower case, for logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Query(_) => "query",
            Self::Explain(_) => "explain",
            Self::Insert(_) => "insert",
            Self::Delete(_) => "delete",
            Self::Update(_) => "update",
            Self::Merge(_) => "merge",
            Self::CreateNamespace(_) => "create namespace",
            Self::DropNamespace(_) => "drop namespace",
            Self::CreateTable(_) => "create table",
            Self::DropTable(_) => "drop table",
            Self::AlterTable(_) => "alter table",
            Self::Call(_) => "call",
            Self::Show(_) => "show",
            Self::Describe(_) => "describe",
            Self::Set(_) => "set",
            Self::Reset(_) => "reset",
            Self::Use(_) => "use",
            Self::DataFusion(_) => "engine",
        }
    }
}

/// The words a statement can begin with, for suggestions.
const LEADING_WORDS: &[&str] = &[
    "SELECT", "WITH", "VALUES", "FROM", "EXPLAIN", "INSERT", "CREATE", "DROP", "ALTER", "CALL",
    "SHOW", "DESCRIBE", "DESC", "SET", "RESET", "USE", "COPY", "MERGE", "UPDATE", "DELETE",
    "TRUNCATE", "REPLACE",
];

/// Leading words of statements that are SQL, but not offered, and what to say about each.
const NOT_OFFERED: &[(&str, &str)] = &[
    ("GRANT", "GRANT is not offered yet"),
    ("REVOKE", "REVOKE is not offered yet"),
    ("DENY", "DENY is not offered yet"),
    ("OPTIMIZE", "OPTIMIZE is not offered yet"),
    ("VACUUM", "VACUUM is not offered yet"),
    ("ANALYZE", "ANALYZE is not offered yet"),
    (
        "BEGIN",
        "transactions of several statements are not offered: each statement commits alone",
    ),
    (
        "START",
        "transactions of several statements are not offered: each statement commits alone",
    ),
    (
        "COMMIT",
        "transactions of several statements are not offered: each statement commits alone",
    ),
    (
        "ROLLBACK",
        "transactions of several statements are not offered: see rollback_to_snapshot",
    ),
    (
        "SAVEPOINT",
        "transactions of several statements are not offered: each statement commits alone",
    ),
    (
        "RELEASE",
        "transactions of several statements are not offered: each statement commits alone",
    ),
    (
        "PREPARE",
        "PREPARE is not offered: bind parameters with the statement",
    ),
    (
        "EXECUTE",
        "EXECUTE is not offered: bind parameters with the statement",
    ),
    (
        "DEALLOCATE",
        "DEALLOCATE is not offered: bind parameters with the statement",
    ),
    ("COMMENT", "COMMENT ON is not offered yet"),
    (
        "REFRESH",
        "REFRESH is not offered: every statement reads the newest snapshot",
    ),
    ("CACHE", "CACHE is not offered"),
    ("UNCACHE", "UNCACHE is not offered"),
    (
        "MSCK",
        "MSCK is not offered: partitions are in the table's metadata",
    ),
    ("LOAD", "LOAD is not offered"),
    ("UNLOAD", "UNLOAD is not offered: write COPY … TO"),
    ("ATTACH", "ATTACH is not offered"),
    ("DETACH", "DETACH is not offered"),
    ("DECLARE", "DECLARE is not offered"),
    (
        "TABLE",
        "TABLE as a query is not offered: write SELECT * FROM",
    ),
];

/// Reads the statement that begins at the cursor.
pub(crate) fn read(cursor: &mut Cursor) -> Result<Statement> {
    if *cursor.peek() == Token::LParen {
        return query::query(cursor);
    }
    let Some(leading) = cursor.peek_upper() else {
        return Err(cursor.expected("an SQL statement"));
    };
    match leading.as_str() {
        "SELECT" | "WITH" | "VALUES" | "FROM" => query::query(cursor),
        "EXPLAIN" => query::explain(cursor),
        "INSERT" => insert::insert(cursor),
        "DELETE" => delete::delete(cursor),
        "UPDATE" => update::update(cursor),
        "MERGE" => merge::merge(cursor),
        "TRUNCATE" => truncate::truncate(cursor),
        "CREATE" => create::create(cursor),
        "REPLACE" => create::replace(cursor),
        "DROP" => drop::drop(cursor),
        "ALTER" => alter::alter(cursor),
        "CALL" => call::call(cursor),
        "SHOW" => show::show(cursor),
        "DESCRIBE" | "DESC" => show::describe(cursor),
        "SET" => set::set(cursor),
        "RESET" => set::reset(cursor),
        "USE" => set::use_namespace(cursor),
        "COPY" => copy::copy(cursor),
        _ => Err(unknown(cursor, &leading)),
    }
}

/// The error for a statement that begins with a word no statement of ours begins with.
fn unknown(cursor: &Cursor, leading: &str) -> Error {
    if let Some((_, message)) = NOT_OFFERED.iter().find(|(word, _)| *word == leading) {
        return cursor.unsupported(message);
    }
    match nearest(leading, LEADING_WORDS) {
        Some(word) => cursor.expected(&format!("an SQL statement (did you mean `{word}`?)")),
        None => cursor.expected("an SQL statement"),
    }
}

/// `[IF NOT EXISTS]`.
fn if_not_exists(cursor: &mut Cursor) -> Result<bool> {
    let found = cursor.accept(&["IF"]);
    if found {
        cursor.expect(&["NOT", "EXISTS"])?;
    }
    Ok(found)
}

/// `[IF EXISTS]`.
fn if_exists(cursor: &mut Cursor) -> Result<bool> {
    let found = cursor.accept(&["IF"]);
    if found {
        cursor.expect(&["EXISTS"])?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
