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
fn edit_distance(left: &str, right: &str) -> usize {
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
