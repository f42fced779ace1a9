//! `ALTER TABLE`: columns.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use super::AlterAction;
use crate::parse::{Cursor, invalid_at};
use crate::statement::data_type::data_type;
use crate::statement::{if_exists, if_not_exists, properties};

/// One column of `ADD COLUMN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewColumnDefinition {
    /// Its name; the parts before the last lead to the struct it is added to.
    pub path: Vec<Ident>,
    /// No error if there is one of the name.
    pub if_not_exists: bool,
    /// Its type.
    pub data_type: DataType,
    /// Whether it may hold nulls.
    pub nullable: bool,
    /// `COMMENT '…'`.
    pub comment: Option<String>,
    /// `DEFAULT expression`.
    pub default: Option<Expr>,
    /// `FIRST` or `AFTER x`.
    pub position: Option<ColumnPosition>,
}

/// The place of a column among its siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnPosition {
    /// `FIRST`.
    First,
    /// `AFTER x`.
    After(Ident),
}

/// One change of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnChange {
    /// `TYPE t`, `SET DATA TYPE t`, and the type of `CHANGE a b t`.
    Type(DataType),
    /// `COMMENT '…'`.
    Comment(String),
    /// `FIRST` or `AFTER x`.
    Position(ColumnPosition),
    /// `SET NOT NULL`.
    SetNotNull,
    /// `DROP NOT NULL`.
    DropNotNull,
    /// `SET DEFAULT expression`.
    SetDefault(Box<Expr>),
    /// `DROP DEFAULT`.
    DropDefault,
    /// The new name of `CHANGE a b t`.
    Name(Ident),
}

const NEW: &str = "the name of a new column";
const KNOWN: &str = "the name of a column";

/// `COLUMN[S] …`, behind `ADD`; `None` when something else is added.
pub(super) fn add(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    let has_word = cursor.accept_one(&["COLUMN", "COLUMNS"]).is_some();
    if !has_word && *cursor.peek() != Token::LParen {
        return Ok(None);
    }
    let if_not_exists = if_not_exists(cursor)?;
    let in_parentheses = cursor.accept_token(&Token::LParen);
    let mut columns = Vec::new();
    loop {
        columns.push(new_column(cursor, if_not_exists)?);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
        // PostgreSQL repeats the words.
        if cursor.accept(&["ADD", "COLUMN"]) {}
    }
    if in_parentheses {
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(Some(AlterAction::AddColumns(columns)))
}

fn new_column(cursor: &mut Cursor, if_not_exists: bool) -> Result<NewColumnDefinition> {
    let path = cursor.name(NEW)?;
    cursor.accept_token(&Token::Colon);
    let mut column = NewColumnDefinition {
        path,
        if_not_exists,
        data_type: data_type(cursor)?,
        nullable: true,
        comment: None,
        default: None,
        position: None,
    };
    while !cursor.at_end() && !matches!(cursor.peek(), Token::Comma | Token::RParen) {
        let location = cursor.location();
        if cursor.accept(&["NOT", "NULL"]) {
            column.nullable = false;
        } else if cursor.accept(&["NULL"]) {
            column.nullable = true;
        } else if cursor.peek_words(&["COMMENT"]) {
            properties::text_clause(cursor, &mut column.comment)?;
        } else if column.default.is_none() && cursor.accept(&["DEFAULT"]) {
            column.default = Some(cursor.default_value()?);
        } else if cursor.accept(&["LAST"]) {
            column.position = None;
        } else if let Some(position) = accept_position(cursor)? {
            if column.position.is_some() {
                return Err(invalid_at(location, "the position is given twice"));
            }
            column.position = Some(position);
        } else {
            let refused = [
                "PRIMARY",
                "UNIQUE",
                "CHECK",
                "REFERENCES",
                "GENERATED",
                "WITH",
            ];
            return Err(
                match refused.iter().find(|word| cursor.peek_words(&[word])) {
                    Some(word) => {
                        cursor.unsupported(&format!("{word} is not offered for a column"))
                    }
                    None => cursor.expected(
                        "NOT NULL, COMMENT, DEFAULT, FIRST, AFTER, `,` or the end of the statement",
                    ),
                },
            );
        }
    }
    Ok(column)
}

fn accept_position(cursor: &mut Cursor) -> Result<Option<ColumnPosition>> {
    if cursor.accept(&["FIRST"]) {
        return Ok(Some(ColumnPosition::First));
    }
    if cursor.accept(&["AFTER"]) {
        return Ok(Some(ColumnPosition::After(cursor.identifier(KNOWN)?)));
    }
    Ok(None)
}

/// `COLUMN[S] …`, behind `DROP`; `None` when something else is dropped.
pub(super) fn drop(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    if cursor.accept_one(&["COLUMN", "COLUMNS"]).is_none() {
        return Ok(None);
    }
    let if_exists = if_exists(cursor)?;
    let in_parentheses = cursor.accept_token(&Token::LParen);
    let columns = cursor.names(KNOWN)?;
    if in_parentheses {
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(Some(AlterAction::DropColumns { columns, if_exists }))
}

/// `COLUMN a TO b` and `TO name`, behind `RENAME`; `None` for anything else.
pub(super) fn rename(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    if cursor.accept(&["TO"]) {
        return Ok(Some(AlterAction::Rename(
            cursor.name("the new name of the table")?,
        )));
    }
    if !cursor.accept(&["COLUMN"]) {
        return Ok(None);
    }
    let if_exists = if_exists(cursor)?;
    let column = cursor.name(KNOWN)?;
    cursor.expect(&["TO"])?;
    let to = cursor.identifier("the new name of the column")?;
    Ok(Some(AlterAction::RenameColumn {
        column,
        to,
        if_exists,
    }))
}

/// `[COLUMN] a changes`, behind `ALTER`.
pub(super) fn alter(cursor: &mut Cursor) -> Result<AlterAction> {
    cursor.accept(&["COLUMN"]);
    let column = cursor.name(KNOWN)?;
    let changes = changes(cursor)?;
    Ok(AlterAction::AlterColumn { column, changes })
}

/// `[COLUMN] a b type …` as in Hive and Athena, or the changes of `ALTER`, behind `CHANGE`.
pub(super) fn change(cursor: &mut Cursor) -> Result<AlterAction> {
    cursor.accept(&["COLUMN"]);
    let column = cursor.name(KNOWN)?;
    let is_alter = ["TYPE", "SET", "DROP", "COMMENT", "FIRST", "AFTER"]
        .iter()
        .any(|word| cursor.peek_words(&[word]));
    if is_alter {
        let changes = changes(cursor)?;
        return Ok(AlterAction::AlterColumn { column, changes });
    }
    let name = cursor.identifier("the new name of the column")?;
    let mut changes = vec![ColumnChange::Type(data_type(cursor)?)];
    if cursor.accept(&["COMMENT"]) {
        changes.push(ColumnChange::Comment(cursor.string("a comment")?));
    }
    if let Some(position) = accept_position(cursor)? {
        changes.push(ColumnChange::Position(position));
    }
    changes.push(ColumnChange::Name(name));
    Ok(AlterAction::AlterColumn { column, changes })
}

fn changes(cursor: &mut Cursor) -> Result<Vec<ColumnChange>> {
    let mut changes = Vec::new();
    while changes.is_empty() || !cursor.at_end() {
        changes.push(
            if cursor.accept(&["TYPE"]) || cursor.accept(&["SET", "DATA", "TYPE"]) {
                ColumnChange::Type(data_type(cursor)?)
            } else if cursor.accept(&["COMMENT"]) {
                ColumnChange::Comment(cursor.string("a comment")?)
            } else if cursor.accept(&["SET", "NOT", "NULL"]) {
                ColumnChange::SetNotNull
            } else if cursor.accept(&["DROP", "NOT", "NULL"]) {
                ColumnChange::DropNotNull
            } else if cursor.accept(&["SET", "DEFAULT"]) {
                ColumnChange::SetDefault(Box::new(cursor.default_value()?))
            } else if cursor.accept(&["DROP", "DEFAULT"]) {
                ColumnChange::DropDefault
            } else if let Some(position) = accept_position(cursor)? {
                ColumnChange::Position(position)
            } else {
                return Err(cursor.expected(
                    "TYPE, SET DATA TYPE, COMMENT, FIRST, AFTER, SET or DROP NOT NULL, SET or DROP \
                 DEFAULT",
                ));
            },
        );
    }
    Ok(changes)
}
