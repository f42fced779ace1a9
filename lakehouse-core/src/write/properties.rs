//! Reading table properties, with a statement's own settings before the table's.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Properties by precedence: the statement's, then the table's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Properties<'a> {
    /// What the statement asks for.
    pub(super) statement: &'a HashMap<String, String>,
    /// What the table's metadata says.
    pub(super) table: &'a HashMap<String, String>,
}

impl<'a> Properties<'a> {
    /// The text of a property.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        let value = self.statement.get(key).or_else(|| self.table.get(key));
        value.map(|text| text.trim())
    }

    /// A property as a number of at least `min`.
    pub(super) fn number<T>(&self, key: &str, min: T) -> Result<Option<T>>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if number >= min => Ok(Some(number)),
            _ => Err(Error::invalid(format!(
                "property {key:?} must be a number of at least {min}, it is {text:?}"
            ))),
        }
    }

    /// A property as `true` or `false`.
    pub(super) fn switch(&self, key: &str) -> Result<Option<bool>> {
        self.text(key).map(|text| switch(key, text)).transpose()
    }

    /// The properties whose key begins with `prefix`: the rest of the key, and the text.
    pub(super) fn below(&self, prefix: &str) -> HashMap<&'a str, &'a str> {
        let all = self.table.iter().chain(self.statement);
        all.filter_map(|(key, text)| Some((key.strip_prefix(prefix)?, text.trim())))
            .collect()
    }
}

/// `text` as `true` or `false`; `key` is for the message.
pub(super) fn switch(key: &str, text: &str) -> Result<bool> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(Error::invalid(format!(
            "property {key:?} must be true or false, it is {text:?}"
        )))
    }
}
