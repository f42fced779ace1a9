//! Iceberg types as Arrow types and back.
//!
//! `docs/types.md` has the table for users; a test holds it to this module.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema as ArrowSchema, TimeUnit};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{
    FormatVersion, ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema,
    StructType, Type,
};

use crate::error::{Error, Result};
use crate::name::quote;

/// Where a field's metadata names its extension type.
const EXTENSION_NAME: &str = "ARROW:extension:name";
const UUID_EXTENSION: &str = "arrow.uuid";

/// The schema in which a table's rows are read: no field ids, strings and binaries of the top level
/// as views, and what a struct, list or map holds nullable.
///
/// The engine casts no value that may be NULL to a type that says inside that none is, so no
/// statement could give a struct with required fields a value. Which values must not be NULL is
/// checked where they are written.
///
/// Ids stay inside the scan because the engine compares field metadata when it joins plans.
///
/// # Errors
/// When the format crate cannot express a type in Arrow.
pub fn read_schema(schema: &Schema) -> Result<ArrowSchema> {
    let arrow = schema_to_arrow_schema(schema)?;
    let fields: Fields = arrow
        .fields()
        .iter()
        .map(|field| Arc::new(read_field(field, true)))
        .collect();
    Ok(ArrowSchema::new(fields))
}

/// The Arrow type in which a field of an Iceberg type is read at the top level of a table.
///
/// # Errors
/// As [`read_schema`].
pub fn read_type(field_type: &Type) -> Result<DataType> {
    // An id that no field within the type has.
    let field = NestedField::optional(i32::MAX, "value", field_type.clone());
    let schema = Schema::builder().with_fields([Arc::new(field)]).build()?;
    let arrow = read_schema(&schema)?;
    Ok(arrow.field(0).data_type().clone())
}

/// The schema in which a table's rows are written: field ids in the fields' metadata.
///
/// # Errors
/// As [`read_schema`].
pub fn write_schema(schema: &Schema) -> Result<ArrowSchema> {
    Ok(schema_to_arrow_schema(schema)?)
}

fn read_field(field: &Field, top: bool) -> Field {
    let data_type = match field.data_type() {
        // Views spare a copy of every value; functions on nested values know the plain types only.
        DataType::Utf8 if top => DataType::Utf8View,
        DataType::LargeBinary | DataType::Binary if top => DataType::BinaryView,
        DataType::LargeBinary => DataType::Binary,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(within).collect()),
        DataType::List(inner) => DataType::List(within(inner)),
        DataType::Map(inner, sorted) => DataType::Map(Arc::new(read_entries(inner)), *sorted),
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable())
}

fn within(field: &FieldRef) -> FieldRef {
    Arc::new(read_field(field, false).with_nullable(true))
}

/// The entries of a map and its keys are there in every Arrow map.
fn read_entries(entries: &Field) -> Field {
    let DataType::Struct(pair) = entries.data_type() else {
        return read_field(entries, false);
    };
    let pair = pair.iter().enumerate().map(|(index, field)| match index {
        0 => Arc::new(read_field(field, false)),
        _ => within(field),
    });
    let data_type = DataType::Struct(pair.collect());
    Field::new(entries.name(), data_type, entries.is_nullable())
}

/// A column of UUIDs: 16 bytes, and Arrow's canonical extension type `arrow.uuid`, without which
/// they are `fixed[16]` (Arrow specification, "Canonical Extension Types").
///
/// ```
/// use arrow::datatypes::Schema;
/// use iceberg::spec::{FormatVersion, PrimitiveType, Type};
/// use lakehouse_core::table::{iceberg_schema, uuid_field};
///
/// let rows = Schema::new(vec![uuid_field("id")]);
/// let schema = iceberg_schema(&rows, FormatVersion::V2)?;
/// let id = schema.field_by_name("id").expect("the column");
/// assert_eq!(*id.field_type, Type::Primitive(PrimitiveType::Uuid));
/// # Ok::<(), lakehouse_core::error::Error>(())
/// ```
pub fn uuid_field(name: &str) -> Field {
    let extension = (EXTENSION_NAME.to_owned(), UUID_EXTENSION.to_owned());
    let field = Field::new(name, DataType::FixedSizeBinary(16), true);
    field.with_metadata(HashMap::from([extension]))
}

fn is_uuid(field: &Field) -> bool {
    *field.data_type() == DataType::FixedSizeBinary(16)
        && field.extension_type_name() == Some(UUID_EXTENSION)
}

/// The Iceberg schema of Arrow rows, with ids in order of first sight; a catalog assigns the
/// final ones.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`] for types without an Iceberg counterpart, by name.
pub fn iceberg_schema(arrow: &ArrowSchema, format: FormatVersion) -> Result<Schema> {
    let mut ids = Ids { next: 1, format };
    let fields = ids.fields(arrow.fields(), "")?;
    Ok(Schema::builder().with_fields(fields).build()?)
}

/// The Iceberg type of one Arrow type, with ids from 1.
///
/// # Errors
/// As [`iceberg_schema`].
pub fn iceberg_type(data_type: &DataType, format: FormatVersion) -> Result<Type> {
    Ids { next: 1, format }.data_type(data_type, "value")
}

/// Hands out field ids while Arrow types are turned into Iceberg types.
struct Ids {
    next: i32,
    format: FormatVersion,
}

impl Ids {
    fn id(&mut self) -> i32 {
        let id = self.next;
        self.next += 1;
        id
    }

    fn fields(&mut self, fields: &Fields, parent: &str) -> Result<Vec<NestedFieldRef>> {
        // Siblings get their ids before their children, as other engines number new tables.
        let ids: Vec<i32> = fields.iter().map(|_| self.id()).collect();
        ids.into_iter()
            .zip(fields)
            .map(|(id, field)| self.field(id, field, parent))
            .collect()
    }

    fn field(&mut self, id: i32, field: &FieldRef, parent: &str) -> Result<NestedFieldRef> {
        let path = if parent.is_empty() {
            field.name().clone()
        } else {
            format!("{parent}.{}", field.name())
        };
        let field_type = self.field_type(field, &path)?;
        Ok(Arc::new(NestedField::new(
            id,
            field.name(),
            field_type,
            !field.is_nullable(),
        )))
    }

    fn field_type(&mut self, field: &Field, path: &str) -> Result<Type> {
        match is_uuid(field) {
            true => Ok(Type::Primitive(PrimitiveType::Uuid)),
            false => self.data_type(field.data_type(), path),
        }
    }

    fn data_type(&mut self, data_type: &DataType, path: &str) -> Result<Type> {
        Ok(match data_type {
            DataType::Struct(fields) => Type::Struct(StructType::new(self.fields(fields, path)?)),
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::ListView(element)
            | DataType::LargeListView(element)
            | DataType::FixedSizeList(element, _) => {
                let id = self.id();
                let element_type = self.field_type(element, path)?;
                Type::List(ListType::new(Arc::new(NestedField::list_element(
                    id,
                    element_type,
                    !element.is_nullable(),
                ))))
            }
            DataType::Map(entries, _) => self.map(entries, path)?,
            DataType::Dictionary(_, value) => self.data_type(value, path)?,
            DataType::RunEndEncoded(_, value) => self.data_type(value.data_type(), path)?,
            leaf => Type::Primitive(primitive(leaf, self.format).ok_or_else(|| {
                Error::unsupported(format!(
                    "column {path:?} has type {leaf}, which an Iceberg table of format version {} \
                     cannot hold; cast it to a type of the type table",
                    self.format as u8
                ))
            })?),
        })
    }

    fn map(&mut self, entries: &FieldRef, path: &str) -> Result<Type> {
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(Error::invalid(format!(
                "column {path:?} is a map without entries"
            )));
        };
        let [key, value] = fields.as_ref() else {
            return Err(Error::invalid(format!(
                "column {path:?} is a map without key and value"
            )));
        };
        let (key_id, value_id) = (self.id(), self.id());
        let key_type = self.field_type(key, path)?;
        let value_type = self.field_type(value, path)?;
        Ok(Type::Map(MapType::new(
            Arc::new(NestedField::map_key_element(key_id, key_type)),
            Arc::new(NestedField::map_value_element(
                value_id,
                value_type,
                !value.is_nullable(),
            )),
        )))
    }
}

/// The Iceberg type that holds every value of an Arrow leaf type; `None` when there is none.
fn primitive(data_type: &DataType, format: FormatVersion) -> Option<PrimitiveType> {
    Some(match data_type {
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            PrimitiveType::Int
        }
        DataType::Int64 | DataType::UInt32 => PrimitiveType::Long,
        DataType::Float16 | DataType::Float32 => PrimitiveType::Float,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => PrimitiveType::Decimal {
            precision: u32::from(*precision),
            scale: u32::try_from(*scale).ok()?,
        },
        DataType::Date32 => PrimitiveType::Date,
        DataType::Time32(_) | DataType::Time64(_) => PrimitiveType::Time,
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if format == FormatVersion::V3 => {
            match zone {
                None => PrimitiveType::TimestampNs,
                Some(_) => PrimitiveType::TimestamptzNs,
            }
        }
        DataType::Timestamp(_, None) => PrimitiveType::Timestamp,
        DataType::Timestamp(_, Some(_)) => PrimitiveType::Timestamptz,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => PrimitiveType::String,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => PrimitiveType::Binary,
        DataType::FixedSizeBinary(length) => PrimitiveType::Fixed(u64::try_from(*length).ok()?),
        _ => return None,
    })
}

/// An Iceberg type as SQL writes it, such as `DECIMAL(10, 2)` or `STRUCT<a: BIGINT>`.
pub fn type_text(field_type: &Type) -> String {
    match field_type {
        Type::Primitive(primitive) => primitive_text(primitive),
        Type::Struct(fields) => {
            let fields: Vec<String> = fields
                .fields()
                .iter()
                .map(|field| {
                    let name = field_name(&field.name);
                    format!("{name}: {}", type_text(&field.field_type))
                })
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        Type::List(list) => format!("ARRAY<{}>", type_text(&list.element_field.field_type)),
        Type::Map(map) => format!(
            "MAP<{}, {}>",
            type_text(&map.key_field.field_type),
            type_text(&map.value_field.field_type)
        ),
    }
}

/// A name as it stands in a type, in quotes only where it needs them.
fn field_name(name: &str) -> Cow<'_, str> {
    let mut letters = name.chars();
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    let is_plain = letters.next().is_some_and(is_letter)
        && letters.all(|letter| is_letter(letter) || letter.is_ascii_digit());
    match is_plain {
        true => Cow::Borrowed(name),
        false => Cow::Owned(quote(name)),
    }
}

fn primitive_text(primitive: &PrimitiveType) -> String {
    match primitive {
        PrimitiveType::Boolean => "BOOLEAN".to_owned(),
        PrimitiveType::Int => "INT".to_owned(),
        PrimitiveType::Long => "BIGINT".to_owned(),
        PrimitiveType::Float => "FLOAT".to_owned(),
        PrimitiveType::Double => "DOUBLE".to_owned(),
        PrimitiveType::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        PrimitiveType::Date => "DATE".to_owned(),
        PrimitiveType::Time => "TIME".to_owned(),
        PrimitiveType::Timestamp => "TIMESTAMP".to_owned(),
        PrimitiveType::Timestamptz => "TIMESTAMPTZ".to_owned(),
        PrimitiveType::TimestampNs => "TIMESTAMP_NS".to_owned(),
        PrimitiveType::TimestamptzNs => "TIMESTAMPTZ_NS".to_owned(),
        PrimitiveType::String => "VARCHAR".to_owned(),
        PrimitiveType::Uuid => "UUID".to_owned(),
        PrimitiveType::Fixed(length) => format!("FIXED({length})"),
        PrimitiveType::Binary => "BINARY".to_owned(),
    }
}

/// The Iceberg field id an Arrow field carries, when it carries one.
pub(crate) fn field_id(metadata: &HashMap<String, String>) -> Option<i32> {
    metadata
        .get(parquet::arrow::PARQUET_FIELD_ID_META_KEY)
        .and_then(|id| id.parse().ok())
}
