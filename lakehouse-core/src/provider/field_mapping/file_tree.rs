//! A data file's fields with their field ids, from the file or from the table's name mapping.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema as ArrowSchema};
use iceberg::spec::{MappedField, NameMapping};
use parquet::basic::Type as PhysicalType;
use parquet::schema::types::SchemaDescriptor;

use crate::error::{Error, Result};
use crate::table::field_id;

/// One field of a data file.
#[derive(Debug)]
pub(super) struct FileField {
    /// The table's field it belongs to; `None` for a field the table knows nothing of.
    pub(super) id: Option<i32>,
    /// Name and type as the Parquet reader gives them by itself.
    pub(super) field: FieldRef,
    /// How the file stores it, for fields without children.
    pub(super) physical: Option<PhysicalType>,
    /// Fields of a struct, the element of a list, key and value of a map.
    pub(super) children: Vec<FileField>,
}

/// The top-level fields of a file whose own Arrow form is `arrow`.
///
/// Ids come from the file. A file without any takes them from `mapping`; without a mapping its
/// top-level fields are counted from 1, as the format's Java library does.
pub(super) fn file_fields(
    arrow: &ArrowSchema,
    parquet: &SchemaDescriptor,
    mapping: Option<&NameMapping>,
) -> Result<Vec<FileField>> {
    let mut leaf = 0;
    let mut fields = Vec::with_capacity(arrow.fields().len());
    for field in arrow.fields() {
        fields.push(file_field(field, parquet, &mut leaf)?);
    }
    if fields.iter().any(has_id) {
        return Ok(fields);
    }
    match mapping {
        Some(mapping) => {
            let mapped: Vec<&MappedField> = mapping.fields().iter().collect();
            map_names(&mut fields, &mapped, None);
        }
        None => {
            for (id, field) in (1..).zip(&mut fields) {
                field.id = Some(id);
            }
        }
    }
    Ok(fields)
}

fn file_field(field: &FieldRef, parquet: &SchemaDescriptor, leaf: &mut usize) -> Result<FileField> {
    let inner: Vec<&FieldRef> = match field.data_type() {
        DataType::Struct(fields) => fields.iter().collect(),
        DataType::List(element) => vec![element],
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.iter().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let mut physical = None;
    if inner.is_empty() {
        if *leaf >= parquet.num_columns() {
            return Err(Error::corrupt(
                "the Parquet schema has fewer columns than its Arrow form",
            ));
        }
        physical = Some(parquet.column(*leaf).physical_type());
        *leaf += 1;
    }
    let mut children = Vec::with_capacity(inner.len());
    for child in inner {
        children.push(file_field(child, parquet, leaf)?);
    }
    Ok(FileField {
        id: field_id(field.metadata()),
        field: Arc::clone(field),
        physical,
        children,
    })
}

fn has_id(field: &FileField) -> bool {
    field.id.is_some() || field.children.iter().any(has_id)
}

/// Gives ids by name. In a name mapping the element of a list is called `element`, the parts of a
/// map `key` and `value`, whatever the file calls them; `names` are those fixed names.
fn map_names(fields: &mut [FileField], mapped: &[&MappedField], names: Option<&[&str]>) {
    for (position, field) in fields.iter_mut().enumerate() {
        let name = match names {
            Some(names) => names.get(position).copied().unwrap_or_default(),
            None => field.field.name().as_str(),
        };
        let Some(found) = mapped
            .iter()
            .find(|mapped| mapped.names().iter().any(|known| known == name))
        else {
            continue;
        };
        field.id = found.field_id();
        let inner: Vec<&MappedField> = found.fields().iter().map(AsRef::as_ref).collect();
        let fixed: Option<&[&str]> = match field.field.data_type() {
            DataType::List(_) => Some(&["element"]),
            DataType::Map(..) => Some(&["key", "value"]),
            _ => None,
        };
        map_names(&mut field.children, &inner, fixed);
    }
}
