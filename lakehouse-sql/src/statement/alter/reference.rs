//! `ALTER TABLE`: branches and tags.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use super::AlterAction;
use crate::parse::{Cursor, invalid_at};
use crate::statement::{if_exists, if_not_exists};

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

/// `CREATE [OR REPLACE] BRANCH | TAG …`, behind the first word.
pub(super) fn create(cursor: &mut Cursor) -> Result<AlterAction> {
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
    Ok(AlterAction::CreateRef {
        kind,
        name,
        or_replace,
        if_not_exists,
        options,
    })
}

/// `REPLACE BRANCH | TAG …`, behind the first word; `None` when something else is replaced.
pub(super) fn replace(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    let Some(kind) = accept_kind(cursor) else {
        return Ok(None);
    };
    let name = ref_name(cursor, kind)?;
    Ok(Some(AlterAction::ReplaceRef {
        kind,
        name,
        options: options(cursor, kind)?,
    }))
}

/// `DROP BRANCH | TAG …`, behind the first word; `None` when something else is dropped.
pub(super) fn drop(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    // A column may have one of these names.
    let Some(kind) = accept_kind(cursor) else {
        return Ok(None);
    };
    let if_exists = if_exists(cursor)?;
    Ok(Some(AlterAction::DropRef {
        kind,
        name: ref_name(cursor, kind)?,
        if_exists,
    }))
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
