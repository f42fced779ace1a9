//! Columns of types that are not read, see [`crate::catalog::foreign_type`].

use std::collections::BTreeMap;

use iceberg::spec::{NestedField, Type};

use super::Table;
use super::arrow_type::type_text;
use crate::catalog::foreign_type::{UNKNOWN, foreign_types};
use crate::error::{Error, Result};

impl Table {
    /// The type of a column as SQL writes it, also of types that are not read, such as `VARIANT`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] when a reserved table property was set by somebody.
    pub fn type_text(&self, field: &NestedField) -> Result<String> {
        let foreign = foreign_types(self.metadata())?;
        Ok(match foreign.get(&field.id) {
            Some(name) => name.to_uppercase(),
            None => type_text(&field.field_type),
        })
    }

    /// Why each column of the top level cannot be read, for those that cannot.
    ///
    /// # Errors
    /// As [`Self::type_text`].
    pub(crate) fn unread_columns(&self) -> Result<BTreeMap<usize, Error>> {
        let foreign = foreign_types(self.metadata())?;
        let fields = self.schema().as_struct().fields();
        let unread = fields.iter().enumerate().filter_map(|(position, field)| {
            let name = unread_type(field, &foreign)?;
            let error = Error::unsupported(format!(
                "column {:?} holds values of type {name}, which are not read; name the other \
                 columns",
                field.name
            ));
            Some((position, error.with_context("table", self.ident())))
        });
        Ok(unread.collect())
    }
}

/// The type in a field that cannot be read; a column of unknown type is all NULL and can.
fn unread_type<'a>(field: &NestedField, foreign: &'a BTreeMap<i32, String>) -> Option<&'a String> {
    if foreign.is_empty() {
        return None;
    }
    if let Some(name) = foreign.get(&field.id).filter(|name| *name != UNKNOWN) {
        return Some(name);
    }
    match field.field_type.as_ref() {
        Type::Primitive(_) => None,
        Type::Struct(fields) => fields.fields().iter().find_map(|f| unread_type(f, foreign)),
        Type::List(list) => unread_type(&list.element_field, foreign),
        Type::Map(map) => [&map.key_field, &map.value_field]
            .into_iter()
            .find_map(|field| unread_type(field, foreign)),
    }
}
