//! Lists of properties and the clauses with one string, shared by `CREATE` statements.

use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use lakehouse_core::error::{Error, Result};

use crate::parse::{Cursor, invalid_at, nearest};

/// One `key = value`.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) location: Location,
}

impl Property {
    /// The error for a key that nobody knows.
    pub(super) fn unknown(&self, known: &[&str]) -> Error {
        let hint = match nearest(&self.key, known) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        invalid_at(
            self.location,
            format!("property `{}` is not known here: {hint}", self.key),
        )
    }
}

/// `('k' = 'v', …)`; a key is a string or a dotted name, the `=` may be missing as in Spark, and a
/// value is a string, a number or a truth value. A key that stands twice is an error.
pub(super) fn list(cursor: &mut Cursor) -> Result<Vec<Property>> {
    let mut properties: Vec<Property> = Vec::new();
    cursor.expect_token(&Token::LParen)?;
    loop {
        let location = cursor.location();
        let key = key(cursor)?;
        cursor.accept_token(&Token::Eq);
        let value = value(cursor)?;
        push(
            &mut properties,
            Property {
                key,
                value,
                location,
            },
        )?;
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(properties)
}

fn push(properties: &mut Vec<Property>, property: Property) -> Result<()> {
    if properties.iter().any(|known| known.key == property.key) {
        let message = format!("property `{}` is given twice", property.key);
        return Err(invalid_at(property.location, message));
    }
    properties.push(property);
    Ok(())
}

/// A property's key, as text.
pub(super) fn key(cursor: &mut Cursor) -> Result<String> {
    if let Token::SingleQuotedString(text) = cursor.peek().clone() {
        cursor.advance();
        return Ok(text);
    }
    let mut key = String::new();
    loop {
        key.push_str(&cursor.identifier("the key of a property")?.value);
        // Spark's keys may have dashes without quotes: `write.format-version`.
        if cursor.accept_token(&Token::Period) {
            key.push('.');
        } else if cursor.accept_token(&Token::Minus) {
            key.push('-');
        } else {
            return Ok(key);
        }
    }
}

/// A property's value, as text.
pub(super) fn value(cursor: &mut Cursor) -> Result<String> {
    const EXPECTED: &str = "a string, a number or a truth value";
    let sign = if cursor.accept_token(&Token::Minus) {
        "-"
    } else {
        ""
    };
    let text = match cursor.peek() {
        Token::SingleQuotedString(text) if sign.is_empty() => text.clone(),
        Token::Number(number, _) => format!("{sign}{number}"),
        Token::Word(word)
            if sign.is_empty()
                && word.quote_style.is_none()
                && (word.value.eq_ignore_ascii_case("true")
                    || word.value.eq_ignore_ascii_case("false")) =>
        {
            word.value.to_ascii_lowercase()
        }
        _ => return Err(cursor.expected(EXPECTED)),
    };
    cursor.advance();
    Ok(text)
}

/// `COMMENT '…'` or `LOCATION '…'`; the cursor stands on the word, which may stand once.
pub(super) fn text_clause(cursor: &mut Cursor, slot: &mut Option<String>) -> Result<()> {
    if slot.is_some() {
        return Err(cursor.expected("each clause once"));
    }
    cursor.advance();
    cursor.accept_token(&Token::Eq);
    *slot = Some(cursor.string("a string")?);
    Ok(())
}
