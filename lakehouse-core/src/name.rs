//! Names of catalogs, namespaces, tables, columns and refs: matching and quoting.
//!
//! Names are matched without regard to case and shown as stored; a quoted exact match wins; two
//! candidates that differ only in case are an error that names both.

pub use iceberg::{NamespaceIdent, TableIdent};

use crate::error::{Error, Result};

/// A name as a user wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    text: String,
    quoted: bool,
}

impl Name {
    /// A name written without quotes.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            quoted: false,
        }
    }

    /// A name written in quotes: an exact match wins over one that differs in case.
    pub fn quoted(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            quoted: true,
        }
    }

    /// The name without its quotes.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the name was written in quotes.
    pub fn is_quoted(&self) -> bool {
        self.quoted
    }

    /// Finds this name among `candidates`.
    ///
    /// ```
    /// use lakehouse_core::name::Name;
    ///
    /// let stored = ["Orders", "items"];
    /// assert_eq!(Name::new("ORDERS").find(&stored, |name| name)?, Some(&"Orders"));
    /// assert_eq!(Name::new("lines").find(&stored, |name| name)?, None);
    /// assert!(Name::new("a").find(&["A", "a"], |name| name).is_err());
    /// assert_eq!(Name::quoted("a").find(&["A", "a"], |name| name)?, Some(&"a"));
    /// # Ok::<(), lakehouse_core::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] when several candidates differ only in case and
    /// none of them is a quoted exact match.
    pub fn find<'a, T>(
        &self,
        candidates: &'a [T],
        name: impl Fn(&T) -> &str,
    ) -> Result<Option<&'a T>> {
        if self.quoted
            && let Some(exact) = candidates
                .iter()
                .find(|candidate| name(candidate) == self.text)
        {
            return Ok(Some(exact));
        }
        let folded = self.text.to_lowercase();
        let mut matches = candidates
            .iter()
            .filter(|candidate| name(candidate).to_lowercase() == folded);
        let first = matches.next();
        if let (Some(first), Some(second)) = (first, matches.next()) {
            return Err(Error::invalid(format!(
                "name {} is ambiguous: it may mean {} or {}; write the one that is meant in quotes",
                self.text,
                quote(name(first)),
                quote(name(second)),
            )));
        }
        Ok(first)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.quoted {
            f.write_str(&quote(&self.text))
        } else {
            f.write_str(&self.text)
        }
    }
}

/// A name in double quotes, inner quotes doubled, as SQL reads it back.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name given as one text, such as an argument: parts between dots, quoted with `"` or `` ` ``
/// where they hold dots; a quote within quotes is written twice.
///
/// ```
/// use lakehouse_core::name::{Name, parse_name};
///
/// assert_eq!(parse_name("sales.orders")?, [Name::new("sales"), Name::new("orders")]);
/// assert_eq!(parse_name("\"a.b\".t")?, [Name::quoted("a.b"), Name::new("t")]);
/// # Ok::<(), lakehouse_core::error::Error>(())
/// ```
///
/// # Errors
/// [`crate::error::ErrorKind::InvalidInput`] for a quote that is not closed, or closed before the
/// end of its part.
pub fn parse_name(text: &str) -> Result<Vec<Name>> {
    let mut parts = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        match rest.next_if(|first| matches!(first, '"' | '`')) {
            None => {
                let mut part = String::new();
                while let Some(letter) = rest.next_if(|letter| *letter != '.') {
                    part.push(letter);
                }
                parts.push(Name::new(part));
            }
            Some(quote) => {
                let mut part = String::new();
                loop {
                    match rest.next() {
                        Some(letter) if letter != quote => part.push(letter),
                        Some(_) if rest.next_if_eq(&quote).is_some() => part.push(quote),
                        Some(_) => break,
                        None => {
                            return Err(Error::invalid(format!(
                                "name {text:?} has no closing {quote}"
                            )));
                        }
                    }
                }
                parts.push(Name::quoted(part));
            }
        }
        match rest.next() {
            None => return Ok(parts),
            Some('.') => {}
            Some(other) => {
                return Err(Error::invalid(format!(
                    "expected a dot or the end behind a closing quote in name {text:?}, found \
                     {other:?}"
                )));
            }
        }
    }
}

/// The candidates nearest to a misspelt name, best first, at most three.
///
/// ```
/// use lakehouse_core::name::nearest;
///
/// assert_eq!(nearest("ordres", ["orders", "items", "order_lines"]), ["orders"]);
/// ```
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .map(|candidate| (edit_distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter()
        .take(3)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// ` (did you mean "x"?)` for the nearest candidates, empty when none is near.
pub fn hint<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let near: Vec<String> = nearest(wanted, candidates).into_iter().map(quote).collect();
    if near.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", near.join(" or "))
    }
}

/// Edits of one character, swaps of neighbours included, that turn one text into the other.
pub fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let changed = usize::from(left[i - 1] != right[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + changed);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_texts_are_split_at_dots_outside_of_quotes() {
        let name = |text| parse_name(text).unwrap();
        assert_eq!(name("a.b"), [Name::new("a"), Name::new("b")]);
        assert_eq!(name("a.\"b.C\""), [Name::new("a"), Name::quoted("b.C")]);
        assert_eq!(name("`x`.y"), [Name::quoted("x"), Name::new("y")]);
        assert_eq!(name("\"a\"\"b`\""), [Name::quoted("a\"b`")]);
        assert_eq!(name("it's"), [Name::new("it's")]);
        for broken in ["\"a", "a.`b", "\"a\"b.c"] {
            assert!(parse_name(broken).is_err(), "{broken}");
        }
    }
}
