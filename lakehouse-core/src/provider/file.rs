//! One data file of a scan: what the opener needs to know beside its bytes.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column as NamedColumn, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr_common::physical_expr::snapshot_generation;
use datafusion::physical_optimizer::pruning::PruningPredicate;
use iceberg::spec::{Datum, Literal as Stored, PrimitiveType, Transform};

use super::deletes::{DeleteMetrics, ScanDeletes};
use super::pruning::{Prunable, Trust, prunable};
use super::values;
use crate::error::Result;
use crate::scan::{
    ColumnBound, ColumnCount, DeleteFile, DeletedRows, ListedFile, MetadataColumn, ScanFile,
};

/// A data file as a snapshot holds it; travels with each byte range of the file.
#[derive(Debug)]
pub(crate) struct LakeFile {
    planned: ScanFile,
    constants: HashMap<i32, Option<Stored>>,
    key_sets: Vec<usize>,
    /// What deletes its rows, when that is not known of the scan as a whole.
    deletes: Option<Arc<ScanDeletes>>,
    /// What position deletes and deletion vectors delete, once somebody needed to know.
    deleted: OnceLock<Option<Arc<DeletedRows>>>,
    /// The rows that are read, when not all are.
    chosen: Option<Arc<DeletedRows>>,
    /// Whether a range of the file was counted for EXPLAIN.
    is_counted: AtomicBool,
}

impl LakeFile {
    /// A file of a plan.
    pub(crate) fn new(planned: ScanFile) -> Self {
        let constants = planned
            .partition()
            .filter(|(column, _)| column.transform == Transform::Identity)
            .map(|(column, value)| (column.source_id, value.cloned()))
            .collect();
        Self {
            planned,
            constants,
            key_sets: Vec::new(),
            deletes: None,
            deleted: OnceLock::new(),
            chosen: None,
            is_counted: AtomicBool::new(false),
        }
    }

    /// A file of equality deletes, read like one of data.
    pub(crate) fn of_deletes(deletes: &DeleteFile) -> Self {
        Self::new(ScanFile::of_deletes(deletes))
    }

    /// With the equality deletes that apply to it, by position in the scan.
    pub(crate) fn with_key_sets(mut self, key_sets: Vec<usize>) -> Self {
        self.key_sets = key_sets;
        self
    }

    /// With what deletes its rows, among others'; instead of what the scan as a whole knows.
    pub(crate) fn with_deletes(mut self, deletes: Arc<ScanDeletes>) -> Self {
        self.deletes = Some(deletes);
        self
    }

    /// With the rows that are deleted, instead of what deletes name.
    pub(super) fn with_deleted_rows(mut self, rows: Option<Arc<DeletedRows>>) -> Self {
        self.deleted = OnceLock::from(rows);
        self
    }

    /// With a choice of its rows, by their places; only these are read.
    pub(super) fn with_chosen_rows(mut self, rows: Arc<DeletedRows>) -> Self {
        self.chosen = Some(rows);
        self
    }

    /// The rows that are read, when not all are.
    pub(super) fn chosen_rows(&self) -> Option<&DeletedRows> {
        self.chosen.as_deref()
    }

    /// With the same value in all rows of a column that no file has.
    pub(crate) fn with_constant(mut self, field_id: i32, value: Option<Stored>) -> Self {
        self.constants.insert(field_id, value);
        self
    }

    /// The equality deletes that apply to it, by position in the scan.
    pub(super) fn key_sets(&self) -> &[usize] {
        &self.key_sets
    }

    /// Whether this is the first range of the file that is opened or skipped.
    pub(super) fn is_first_range(&self) -> bool {
        !self.is_counted.swap(true, Ordering::Relaxed)
    }

    /// The data sequence number.
    pub(super) fn sequence_number(&self) -> i64 {
        self.planned.sequence_number
    }

    /// Path, counts and bounds.
    pub(super) fn data_file(&self) -> &ListedFile {
        self.planned.data_file()
    }

    /// The file as planning found it.
    pub(super) fn planned(&self) -> &ScanFile {
        &self.planned
    }

    /// The rows that position deletes and deletion vectors delete; read once for all of the
    /// file's byte ranges.
    ///
    /// # Errors
    /// As [`ScanDeletes::rows_of`].
    pub(super) async fn deleted_rows(
        &self,
        deletes: &ScanDeletes,
        metrics: &DeleteMetrics,
    ) -> Result<Option<Arc<DeletedRows>>> {
        let rows = match self.deleted.get() {
            Some(known) => known,
            None => {
                let deletes = self.deletes.as_deref().unwrap_or(deletes);
                let found = deletes.rows_of(&self.planned, metrics).await?;
                // Another byte range may have been faster; then these are given back.
                self.deleted.get_or_init(|| found.keep())
            }
        };
        Ok(rows.as_ref().map(Arc::clone))
    }

    /// Whether position deletes or a deletion vector may delete rows of the file.
    pub(super) fn has_position_deletes(&self) -> bool {
        let deletes = &self.planned.deletes;
        match self.deleted.get() {
            Some(known) => known.is_some(),
            None => deletes.vector.is_some() || !deletes.positions.is_empty(),
        }
    }

    /// Whether a deletion vector deletes rows of the file.
    pub(super) fn has_vector(&self) -> bool {
        self.planned.deletes.vector.is_some()
    }

    /// Identity partition values by field id of their column, for files without the column.
    pub(super) fn constants(&self) -> &HashMap<i32, Option<Stored>> {
        &self.constants
    }

    /// What may be concluded from the bounds of a column.
    pub(super) fn trust(&self, field_id: i32, is_float: bool) -> Trust {
        // Bounds of stored row ids leave out those that rows inherit.
        if MetadataColumn::from_field_id(field_id).is_some() {
            return Trust::Nothing;
        }
        if !is_float || self.data_file().count(ColumnCount::Nans, field_id) == Some(0) {
            Trust::Everything
        } else {
            Trust::Equality
        }
    }
}

/// Asks again and again whether a file can still hold a matching row, as dynamic filters learn.
pub(super) struct FilePruner {
    file: Arc<LakeFile>,
    predicate: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    field_ids: Arc<[i32]>,
    generation: Option<u64>,
}

impl FilePruner {
    /// A pruner for `predicate` on columns of `schema`, whose field ids are `field_ids`.
    pub(super) fn new(
        file: Arc<LakeFile>,
        predicate: Arc<dyn PhysicalExpr>,
        schema: SchemaRef,
        field_ids: Arc<[i32]>,
    ) -> Self {
        Self {
            file,
            predicate,
            schema,
            field_ids,
            generation: None,
        }
    }

    /// Whether no row of the file can match any more. Cheap while the predicate does not change.
    pub(super) fn should_prune(&mut self) -> datafusion::error::Result<bool> {
        let generation = snapshot_generation(&self.predicate);
        if self.generation.replace(generation) == Some(generation) {
            return Ok(false);
        }
        let known = |column: &Column| -> Option<Arc<dyn PhysicalExpr>> {
            Some(match self.constant(column) {
                Some(value) => Arc::new(Literal::new(value)),
                None => Arc::new(column.clone()),
            })
        };
        let trust = |position: usize| {
            let field = self.schema.fields().get(position);
            match (self.field_ids.get(position), field) {
                (Some(id), Some(field)) => self.file.trust(*id, field.data_type().is_floating()),
                _ => Trust::Nothing,
            }
        };
        let conditions = match prunable(&self.predicate, &self.schema, known, trust)? {
            Prunable::NoRow => return Ok(true),
            Prunable::Conditions(None) => return Ok(false),
            Prunable::Conditions(Some(conditions)) => conditions,
        };
        let Ok(pruning) = PruningPredicate::try_new(conditions, Arc::clone(&self.schema)) else {
            return Ok(false);
        };
        let bounds = FileBounds { pruner: self };
        // What cannot be evaluated prunes nothing.
        Ok(pruning
            .prune(&bounds)
            .is_ok_and(|kept| kept.iter().all(|kept| !kept)))
    }
}

impl FilePruner {
    /// The one value that a column has in the whole file, by the file's partition. Not for floats,
    /// whose zeros partition values do not tell apart.
    fn constant(&self, column: &Column) -> Option<ScalarValue> {
        let id = self.field_ids.get(column.index())?;
        let data_type = self.schema.fields().get(column.index())?.data_type();
        match self.file.constants().get(id)? {
            _ if data_type.is_floating() => None,
            Some(value) => values::literal_scalar(value, data_type),
            None => ScalarValue::try_from(data_type).ok(),
        }
    }
}

/// A file's bounds and counts as the engine's pruning reads them; a container is the file.
struct FileBounds<'a> {
    pruner: &'a FilePruner,
}

impl FileBounds<'_> {
    fn position(&self, column: &NamedColumn) -> Option<(usize, i32)> {
        let position = self.pruner.schema.index_of(&column.name).ok()?;
        Some((position, *self.pruner.field_ids.get(position)?))
    }

    fn bound(&self, column: &NamedColumn, upper: bool) -> Option<ArrayRef> {
        let (position, id) = self.position(column)?;
        let file = self.pruner.file.data_file();
        let kind = if upper {
            ColumnBound::Upper
        } else {
            ColumnBound::Lower
        };
        let data_type = self.pruner.schema.field(position).data_type();
        // Old Java writers ordered UUIDs as signed numbers: their bounds say nothing.
        let is_ordered = |bound: &Datum| *bound.data_type() != PrimitiveType::Uuid;
        let value = match file.bound(kind, id).filter(is_ordered) {
            Some(bound) => values::scalar(bound.literal(), data_type),
            None => None,
        };
        let value = match value {
            Some(value) => value,
            None => ScalarValue::try_from(data_type).ok()?,
        };
        value.to_array_of_size(1).ok()
    }
}

impl PruningStatistics for FileBounds<'_> {
    fn min_values(&self, column: &NamedColumn) -> Option<ArrayRef> {
        self.bound(column, false)
    }

    fn max_values(&self, column: &NamedColumn) -> Option<ArrayRef> {
        self.bound(column, true)
    }

    fn num_containers(&self) -> usize {
        1
    }

    fn null_counts(&self, column: &NamedColumn) -> Option<ArrayRef> {
        let (_, id) = self.position(column)?;
        let count = self.pruner.file.data_file().count(ColumnCount::Nulls, id)?;
        Some(Arc::new(UInt64Array::from(vec![count])))
    }

    fn row_counts(&self, _column: &NamedColumn) -> Option<ArrayRef> {
        let rows = self.pruner.file.data_file().record_count();
        Some(Arc::new(UInt64Array::from(vec![rows])))
    }

    fn contained(
        &self,
        _column: &NamedColumn,
        _values: &HashSet<ScalarValue>,
    ) -> Option<BooleanArray> {
        None
    }
}
