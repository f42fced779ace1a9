//! How a field of a manifest's rows stands in them, and how its value is taken out.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::column_statistics::{ColumnBound, ColumnCount, StatisticsBuilder};
use crate::scan::avro_blocks::RowSchema;
use crate::scan::avro_header::{take_bytes, take_long};

/// The logical types that say no more than the partition spec does, and that of Iceberg's maps.
const PLAIN_MEANINGS: [&str; 9] = [
    "map",
    "uuid",
    "decimal",
    "date",
    "time-micros",
    "timestamp-micros",
    "timestamp-nanos",
    "local-timestamp-micros",
    "local-timestamp-nanos",
];

/// How a field stands in a row.
#[derive(Debug)]
pub(super) struct Slot {
    /// The place of null among the two variants, for a field that may be missing.
    null: Option<i64>,
    pub(super) shape: Shape,
}

#[derive(Debug)]
pub(super) enum Shape {
    Boolean,
    Integer,
    Float,
    Double,
    Bytes,
    /// So many bytes.
    Fixed(usize),
    /// An array of integers.
    Integers,
    /// An array of keys with counts.
    Counts,
    /// An array of keys with bounds.
    Bounds,
    /// Anything else.
    Other(RowSchema),
}

impl Slot {
    pub(super) fn new(schema: &Json) -> Option<Self> {
        match schema.as_array().map(Vec::as_slice) {
            Some([null, other]) if null == "null" => Some(Self {
                null: Some(0),
                shape: Shape::new(other)?,
            }),
            Some([other, null]) if null == "null" => Some(Self {
                null: Some(1),
                shape: Shape::new(other)?,
            }),
            _ => Some(Self {
                null: None,
                shape: Shape::new(schema)?,
            }),
        }
    }

    /// Whether there is a value.
    pub(super) fn is_some(&self, row: &mut &[u8]) -> Option<bool> {
        let Some(null) = self.null else {
            return Some(true);
        };
        let variant = take_long(row)?;
        (0..2).contains(&variant).then_some(variant != null)
    }

    pub(super) fn integer(&self, row: &mut &[u8]) -> Option<Option<i64>> {
        match (self.is_some(row)?, &self.shape) {
            (false, _) => Some(None),
            (true, Shape::Integer) => take_long(row).map(Some),
            _ => None,
        }
    }

    pub(super) fn bytes<'a>(&self, row: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
        match (self.is_some(row)?, &self.shape) {
            (false, _) => Some(None),
            (true, Shape::Bytes) => take_bytes(row).map(Some),
            _ => None,
        }
    }

    pub(super) fn text<'a>(&self, row: &mut &'a [u8]) -> Option<Option<&'a str>> {
        match self.bytes(row)? {
            Some(bytes) => std::str::from_utf8(bytes).ok().map(Some),
            None => Some(None),
        }
    }

    pub(super) fn integers<T: TryFrom<i64>>(&self, row: &mut &[u8]) -> Option<Option<Vec<T>>> {
        match (self.is_some(row)?, &self.shape) {
            (false, _) => Some(None),
            (true, Shape::Integers) => {
                let mut integers = Vec::new();
                each_item(row, |row| {
                    integers.push(T::try_from(take_long(row)?).ok()?);
                    Some(())
                })?;
                Some(Some(integers))
            }
            _ => None,
        }
    }

    pub(super) fn counts(
        &self,
        row: &mut &[u8],
        kind: ColumnCount,
        statistics: &mut StatisticsBuilder,
    ) -> Option<()> {
        match (self.is_some(row)?, &self.shape) {
            (false, _) => return Some(()),
            (true, Shape::Counts) => each_item(row, |row| {
                let id = i32::try_from(take_long(row)?).ok()?;
                statistics.put_count(kind, id, take_long(row)?);
                Some(())
            })?,
            _ => return None,
        }
        statistics.end_map();
        Some(())
    }

    pub(super) fn bounds(
        &self,
        row: &mut &[u8],
        kind: ColumnBound,
        statistics: &mut StatisticsBuilder,
    ) -> Option<()> {
        match (self.is_some(row)?, &self.shape) {
            (false, _) => return Some(()),
            (true, Shape::Bounds) => each_item(row, |row| {
                let id = i32::try_from(take_long(row)?).ok()?;
                statistics.put_bound(kind, id, take_bytes(row)?)
            })?,
            _ => return None,
        }
        statistics.end_map();
        Some(())
    }

    pub(super) fn skip(&self, row: &mut &[u8]) -> Option<()> {
        if !self.is_some(row)? {
            return Some(());
        }
        match &self.shape {
            Shape::Boolean => take_fixed::<1>(row).map(drop),
            Shape::Integer => take_long(row).map(drop),
            Shape::Float => take_fixed::<4>(row).map(drop),
            Shape::Double => take_fixed::<8>(row).map(drop),
            Shape::Bytes => take_bytes(row).map(drop),
            Shape::Fixed(size) => take_some(row, *size).map(drop),
            Shape::Integers => each_item(row, |row| take_long(row).map(drop)),
            Shape::Counts => each_item(row, |row| {
                take_long(row)?;
                take_long(row).map(drop)
            }),
            Shape::Bounds => each_item(row, |row| {
                take_long(row)?;
                take_bytes(row).map(drop)
            }),
            Shape::Other(schema) => schema.skip_row(row),
        }
    }
}

impl Shape {
    fn new(schema: &Json) -> Option<Self> {
        let kind = schema.as_str().or_else(|| schema["type"].as_str());
        let items = &schema["items"];
        let meaning = schema["logicalType"].as_str();
        if meaning.is_some_and(|meaning| !PLAIN_MEANINGS.contains(&meaning)) {
            return Some(Self::Other(RowSchema::parse(schema)?));
        }
        Some(match kind {
            Some("boolean") => Self::Boolean,
            Some("int" | "long") => Self::Integer,
            Some("float") => Self::Float,
            Some("double") => Self::Double,
            Some("bytes" | "string") => Self::Bytes,
            Some("fixed") => Self::Fixed(usize::try_from(schema["size"].as_u64()?).ok()?),
            Some("array") if is_integer(items) => Self::Integers,
            Some("array") if items["type"] == "record" => match pair(items) {
                Some(value) if is_integer(value) => Self::Counts,
                Some(value) if value == "bytes" => Self::Bounds,
                _ => Self::Other(RowSchema::parse(schema)?),
            },
            _ => Self::Other(RowSchema::parse(schema)?),
        })
    }
}

/// The fixed types of a record that have been told, which is done once: fields after that have their
/// names.
#[derive(Debug, Default)]
pub(super) struct FixedTypes(BTreeMap<String, Json>);

impl FixedTypes {
    /// A field's type without such names; fields come in their order.
    pub(super) fn spelled_out(&mut self, schema: &Json) -> Json {
        match schema {
            Json::Array(variants) => {
                Json::Array(variants.iter().map(|kind| self.spelled_out(kind)).collect())
            }
            Json::String(name) => self.0.get(name).unwrap_or(schema).clone(),
            Json::Object(_) => {
                if let (Some("fixed"), Some(name)) =
                    (schema["type"].as_str(), schema["name"].as_str())
                {
                    self.0.insert(name.to_owned(), schema.clone());
                }
                schema.clone()
            }
            _ => schema.clone(),
        }
    }
}

fn is_integer(schema: &Json) -> bool {
    schema == "int" || schema == "long"
}

/// The type of the values of a record of key and value.
fn pair(record: &Json) -> Option<&Json> {
    match record["fields"].as_array()?.as_slice() {
        [key, value] if key["name"] == "key" && value["name"] == "value" => {
            is_integer(&key["type"]).then_some(&value["type"])
        }
        _ => None,
    }
}

fn each_item<'a>(
    row: &mut &'a [u8],
    mut item: impl FnMut(&mut &'a [u8]) -> Option<()>,
) -> Option<()> {
    loop {
        let mut count = take_long(row)?;
        if count == 0 {
            return Some(());
        }
        // A negative count is followed by the size of the block.
        if count < 0 {
            count = count.checked_neg()?;
            take_long(row)?;
        }
        for _ in 0..count {
            item(row)?;
        }
    }
}

/// So many bytes.
pub(super) fn take_some<'a>(row: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (taken, rest) = row.split_at_checked(size)?;
    *row = rest;
    Some(taken)
}

pub(super) fn take_fixed<const SIZE: usize>(row: &mut &[u8]) -> Option<[u8; SIZE]> {
    let (taken, rest) = row.split_first_chunk()?;
    *row = rest;
    Some(*taken)
}
