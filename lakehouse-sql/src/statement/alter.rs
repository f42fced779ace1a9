//! `ALTER TABLE`, as Spark, Trino, Athena and PostgreSQL write it.

mod column;
mod layout;
mod property;
mod reference;

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::{Error, Result};

pub use column::{ColumnChange, ColumnPosition, NewColumnDefinition};
pub use layout::{SortTermDefinition, WriteOrder};
pub use reference::{RefKind, RefOptions};

use super::partition::PartitionTerm;
use super::{Statement, if_exists};
use crate::parse::Cursor;

/// `ALTER TABLE name action`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterTable {
    /// The table's name.
    pub name: Vec<Ident>,
    /// No error if there is no such table.
    pub if_exists: bool,
    /// What to change.
    pub action: AlterAction,
}

/// One change of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlterAction {
    /// `CREATE [OR REPLACE] BRANCH | TAG [IF NOT EXISTS] name …`.
    CreateRef {
        /// Branch or tag.
        kind: RefKind,
        /// Its name.
        name: Ident,
        /// Replace it if it exists; never together with `if_not_exists`.
        or_replace: bool,
        /// Leave it alone if it exists.
        if_not_exists: bool,
        /// What it points to and how long it is kept.
        options: RefOptions,
    },
    /// `REPLACE BRANCH | TAG name …`: it must exist.
    ReplaceRef {
        /// Branch or tag.
        kind: RefKind,
        /// Its name.
        name: Ident,
        /// What it points to and how long it is kept.
        options: RefOptions,
    },
    /// `DROP BRANCH | TAG [IF EXISTS] name`.
    DropRef {
        /// Branch or tag.
        kind: RefKind,
        /// Its name.
        name: Ident,
        /// No error if there is none.
        if_exists: bool,
    },
    /// `ADD COLUMN[S] …`.
    AddColumns(Vec<NewColumnDefinition>),
    /// `DROP COLUMN[S] …`.
    DropColumns {
        /// The columns; more parts lead into nested types.
        columns: Vec<Vec<Ident>>,
        /// No error for one that is not there.
        if_exists: bool,
    },
    /// `RENAME COLUMN a TO b`.
    RenameColumn {
        /// The column.
        column: Vec<Ident>,
        /// The new name of its last part.
        to: Ident,
        /// No error if it is not there.
        if_exists: bool,
    },
    /// `ALTER | CHANGE COLUMN a …`.
    AlterColumn {
        /// The column.
        column: Vec<Ident>,
        /// Its changes, a new name last.
        changes: Vec<ColumnChange>,
    },
    /// `ADD PARTITION FIELD term`.
    AddPartitionField(PartitionTerm),
    /// `DROP PARTITION FIELD term`: a column without transform may also be the field's name.
    DropPartitionField(PartitionTerm),
    /// `REPLACE PARTITION FIELD term WITH term`.
    ReplacePartitionField {
        /// The field that goes.
        dropped: PartitionTerm,
        /// The field that comes.
        added: PartitionTerm,
    },
    /// `WRITE …`.
    Write(WriteOrder),
    /// `SET IDENTIFIER FIELDS a, b`.
    SetIdentifierFields(Vec<Vec<Ident>>),
    /// `DROP IDENTIFIER FIELDS a, b`.
    DropIdentifierFields(Vec<Vec<Ident>>),
    /// `SET TBLPROPERTIES (…)` and `SET PROPERTIES …`, under Iceberg's keys; no key twice.
    SetProperties(Vec<(String, String)>),
    /// `UNSET TBLPROPERTIES (…)`.
    UnsetProperties(Vec<String>),
    /// `SET LOCATION '…'`.
    SetLocation(String),
    /// `RENAME TO name`.
    Rename(Vec<Ident>),
}

/// `ALTER`.
pub(super) fn alter(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["ALTER"])?;
    if !cursor.peek_words(&["TABLE"]) {
        return Err(match cursor.peek_upper() {
            Some(word) => cursor.unsupported(&format!("ALTER {word} is not offered")),
            None => cursor.expected("TABLE"),
        });
    }
    cursor.advance();
    let if_exists = if_exists(cursor)?;
    let name = cursor.name("the name of a table")?;
    let action = action(cursor)?;
    Ok(Statement::AlterTable(AlterTable {
        name,
        if_exists,
        action,
    }))
}

fn action(cursor: &mut Cursor) -> Result<AlterAction> {
    let refused = refused_action(cursor);
    let first = cursor.accept_one(&[
        "CREATE", "REPLACE", "ADD", "DROP", "RENAME", "ALTER", "CHANGE", "WRITE", "SET", "UNSET",
    ]);
    let action = match first {
        Some("CREATE") => Some(reference::create(cursor)?),
        Some("REPLACE") => match reference::replace(cursor)? {
            Some(action) => Some(action),
            None => layout::replace(cursor)?,
        },
        Some("ADD") => match layout::add(cursor)? {
            Some(action) => Some(action),
            None => column::add(cursor)?,
        },
        Some("DROP") => match reference::drop(cursor)? {
            Some(action) => Some(action),
            None => match layout::drop(cursor)? {
                Some(action) => Some(action),
                None => column::drop(cursor)?,
            },
        },
        Some("RENAME") => column::rename(cursor)?,
        Some("ALTER") => Some(column::alter(cursor)?),
        Some("CHANGE") => Some(column::change(cursor)?),
        Some("WRITE") => Some(layout::write(cursor)?),
        Some("SET") => match layout::set(cursor)? {
            Some(action) => Some(action),
            None => property::set(cursor)?,
        },
        Some("UNSET") => property::unset(cursor)?,
        _ => None,
    };
    action.ok_or(refused)
}

/// The error for an action that is not offered, named by its first two words.
fn refused_action(cursor: &Cursor) -> Error {
    let Some(first) = cursor.peek_upper() else {
        return cursor.expected("ADD, DROP, RENAME, ALTER, SET, WRITE, CREATE or REPLACE");
    };
    let second = match cursor.peek_nth(1) {
        Token::Word(word) if word.quote_style.is_none() => {
            format!(" {}", word.value.to_ascii_uppercase())
        }
        _ => String::new(),
    };
    cursor.unsupported(&format!("ALTER TABLE … {first}{second} is not offered"))
}
