//! What statements that change rows share: their target, and assignments.

use datafusion::sql::sqlparser::ast::{Expr, Ident, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use lakehouse_core::error::Result;

use std::ops::ControlFlow;

use super::{WriteOptions, write_option};
use crate::parse::{Cursor, unsupported_at};

/// The table whose rows a statement changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name as typed; a branch is its last part (`t.branch_x`).
    pub name: Vec<Ident>,
    /// What its columns are qualified by instead of its name.
    pub alias: Option<Ident>,
    /// How it is written.
    pub options: WriteOptions,
}

/// `column = value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The column, perhaps behind the target's name, and fields of structs in it.
    pub path: Vec<Ident>,
    /// What it becomes.
    pub value: AssignedValue,
}

/// The right side of an assignment, or a value of an `INSERT` clause.
#[derive(Debug, Clone, PartialEq)]
pub enum AssignedValue {
    /// The column's default, or NULL.
    Default,
    /// An expression.
    Expression(Box<Expr>),
}

impl AssignedValue {
    /// Leads a visitor through the expression.
    pub(super) fn walk<V: VisitorMut>(&mut self, visitor: &mut V) -> ControlFlow<V::Break> {
        match self {
            Self::Default => ControlFlow::Continue(()),
            Self::Expression(value) => value.visit(visitor),
        }
    }
}

/// Words that follow a target, and so are no alias of it.
const BEHIND_TARGET: &[&str] = &[
    "WHERE",
    "SET",
    "USING",
    "ORDER",
    "LIMIT",
    "RETURNING",
    "FROM",
    "ON",
    "WHEN",
    "FOR",
    "JOIN",
    "PARTITION",
    "WITH",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "NATURAL",
];

/// `name [WITH (options)] [[AS] alias] [WITH (options)]`.
pub(super) fn target(cursor: &mut Cursor) -> Result<Target> {
    let name = cursor.name("the name of a table")?;
    if *cursor.peek() == Token::LParen {
        return Err(cursor.unsupported("a function as target is not offered"));
    }
    let mut options = WriteOptions::default();
    write_option::accept(cursor, &mut options)?;
    let has_alias = match cursor.peek_upper() {
        Some(word) => !BEHIND_TARGET.contains(&word.as_str()),
        None => matches!(cursor.peek(), Token::Word(_)),
    };
    let alias = match cursor.accept(&["AS"]) || has_alias {
        true => Some(cursor.identifier("an alias of the table")?),
        false => None,
    };
    if *cursor.peek() == Token::LParen {
        return Err(cursor.unsupported("new names for the columns of a target are not offered"));
    }
    write_option::accept(cursor, &mut options)?;
    Ok(Target {
        name,
        alias,
        options,
    })
}

/// `WHERE condition`, if it comes next.
pub(super) fn condition(cursor: &mut Cursor) -> Result<Option<Expr>> {
    match cursor.accept(&["WHERE"]) {
        true => cursor.expression().map(Some),
        false => Ok(None),
    }
}

/// `a = 1, s.f = DEFAULT, …`.
pub(super) fn assignments(cursor: &mut Cursor) -> Result<Vec<Assignment>> {
    let mut assignments = Vec::new();
    loop {
        if *cursor.peek() == Token::LParen {
            return Err(cursor.unsupported(
                "several columns in parentheses are not offered: write `a = …, b = …`",
            ));
        }
        let path = cursor.name("a column")?;
        cursor.expect_token(&Token::Eq)?;
        let value = assigned_value(cursor)?;
        assignments.push(Assignment { path, value });
        if !cursor.accept_token(&Token::Comma) {
            return Ok(assignments);
        }
    }
}

/// An expression or `DEFAULT`.
pub(super) fn assigned_value(cursor: &mut Cursor) -> Result<AssignedValue> {
    let ends = match cursor.peek_nth(1) {
        Token::Comma | Token::RParen | Token::EOF => true,
        Token::Word(word) => word.quote_style.is_none(),
        _ => false,
    };
    if ends && cursor.accept(&["DEFAULT"]) {
        return Ok(AssignedValue::Default);
    }
    let value = cursor.expression()?;
    Ok(AssignedValue::Expression(Box::new(value)))
}

/// Refuses the clauses of other databases that would change fewer rows, or show them.
pub(super) fn refuse_clauses(cursor: &Cursor, statement: &str) -> Result<()> {
    let refused: &[(&[&str], &str)] = &[
        (
            &["ORDER", "BY"],
            "which rows come first is not known; name them in WHERE",
        ),
        (
            &["LIMIT"],
            "which rows come first is not known; name them in WHERE, such as \
             `WHERE id IN (SELECT … ORDER BY … LIMIT n)`",
        ),
        (
            &["RETURNING"],
            "read the rows with a SELECT before or after",
        ),
    ];
    for (words, hint) in refused {
        if cursor.peek_words(words) {
            return Err(refusal(
                cursor.location(),
                &words.join(" "),
                statement,
                hint,
            ));
        }
    }
    Ok(())
}

/// The error for a clause that is not offered.
pub(super) fn refusal(
    location: Location,
    clause: &str,
    statement: &str,
    hint: &str,
) -> lakehouse_core::error::Error {
    unsupported_at(
        location,
        format!("{clause} is not offered in {statement}: {hint}"),
    )
}
