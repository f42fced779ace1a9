//! Row groups skipped by bloom filters: what is hashed is what the file's own type stores.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use datafusion::physical_optimizer::pruning::PruningPredicate;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Type as PhysicalType;
use parquet::bloom_filter::Sbbf;

use super::{LakeOpener, Opened, leaf_of, options};
use crate::error::Result;

/// A column that a condition compares with literals, and that has bloom filters.
struct FilteredColumn {
    name: String,
    leaf: usize,
    stored: Stored,
}

/// How a file stores a column.
#[derive(Debug, Clone)]
struct Stored {
    data_type: DataType,
    physical: PhysicalType,
    /// The bytes of a value of fixed length.
    length: usize,
}

impl LakeOpener {
    /// Leaves out row groups that by their bloom filters hold none of the values that a condition
    /// asks for. A filter that cannot be read leaves out nothing.
    pub(super) async fn prune_by_bloom_filters(
        &self,
        plan: &mut ParquetAccessPlan,
        pruning: &PruningPredicate,
        opened: &Opened,
    ) -> Result<()> {
        let metrics = &opened.metrics;
        let columns = filtered_columns(pruning, opened);
        if columns.is_empty() {
            let kept = plan.row_group_index_iter().count();
            metrics.row_groups_pruned_bloom_filter.add_matched(kept);
            return Ok(());
        }
        let timer = metrics.bloom_filter_eval_time.timer();
        let metadata =
            ArrowReaderMetadata::try_new(Arc::clone(&opened.footer), options(&opened.mapping))?;
        let reader = opened.reader.clone().metered(&self.counters.bloom_filters);
        let mut reader = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        for group in plan.row_group_indexes() {
            let mut filters = Filters::default();
            for column in &columns {
                let read = reader.get_row_group_column_bloom_filter(group, column.leaf);
                match read.await {
                    Ok(Some(filter)) => {
                        let known = (filter, column.stored.clone());
                        filters.by_name.insert(column.name.clone(), known);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(%error, file = opened.reader.location(), "bloom filter");
                        metrics.predicate_evaluation_errors.add(1);
                    }
                }
            }
            let may_match = pruning.prune(&filters).map_or(true, |kept| kept != [false]);
            if may_match {
                metrics.row_groups_pruned_bloom_filter.add_matched(1);
            } else {
                plan.skip(group);
                metrics.row_groups_pruned_bloom_filter.add_pruned(1);
            }
        }
        timer.done();
        Ok(())
    }
}

fn filtered_columns(pruning: &PruningPredicate, opened: &Opened) -> Vec<FilteredColumn> {
    let schema = &opened.mapping.file_schema;
    let footer = &opened.footer;
    let names = pruning.literal_columns().into_iter();
    let columns = names.filter_map(|name| {
        let root = schema.index_of(&name).ok()?;
        let leaf = leaf_of(footer, root)?;
        let has_filter = footer
            .row_groups()
            .iter()
            .any(|group| group.column(leaf).bloom_filter_offset().is_some());
        let stored = Stored {
            data_type: Field::data_type(schema.field(root)).clone(),
            physical: footer
                .file_metadata()
                .schema_descr()
                .column(leaf)
                .physical_type(),
            length: fixed_length(opened, leaf),
        };
        has_filter.then_some(FilteredColumn { name, leaf, stored })
    });
    columns.collect()
}

fn fixed_length(opened: &Opened, leaf: usize) -> usize {
    let descriptor = opened.footer.file_metadata().schema_descr().column(leaf);
    match descriptor.physical_type() {
        PhysicalType::FIXED_LEN_BYTE_ARRAY => {
            usize::try_from(descriptor.type_length()).unwrap_or_default()
        }
        _ => 0,
    }
}

/// The bloom filters of one row group, by column.
#[derive(Default)]
struct Filters {
    by_name: HashMap<String, (Sbbf, Stored)>,
}

impl PruningStatistics for Filters {
    fn min_values(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn max_values(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn num_containers(&self) -> usize {
        1
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    /// "No" when none of the values is there; a filter never says that one is.
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let (filter, stored) = self.by_name.get(column.name.as_str())?;
        let mut values = values.iter();
        let none = values.all(|value| stored.bytes(value).is_some_and(|b| !filter.check(&*b)));
        Some(BooleanArray::from(vec![none.then_some(false)]))
    }
}

impl Stored {
    /// The bytes that the file's writer hashed for a value; `None` when that is not certain.
    fn bytes(&self, value: &ScalarValue) -> Option<Vec<u8>> {
        use PhysicalType as P;
        if !self.holds(value) {
            return None;
        }
        match (self.physical, value) {
            (P::INT32, ScalarValue::Int32(Some(v)) | ScalarValue::Date32(Some(v))) => {
                Some(v.to_le_bytes().to_vec())
            }
            (P::INT32, ScalarValue::Decimal128(Some(v), ..)) => {
                Some(i32::try_from(*v).ok()?.to_le_bytes().to_vec())
            }
            (P::INT64, ScalarValue::Decimal128(Some(v), ..)) => {
                Some(i64::try_from(*v).ok()?.to_le_bytes().to_vec())
            }
            (
                P::INT64,
                ScalarValue::Int64(Some(v))
                | ScalarValue::Time64Microsecond(Some(v))
                | ScalarValue::TimestampMillisecond(Some(v), _)
                | ScalarValue::TimestampMicrosecond(Some(v), _)
                | ScalarValue::TimestampNanosecond(Some(v), _),
            ) => Some(v.to_le_bytes().to_vec()),
            // Zeros have two forms and NaN has many.
            (P::FLOAT, ScalarValue::Float32(Some(v))) if *v != 0.0 && !v.is_nan() => {
                Some(v.to_le_bytes().to_vec())
            }
            (P::DOUBLE, ScalarValue::Float64(Some(v))) if *v != 0.0 && !v.is_nan() => {
                Some(v.to_le_bytes().to_vec())
            }
            (P::FIXED_LEN_BYTE_ARRAY, ScalarValue::Decimal128(Some(v), ..)) => {
                self.fixed_decimal(*v)
            }
            (P::FIXED_LEN_BYTE_ARRAY, ScalarValue::FixedSizeBinary(_, Some(v))) => {
                (v.len() == self.length).then(|| v.clone())
            }
            (P::BYTE_ARRAY, value) => match value {
                ScalarValue::Binary(Some(v))
                | ScalarValue::LargeBinary(Some(v))
                | ScalarValue::BinaryView(Some(v)) => Some(v.clone()),
                _ => Some(value.try_as_str()??.as_bytes().to_vec()),
            },
            _ => None,
        }
    }

    /// Whether a literal has the column's own type, up to how texts and bytes are held.
    fn holds(&self, value: &ScalarValue) -> bool {
        let is_text =
            |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let is_bytes = |t: &DataType| {
            matches!(
                t,
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView
            )
        };
        let (own, other) = (&self.data_type, &value.data_type());
        own == other
            || is_text(own) && is_text(other)
            || is_bytes(own) && is_bytes(other)
            || matches!((own, other), (DataType::Timestamp(a, _), DataType::Timestamp(b, _)) if a == b)
    }

    /// A decimal as the big-endian number of the column's length.
    fn fixed_decimal(&self, digits: i128) -> Option<Vec<u8>> {
        let bytes = digits.to_be_bytes();
        let cut = bytes.len().checked_sub(self.length)?;
        let (above, kept) = bytes.split_at(cut);
        let sign = if digits < 0 { 0xFF } else { 0x00 };
        let is_whole = above.iter().all(|byte| *byte == sign)
            && kept
                .first()
                .is_some_and(|first| (first & 0x80 != 0) == (digits < 0));
        is_whole.then(|| kept.to_vec())
    }
}
