//! The way to a column through structs, lists and maps, as a user wrote it.

use std::fmt;

use iceberg::spec::{TableMetadata, Type};

use super::draft::Draft;
use crate::error::Result;
use crate::name::{Name, parse_name};

/// The names that lead to a column: one for a column of the table, more into nested types.
///
/// The elements of a list are its `element`, the keys and values of a map its `key` and `value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnPath(Vec<Name>);

impl ColumnPath {
    /// A path of these names.
    pub fn new(names: impl IntoIterator<Item = Name>) -> Self {
        Self(names.into_iter().collect())
    }

    /// A path written as one text, such as `point.x` or `"a.b".element`.
    ///
    /// ```
    /// use lakehouse_core::commit::ColumnPath;
    ///
    /// assert_eq!(ColumnPath::parse("point.x")?.to_string(), "point.x");
    /// # Ok::<(), lakehouse_core::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`parse_name`].
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self(parse_name(text)?))
    }

    /// The type of the column in a table's current schema.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] when there is no such column.
    pub fn type_in(&self, metadata: &TableMetadata) -> Result<Type> {
        let found = Draft::new(metadata).find(self)?;
        Ok(found.field.field_type.as_ref().clone())
    }

    /// The names, outermost first.
    pub fn names(&self) -> &[Name] {
        &self.0
    }
}

impl From<Name> for ColumnPath {
    fn from(name: Name) -> Self {
        Self(vec![name])
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            name.fmt(f)?;
        }
        Ok(())
    }
}
