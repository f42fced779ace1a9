//! Which metrics a table wants for which column.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::{NestedFieldRef, Schema, SortOrder, Type};

use super::properties::Properties;
use crate::error::{Error, Result};

/// The property of the mode of columns that have none of their own.
const DEFAULT_KEY: &str = "write.metadata.metrics.default";
/// The prefix of the property of one column's mode.
const COLUMN_PREFIX: &str = "write.metadata.metrics.column.";
/// How many columns get the default mode when the table does not name one.
const INFERRED_KEY: &str = "write.metadata.metrics.max-inferred-column-defaults";
/// The default of [`INFERRED_KEY`].
const INFERRED_MAX: usize = 100;
/// The length of bounds when the table does not say.
const BOUND_LENGTH: usize = 16;

/// What is recorded of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricsMode {
    /// Nothing.
    None,
    /// Sizes and counts.
    Counts,
    /// Counts, and bounds of at most so many code points or bytes.
    Truncate(usize),
    /// Counts and whole bounds.
    Full,
}

impl MetricsMode {
    fn parse(key: &str, text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        let length = lower
            .strip_prefix("truncate(")
            .and_then(|rest| rest.strip_suffix(')'));
        let length = length.and_then(|length| length.trim().parse().ok());
        match (lower.as_str(), length) {
            ("none", _) => Ok(Self::None),
            ("counts", _) => Ok(Self::Counts),
            ("full", _) => Ok(Self::Full),
            (_, Some(length)) if length > 0 => Ok(Self::Truncate(length)),
            _ => Err(Error::invalid(format!(
                "property {key:?} must be none, counts, truncate(<length>) or full, it is {text:?}"
            ))),
        }
    }

    /// Whether bounds are recorded.
    pub(super) fn has_bounds(self) -> bool {
        matches!(self, Self::Truncate(_) | Self::Full)
    }
}

/// The mode of each primitive column by field id.
pub(super) fn metrics_modes(
    schema: &Schema,
    order: &SortOrder,
    properties: Properties<'_>,
) -> Result<HashMap<i32, MetricsMode>> {
    let leaves = leaves(schema);
    let default = properties
        .text(DEFAULT_KEY)
        .map(|text| MetricsMode::parse(DEFAULT_KEY, text))
        .transpose()?;
    let inferred = properties.number(INFERRED_KEY, 0)?.unwrap_or(INFERRED_MAX);
    let mut modes: HashMap<i32, MetricsMode> = leaves
        .iter()
        .enumerate()
        .map(|(place, id)| {
            let mode = default.unwrap_or(match place < inferred {
                true => MetricsMode::Truncate(BOUND_LENGTH),
                false => MetricsMode::None,
            });
            (*id, mode)
        })
        .collect();
    // Bounds of the columns a table is sorted by are what prunes its files.
    for field in order
        .fields
        .iter()
        .filter(|field| field.transform.preserves_order())
    {
        if let Some(mode) = modes.get_mut(&field.source_id)
            && !mode.has_bounds()
        {
            *mode = MetricsMode::Truncate(BOUND_LENGTH);
        }
    }
    for (column, text) in properties.below(COLUMN_PREFIX) {
        let mode = MetricsMode::parse(&format!("{COLUMN_PREFIX}{column}"), text)?;
        // A column that was dropped may still have its property.
        let id = schema.field_id_by_name(column);
        if let Some(known) = id.and_then(|id| modes.get_mut(&id)) {
            *known = mode;
        }
    }
    Ok(modes)
}

/// The ids of all primitive columns, those of the top level first.
fn leaves(schema: &Schema) -> Vec<i32> {
    let mut ids = Vec::new();
    let mut level: Vec<NestedFieldRef> = schema.as_struct().fields().to_vec();
    while !level.is_empty() {
        let mut below = Vec::new();
        for field in level {
            match field.field_type.as_ref() {
                Type::Primitive(_) => ids.push(field.id),
                Type::Struct(fields) => below.extend(fields.fields().iter().cloned()),
                Type::List(list) => below.push(Arc::clone(&list.element_field)),
                Type::Map(map) => {
                    below.push(Arc::clone(&map.key_field));
                    below.push(Arc::clone(&map.value_field));
                }
            }
        }
        level = below;
    }
    ids
}

/// The longest bound any column wants, in code points or bytes; `None` for whole values.
pub(super) fn longest_bound(
    schema: &Schema,
    order: &SortOrder,
    properties: Properties<'_>,
) -> Result<Option<usize>> {
    let mut longest = 0;
    for mode in metrics_modes(schema, order, properties)?.into_values() {
        match mode {
            MetricsMode::Full => return Ok(None),
            MetricsMode::Truncate(length) => longest = longest.max(length),
            MetricsMode::None | MetricsMode::Counts => {}
        }
    }
    Ok(Some(longest))
}
