//! The columns that rows bring and a table does not have.

use std::collections::BTreeSet;

use arrow::datatypes::Schema as ArrowSchema;
use iceberg::spec::{FormatVersion, NestedFieldRef, PrimitiveType, TableMetadata, Type};

use super::draft::children;
use super::promotion::is_promotion;
use super::{ColumnPath, NewColumn, SchemaOperation};
use crate::error::{Error, Result};
use crate::name::{Name, quote};
use crate::table::{iceberg_schema, type_text};

/// The table property that lets writes bring columns which the table does not have.
pub const ACCEPT_ANY_SCHEMA: &str = "write.spark.accept-any-schema";

/// What must become of a table's columns so that it can hold rows of this schema: columns that are
/// missing are added behind the others, types that are too narrow are widened. Columns are found by
/// name; those that the rows lack stay as they are, and no column becomes required or optional.
///
/// # Errors
/// [`crate::error::ErrorKind::InvalidInput`] when a column cannot hold what comes,
/// [`crate::error::ErrorKind::Unsupported`] for an Arrow type that Iceberg does not have.
pub fn merge_schema(
    metadata: &TableMetadata,
    incoming: &ArrowSchema,
) -> Result<Vec<SchemaOperation>> {
    let format = metadata.format_version();
    let incoming = iceberg_schema(incoming, format)?;
    let mut merge = Merge {
        format,
        operations: Vec::new(),
    };
    merge.level(
        metadata.current_schema().as_struct().fields(),
        incoming.as_struct().fields(),
        &[],
    )?;
    Ok(merge.operations)
}

struct Merge {
    format: FormatVersion,
    operations: Vec<SchemaOperation>,
}

impl Merge {
    /// The fields of one struct, or of the table.
    fn level(
        &mut self,
        own: &[NestedFieldRef],
        incoming: &[NestedFieldRef],
        path: &[Name],
    ) -> Result<()> {
        let mut taken = BTreeSet::new();
        for field in incoming {
            match Name::quoted(&field.name).find(own, |own| &own.name)? {
                Some(known) => {
                    if !taken.insert(known.id) {
                        return Err(Error::invalid(format!(
                            "the rows bring column {} twice",
                            quote(&known.name)
                        )));
                    }
                    let path = longer(path, &known.name);
                    self.types(&known.field_type, &field.field_type, &path)?;
                }
                None => self.operations.push(SchemaOperation::Add(NewColumn {
                    parent: (!path.is_empty()).then(|| ColumnPath::new(path.to_vec())),
                    ..NewColumn::new(&field.name, optional(&field.field_type)?)
                })),
            }
        }
        Ok(())
    }

    fn types(&mut self, own: &Type, incoming: &Type, path: &[Name]) -> Result<()> {
        match (own, incoming) {
            (Type::Struct(own), Type::Struct(incoming)) => {
                self.level(own.fields(), incoming.fields(), path)
            }
            (Type::List(own), Type::List(incoming)) => self.types(
                &own.element_field.field_type,
                &incoming.element_field.field_type,
                &longer(path, "element"),
            ),
            (Type::Map(own), Type::Map(incoming)) => {
                let (key, new_key) = (&own.key_field, &incoming.key_field);
                if type_text(&key.field_type) != type_text(&new_key.field_type) {
                    let path = longer(path, "key");
                    return Err(refused(&path, &key.field_type, &new_key.field_type));
                }
                self.types(
                    &own.value_field.field_type,
                    &incoming.value_field.field_type,
                    &longer(path, "value"),
                )
            }
            (Type::Primitive(own), Type::Primitive(incoming)) => {
                if is_promotion(own, incoming, self.format) {
                    self.operations.push(SchemaOperation::SetType {
                        column: ColumnPath::new(path.to_vec()),
                        data_type: Type::Primitive(incoming.clone()),
                    });
                    return Ok(());
                }
                match own == incoming || is_held(own, incoming) {
                    true => Ok(()),
                    false => Err(refused(
                        path,
                        &Type::Primitive(own.clone()),
                        &Type::Primitive(incoming.clone()),
                    )),
                }
            }
            _ => Err(refused(path, own, incoming)),
        }
    }
}

/// Whether a column of one type takes values of another as they are, as far as each value fits.
fn is_held(own: &PrimitiveType, incoming: &PrimitiveType) -> bool {
    use PrimitiveType as T;
    match (own, incoming) {
        (T::Long, T::Int)
        | (T::Double, T::Float)
        | (T::Timestamp | T::TimestampNs, T::Date)
        // Times of another fineness are checked value by value when they are written.
        | (T::Timestamp, T::TimestampNs)
        | (T::TimestampNs, T::Timestamp)
        | (T::Timestamptz, T::TimestamptzNs)
        | (T::TimestamptzNs, T::Timestamptz) => true,
        (
            T::Decimal { precision, scale },
            T::Decimal {
                precision: narrower,
                scale: same,
            },
        ) => narrower <= precision && scale == same,
        // Arrow has no type of its own for them.
        (T::Uuid, T::Fixed(16)) => true,
        (T::Fixed(_), T::Binary) => true,
        _ => false,
    }
}

/// The same type with every field in it optional: what other rows lack is NULL.
fn optional(field_type: &Type) -> Result<Type> {
    let mut fields = children(field_type);
    for (index, field) in fields.iter_mut().enumerate() {
        let field = std::sync::Arc::make_mut(field);
        let is_key = matches!(field_type, Type::Map(_)) && index == 0;
        field.required = is_key;
        *field.field_type = optional(&field.field_type)?;
    }
    super::draft::with_children(field_type, fields)
}

fn longer(path: &[Name], name: &str) -> Vec<Name> {
    path.iter().cloned().chain([Name::quoted(name)]).collect()
}

fn refused(path: &[Name], own: &Type, incoming: &Type) -> Error {
    Error::invalid(format!(
        "column {} of type {} cannot hold {}, nor become it",
        ColumnPath::new(path.to_vec()),
        type_text(own),
        type_text(incoming)
    ))
}
