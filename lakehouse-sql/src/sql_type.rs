//! SQL types as Iceberg types; `docs/types.md` has the table for users.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType, ExactNumberInfo, ObjectName, StructField, TimezoneInfo,
};
use iceberg::spec::{
    FormatVersion, ListType, MapType, NestedField, PrimitiveType, StructType, Type,
};
use lakehouse_core::error::{Error, Result};

/// Turns the column types of one new table into Iceberg types, handing out field ids.
#[derive(Debug)]
pub(crate) struct TypeReader {
    format: FormatVersion,
    next_id: i32,
}

impl TypeReader {
    pub(crate) fn new(format: FormatVersion) -> Self {
        Self { format, next_id: 1 }
    }

    /// The next field id of the table.
    pub(crate) fn next_id(&mut self) -> i32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// The Iceberg type of a SQL type; `column` is named in errors.
    ///
    /// # Errors
    /// [`lakehouse_core::error::ErrorKind::Unsupported`] for types that no Iceberg type holds.
    pub(crate) fn read(&mut self, data_type: &DataType, column: &str) -> Result<Type> {
        match data_type {
            DataType::Array(element) => {
                let element = match element {
                    ArrayElemTypeDef::AngleBracket(element)
                    | ArrayElemTypeDef::SquareBracket(element, _)
                    | ArrayElemTypeDef::Parenthesis(element) => element,
                    ArrayElemTypeDef::None => return Err(unsupported(data_type, column)),
                };
                let id = self.next_id();
                let element = self.read(element, column)?;
                Ok(Type::List(ListType::new(Arc::new(
                    NestedField::list_element(id, element, false),
                ))))
            }
            DataType::Map(key, value) => {
                let (key_id, value_id) = (self.next_id(), self.next_id());
                let key = self.read(key, column)?;
                let value = self.read(value, column)?;
                Ok(Type::Map(MapType::new(
                    Arc::new(NestedField::map_key_element(key_id, key)),
                    Arc::new(NestedField::map_value_element(value_id, value, false)),
                )))
            }
            DataType::Struct(fields, _) => self.read_struct(fields, column),
            other => primitive(other, self.format)
                .map(Type::Primitive)
                .ok_or_else(|| unsupported(other, column)),
        }
    }

    fn read_struct(&mut self, fields: &[StructField], column: &str) -> Result<Type> {
        let ids: Vec<i32> = fields.iter().map(|_| self.next_id()).collect();
        let mut read = Vec::with_capacity(fields.len());
        for (id, field) in ids.into_iter().zip(fields) {
            let name = field.field_name.as_ref().ok_or_else(|| {
                Error::invalid(format!(
                    "the struct type of column {column:?} has a field without a name"
                ))
            })?;
            let field_type = self.read(&field.field_type, &format!("{column}.{}", name.value))?;
            read.push(Arc::new(NestedField::optional(id, &name.value, field_type)));
        }
        Ok(Type::Struct(StructType::new(read)))
    }
}

fn unsupported(data_type: &DataType, column: &str) -> Error {
    Error::unsupported(format!(
        "column {column:?} has type {data_type}, which an Iceberg table cannot hold; \
         see the type table in docs/types.md"
    ))
}

fn primitive(data_type: &DataType, format: FormatVersion) -> Option<PrimitiveType> {
    Some(match data_type {
        DataType::Boolean | DataType::Bool => PrimitiveType::Boolean,
        DataType::TinyInt(_)
        | DataType::SmallInt(_)
        | DataType::Int2(_)
        | DataType::MediumInt(_)
        | DataType::Int(_)
        | DataType::Int4(_)
        | DataType::Int16
        | DataType::Int32
        | DataType::Integer(_) => PrimitiveType::Int,
        DataType::BigInt(_) | DataType::Int8(_) | DataType::Int64 => PrimitiveType::Long,
        DataType::Real | DataType::Float4 | DataType::Float32 => PrimitiveType::Float,
        DataType::Float(precision) => float(precision),
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float64 => {
            PrimitiveType::Double
        }
        DataType::Decimal(size) | DataType::Numeric(size) | DataType::Dec(size) => decimal(size)?,
        DataType::Date => PrimitiveType::Date,
        DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            PrimitiveType::Time
        }
        DataType::Timestamp(precision, zone) => timestamp(*precision, zone, format)?,
        DataType::TimestampNtz(precision) => {
            timestamp(*precision, &TimezoneInfo::WithoutTimeZone, format)?
        }
        DataType::Datetime(precision) => {
            timestamp(*precision, &TimezoneInfo::WithoutTimeZone, format)?
        }
        DataType::String(_)
        | DataType::Text
        | DataType::Varchar(_)
        | DataType::CharVarying(_)
        | DataType::CharacterVarying(_)
        | DataType::Nvarchar(_)
        | DataType::Char(_)
        | DataType::Character(_) => PrimitiveType::String,
        DataType::Binary(None)
        | DataType::Varbinary(None)
        | DataType::Blob(_)
        | DataType::Bytea
        | DataType::Bytes(_) => PrimitiveType::Binary,
        DataType::Binary(Some(length)) => PrimitiveType::Fixed(*length),
        DataType::Uuid => PrimitiveType::Uuid,
        DataType::Custom(name, arguments) => custom(name, arguments, format)?,
        _ => return None,
    })
}

/// `FLOAT` is single precision; `FLOAT(p)` as in standard SQL.
fn float(precision: &ExactNumberInfo) -> PrimitiveType {
    match precision {
        ExactNumberInfo::Precision(bits) if *bits > 24 => PrimitiveType::Double,
        _ => PrimitiveType::Float,
    }
}

/// `DECIMAL` alone is `DECIMAL(10, 0)`, as in Spark.
fn decimal(size: &ExactNumberInfo) -> Option<PrimitiveType> {
    let (precision, scale) = match size {
        ExactNumberInfo::None => (10, 0),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let precision = u32::try_from(precision)
        .ok()
        .filter(|precision| (1..=38).contains(precision))?;
    let scale = u32::try_from(scale)
        .ok()
        .filter(|scale| *scale <= precision)?;
    Some(PrimitiveType::Decimal { precision, scale })
}

/// `TIMESTAMP` is without zone (Athena, DuckDB); up to six digits are microseconds, nine
/// nanoseconds, which only format version 3 has.
fn timestamp(
    precision: Option<u64>,
    zone: &TimezoneInfo,
    format: FormatVersion,
) -> Option<PrimitiveType> {
    let has_zone = matches!(zone, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone);
    match (precision, has_zone) {
        (None | Some(0..=6), false) => Some(PrimitiveType::Timestamp),
        (None | Some(0..=6), true) => Some(PrimitiveType::Timestamptz),
        (Some(7..=9), false) if format == FormatVersion::V3 => Some(PrimitiveType::TimestampNs),
        (Some(7..=9), true) if format == FormatVersion::V3 => Some(PrimitiveType::TimestamptzNs),
        _ => None,
    }
}

/// Names that the parser knows as no type of its own.
fn custom(name: &ObjectName, arguments: &[String], format: FormatVersion) -> Option<PrimitiveType> {
    let is_v3 = format == FormatVersion::V3;
    match (name.to_string().to_uppercase().as_str(), arguments) {
        ("LONG", []) => Some(PrimitiveType::Long),
        ("BYTE" | "SHORT", []) => Some(PrimitiveType::Int),
        ("TIMESTAMP_LTZ" | "TIMESTAMPTZ", []) => Some(PrimitiveType::Timestamptz),
        ("TIMESTAMP_NTZ", []) => Some(PrimitiveType::Timestamp),
        ("TIMESTAMP_NS", []) if is_v3 => Some(PrimitiveType::TimestampNs),
        ("TIMESTAMPTZ_NS", []) if is_v3 => Some(PrimitiveType::TimestamptzNs),
        ("FIXED", [length]) => length.parse().ok().map(PrimitiveType::Fixed),
        _ => None,
    }
}
