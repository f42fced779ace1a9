//! What planning prunes by: sizes, counts and bounds of one data file, never too narrow.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float32Type, Float64Type, Schema as ArrowSchema,
};
use iceberg::spec::{
    Datum, NestedFieldRef, PrimitiveLiteral, PrimitiveType, Schema, SortOrder, Type,
};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::bounds::{cut_lower, cut_upper, datum, decode};
use super::metrics_mode::{MetricsMode, metrics_modes};
use super::partition::column_at;
use super::properties::Properties;
use crate::error::{Error, Result};
use crate::table::field_id;

/// Which metrics are recorded of a table's columns, and how.
#[derive(Debug, Default)]
pub(super) struct MetricsPlan {
    columns: HashMap<i32, PlannedColumn>,
    floats: Vec<FloatColumn>,
}

#[derive(Debug)]
struct PlannedColumn {
    mode: MetricsMode,
    value_type: PrimitiveType,
}

/// A float column outside of lists and maps.
#[derive(Debug)]
struct FloatColumn {
    id: i32,
    path: Vec<usize>,
}

/// What was seen of one float column: footers know neither NaN nor the sign of zero for sure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FloatMetrics {
    nan_count: u64,
    range: Option<(f64, f64)>,
}

/// The metrics of one data file by field id.
#[derive(Debug, Default)]
pub(super) struct FileMetrics {
    pub(super) column_sizes: HashMap<i32, u64>,
    pub(super) value_counts: HashMap<i32, u64>,
    pub(super) null_value_counts: HashMap<i32, u64>,
    pub(super) nan_value_counts: HashMap<i32, u64>,
    pub(super) lower_bounds: HashMap<i32, Datum>,
    pub(super) upper_bounds: HashMap<i32, Datum>,
    pub(super) split_offsets: Vec<i64>,
}

impl MetricsPlan {
    /// The plan of a table; `stored` is [`crate::table::write_schema`].
    pub(super) fn try_new(
        schema: &Schema,
        order: &SortOrder,
        stored: &ArrowSchema,
        properties: Properties<'_>,
    ) -> Result<Self> {
        let modes = metrics_modes(schema, order, properties)?;
        let mut plan = Self {
            columns: HashMap::new(),
            floats: Vec::new(),
        };
        for (id, mode) in modes {
            let value_type = schema
                .field_by_id(id)
                .map(|field| field.field_type.as_ref());
            if let (Some(Type::Primitive(value_type)), true) =
                (value_type, mode != MetricsMode::None)
            {
                let value_type = value_type.clone();
                plan.columns.insert(id, PlannedColumn { mode, value_type });
            }
        }
        let fields = schema.as_struct().fields();
        plan.add_floats(fields, stored.fields(), &[])?;
        Ok(plan)
    }

    fn add_floats(
        &mut self,
        fields: &[NestedFieldRef],
        stored: &arrow::datatypes::Fields,
        parent: &[usize],
    ) -> Result<()> {
        for (position, (field, stored)) in fields.iter().zip(stored).enumerate() {
            if field_id(stored.metadata()) != Some(field.id) {
                return Err(Error::internal("the stored schema must follow the table's"));
            }
            let path: Vec<usize> = parent.iter().copied().chain([position]).collect();
            match (field.field_type.as_ref(), stored.data_type()) {
                (Type::Struct(children), DataType::Struct(stored)) => {
                    self.add_floats(children.fields(), stored, &path)?;
                }
                (Type::Primitive(PrimitiveType::Float | PrimitiveType::Double), _)
                    if self.columns.contains_key(&field.id) =>
                {
                    self.floats.push(FloatColumn { id: field.id, path });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The state in which nothing was seen yet; [`Self::observe`] goes on from it.
    pub(super) fn floats(&self) -> Vec<FloatMetrics> {
        vec![FloatMetrics::default(); self.floats.len()]
    }

    /// Looks at the float columns of rows that go into a file.
    pub(super) fn observe(&self, seen: &mut [FloatMetrics], batch: &RecordBatch) -> Result<()> {
        for (column, seen) in self.floats.iter().zip(seen) {
            seen.observe(&column_at(batch, &column.path)?)?;
        }
        Ok(())
    }

    /// The metrics of a finished file.
    pub(super) fn file_metrics(
        &self,
        footer: &ParquetMetaData,
        seen: &[FloatMetrics],
    ) -> Result<FileMetrics> {
        let mut metrics = FileMetrics::default();
        for (index, leaf) in footer
            .file_metadata()
            .schema_descr()
            .columns()
            .iter()
            .enumerate()
        {
            let info = leaf.self_type().get_basic_info();
            let id = info.has_id().then(|| info.id());
            let Some((id, column)) = id.and_then(|id| Some((id, self.columns.get(&id)?))) else {
                continue;
            };
            let chunks = || {
                footer
                    .row_groups()
                    .iter()
                    .map(move |group| group.column(index))
            };
            let size = chunks().map(ColumnChunkMetaData::compressed_size).sum();
            metrics.column_sizes.insert(id, count(size)?);
            // What a count or bound of a repeated column means, engines do not agree on.
            if leaf.max_rep_level() == 0 {
                column.add_metrics(&mut metrics, id, chunks)?;
            }
        }
        for (column, seen) in self.floats.iter().zip(seen) {
            let Some(planned) = self.columns.get(&column.id) else {
                continue;
            };
            metrics.nan_value_counts.insert(column.id, seen.nan_count);
            if let (Some((low, high)), true) = (seen.range, planned.mode.has_bounds()) {
                let value_type = &planned.value_type;
                // Readers may order -0.0 before +0.0: a bound of zero includes both.
                let low = if low == 0.0 { -0.0 } else { low };
                let high = if high == 0.0 { 0.0 } else { high };
                metrics
                    .lower_bounds
                    .insert(column.id, float_datum(low, value_type)?);
                metrics
                    .upper_bounds
                    .insert(column.id, float_datum(high, value_type)?);
            }
        }
        metrics.split_offsets = footer
            .row_groups()
            .iter()
            .filter_map(|group| group.columns().first())
            .map(|first| {
                first
                    .dictionary_page_offset()
                    .unwrap_or(first.data_page_offset())
            })
            .collect();
        Ok(metrics)
    }
}

impl PlannedColumn {
    fn add_metrics<'a, I: Iterator<Item = &'a ColumnChunkMetaData>>(
        &self,
        metrics: &mut FileMetrics,
        id: i32,
        chunks: impl Fn() -> I,
    ) -> Result<()> {
        let values = count(chunks().map(ColumnChunkMetaData::num_values).sum())?;
        metrics.value_counts.insert(id, values);
        if let Some(nulls) = chunks().map(null_count).sum::<Option<u64>>() {
            metrics.null_value_counts.insert(id, nulls);
        }
        let length = match self.mode {
            MetricsMode::None | MetricsMode::Counts => return Ok(()),
            MetricsMode::Truncate(length) => length,
            MetricsMode::Full => usize::MAX,
        };
        if let Some((lower, upper)) = self.range(chunks()) {
            let lower = cut_lower(lower, length);
            metrics
                .lower_bounds
                .insert(id, datum(&lower, &self.value_type)?);
            if let Some(upper) = cut_upper(upper, length) {
                metrics
                    .upper_bounds
                    .insert(id, datum(&upper, &self.value_type)?);
            }
        }
        Ok(())
    }

    /// Bounds around all row groups. Inexact statistics are bounds too; a row group that has values
    /// and no statistics leaves the file without bounds.
    fn range<'a>(
        &self,
        chunks: impl Iterator<Item = &'a ColumnChunkMetaData>,
    ) -> Option<(PrimitiveLiteral, PrimitiveLiteral)> {
        let mut range: Option<(PrimitiveLiteral, PrimitiveLiteral)> = None;
        for chunk in chunks {
            let nulls = null_count(chunk);
            if nulls.is_some() && nulls == u64::try_from(chunk.num_values()).ok() {
                continue;
            }
            let (low, high) = decode(chunk.statistics()?, &self.value_type)?;
            range = Some(match range {
                None => (low, high),
                Some((lowest, highest)) => (
                    if low < lowest { low } else { lowest },
                    if high > highest { high } else { highest },
                ),
            });
        }
        range
    }
}

fn null_count(chunk: &ColumnChunkMetaData) -> Option<u64> {
    chunk.statistics()?.null_count_opt()
}

fn count(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::internal("a Parquet footer counts below zero"))
}

impl FloatMetrics {
    /// Adds what was seen elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        self.nan_count += other.nan_count;
        if let Some((low, high)) = other.range {
            self.see(low);
            self.see(high);
        }
    }

    fn observe(&mut self, values: &ArrayRef) -> Result<()> {
        match values.data_type() {
            DataType::Float32 => self.observe_values::<Float32Type>(values),
            DataType::Float64 => self.observe_values::<Float64Type>(values),
            other => return Err(Error::internal(format!("a float column of type {other}"))),
        }
        Ok(())
    }

    fn observe_values<T>(&mut self, values: &ArrayRef)
    where
        T: ArrowPrimitiveType,
        T::Native: Into<f64>,
    {
        let values = values.as_primitive::<T>();
        match values.null_count() {
            0 => values
                .values()
                .iter()
                .for_each(|value| self.see((*value).into())),
            _ => values
                .iter()
                .flatten()
                .for_each(|value| self.see(value.into())),
        }
    }

    fn see(&mut self, value: f64) {
        if value.is_nan() {
            self.nan_count += 1;
            return;
        }
        self.range = Some(match self.range {
            None => (value, value),
            Some((low, high)) => (
                if value < low { value } else { low },
                if value > high { value } else { high },
            ),
        });
    }
}

fn float_datum(value: f64, value_type: &PrimitiveType) -> Result<Datum> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the value was widened from 32 bits"
    )]
    let literal = match value_type {
        PrimitiveType::Float => PrimitiveLiteral::Float((value as f32).into()),
        _ => PrimitiveLiteral::Double(value.into()),
    };
    datum(&literal, value_type)
}
