//! `ALTER TABLE`: branches and tags.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::{Error, Result};

use super::{Statement, if_exists, if_not_exists};
use crate::parse::{Cursor, invalid_at};

/// `ALTER TABLE name action`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterTable {
    /// The table's name.
    pub name: Vec<Ident>,
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
}

/// The two kinds of named references to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// Moves with each write to it.
    Branch,
    /// Stays where it is.
    Tag,
}

/// What a reference points to and how long it is kept; what is `None` was not written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefOptions {
    /// `AS OF VERSION id`; otherwise the current snapshot.
    pub snapshot_id: Option<i64>,
    /// `RETAIN n DAYS`: age at which the reference itself expires, in milliseconds.
    pub ref_age_max_ms: Option<i64>,
    /// `WITH SNAPSHOT RETENTION n SNAPSHOTS`: how many a branch keeps at least.
    pub snapshots_min: Option<i32>,
    /// `WITH SNAPSHOT RETENTION … n DAYS`: age at which a branch's snapshots expire, in
    /// milliseconds.
    pub snapshot_age_max_ms: Option<i64>,
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
    let name = cursor.name("the name of a table")?;
    let action = action(cursor)?;
    Ok(Statement::AlterTable(AlterTable { name, action }))
}

fn action(cursor: &mut Cursor) -> Result<AlterAction> {
    let place = refused_action(cursor);
    if cursor.accept(&["CREATE"]) {
        let or_replace = cursor.accept(&["OR"]);
        if or_replace {
            cursor.expect(&["REPLACE"])?;
        }
        let Some(kind) = accept_kind(cursor) else {
            return Err(cursor.expected("BRANCH or TAG"));
        };
        let location = cursor.location();
        let if_not_exists = if_not_exists(cursor)?;
        if or_replace && if_not_exists {
            return Err(invalid_at(
                location,
                "OR REPLACE and IF NOT EXISTS exclude each other",
            ));
        }
        let name = ref_name(cursor, kind)?;
        let options = options(cursor, kind)?;
        return Ok(AlterAction::CreateRef {
            kind,
            name,
            or_replace,
            if_not_exists,
            options,
        });
    }
    if cursor.accept(&["REPLACE"]) {
        let kind = accept_kind(cursor).ok_or(place)?;
        let name = ref_name(cursor, kind)?;
        return Ok(AlterAction::ReplaceRef {
            kind,
            name,
            options: options(cursor, kind)?,
        });
    }
    if cursor.accept(&["DROP"]) {
        let kind = accept_kind(cursor).ok_or(place)?;
        let if_exists = if_exists(cursor)?;
        return Ok(AlterAction::DropRef {
            kind,
            name: ref_name(cursor, kind)?,
            if_exists,
        });
    }
    Err(place)
}

/// The error for an action that is not offered, named by its first two words.
fn refused_action(cursor: &Cursor) -> Error {
    let Some(first) = cursor.peek_upper() else {
        return cursor.expected("CREATE, REPLACE or DROP and BRANCH or TAG");
    };
    let second = match cursor.peek_nth(1) {
        Token::Word(word) if word.quote_style.is_none() => {
            format!(" {}", word.value.to_ascii_uppercase())
        }
        _ => String::new(),
    };
    cursor.unsupported(&format!("ALTER TABLE … {first}{second} is not offered yet"))
}

fn accept_kind(cursor: &mut Cursor) -> Option<RefKind> {
    cursor
        .accept_one(&["BRANCH", "TAG"])
        .map(|word| match word {
            "TAG" => RefKind::Tag,
            _ => RefKind::Branch,
        })
}

fn ref_name(cursor: &mut Cursor, kind: RefKind) -> Result<Ident> {
    cursor.identifier(match kind {
        RefKind::Branch => "the name of a branch",
        RefKind::Tag => "the name of a tag",
    })
}

/// The clauses after the name, in the one order that Spark allows.
fn options(cursor: &mut Cursor, kind: RefKind) -> Result<RefOptions> {
    let mut options = RefOptions::default();
    if cursor.accept(&["AS", "OF"]) {
        cursor.expect(&["VERSION"])?;
        options.snapshot_id = Some(cursor.integer("a snapshot id")?);
    }
    if cursor.accept(&["RETAIN"]) {
        options.ref_age_max_ms = Some(age_ms(cursor)?);
    }
    if kind == RefKind::Tag && cursor.peek_words(&["WITH"]) {
        return Err(cursor.expected("the end of the statement: a tag keeps one snapshot"));
    }
    if cursor.accept(&["WITH"]) {
        cursor.expect(&["SNAPSHOT", "RETENTION"])?;
        let is_count = matches!(cursor.peek_nth(1),
            Token::Word(word)
                if word.value.eq_ignore_ascii_case("SNAPSHOTS"));
        if is_count {
            options.snapshots_min = Some(at_least_one(cursor, "a number of snapshots")?);
            cursor.expect(&["SNAPSHOTS"])?;
        }
        if !is_count || !cursor.at_end() {
            options.snapshot_age_max_ms = Some(age_ms(cursor)?);
        }
    }
    Ok(options)
}

/// `n DAYS | HOURS | MINUTES`, in milliseconds.
fn age_ms(cursor: &mut Cursor) -> Result<i64> {
    let location = cursor.location();
    let count: i64 = at_least_one(cursor, "a number of DAYS, HOURS or MINUTES")?;
    let unit_ms = match cursor.accept_one(&["DAYS", "HOURS", "MINUTES"]) {
        Some("DAYS") => 24 * 60 * 60 * 1000,
        Some("HOURS") => 60 * 60 * 1000,
        Some(_) => 60 * 1000,
        None => return Err(cursor.expected("DAYS, HOURS or MINUTES")),
    };
    count
        .checked_mul(unit_ms)
        .ok_or_else(|| invalid_at(location, "the age is too long"))
}

/// A whole number above zero: the format refuses zero for all three settings.
fn at_least_one<T: std::str::FromStr + Default + PartialEq>(
    cursor: &mut Cursor,
    what: &str,
) -> Result<T> {
    let place = cursor.expected(what);
    let number: T = cursor.integer(what)?;
    if number == T::default() {
        Err(place)
    } else {
        Ok(number)
    }
}
