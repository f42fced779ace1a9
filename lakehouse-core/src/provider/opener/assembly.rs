//! From decoded columns to the columns that were asked for.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use datafusion::error::Result as EngineResult;
use datafusion::physical_expr::projection::{ProjectionExprs, Projector};
use datafusion::physical_expr::utils::reassign_expr_columns;

use super::super::equality_delete::KeyFilters;
use super::super::field_mapping::{ColumnSource, FileMapping};
use super::super::row_filter::RowFilter;
use super::compaction::compacted;
use super::live_condition::LiveCondition;
use crate::error::{Error, Result};

/// Puts decoded columns together as the table has them, then computes what was asked for.
pub(super) struct Assembly {
    /// The needed columns' sources, in the order of `schema`, with positions in decoded batches.
    sources: Vec<ColumnSource>,
    schema: SchemaRef,
    projector: Projector,
    row_filter: Option<RowFilter>,
    live_condition: Option<LiveCondition>,
}

impl Assembly {
    pub(super) fn new(
        read: &ArrowSchema,
        projection: &ProjectionExprs,
        mapping: &FileMapping,
        needed: &[usize],
        roots: &[usize],
    ) -> Result<Self> {
        let mut sources = Vec::with_capacity(needed.len());
        for position in needed {
            let source = mapping.sources.get(position);
            let source =
                source.ok_or_else(|| Error::internal("a column that is needed has no source"))?;
            sources.push(source.decoded(roots)?);
        }
        let schema = Arc::new(read.project(needed)?);
        let projector = projection
            .clone()
            .try_map_exprs(|expr| reassign_expr_columns(expr, &schema))?
            .make_projector(&schema)?;
        Ok(Self {
            sources,
            schema,
            projector,
            row_filter: None,
            live_condition: None,
        })
    }

    /// Leaves out rows by the filter that `make` has for the decoded columns.
    pub(super) fn with_row_filter(
        mut self,
        make: impl FnOnce(&SchemaRef) -> Option<RowFilter>,
    ) -> Self {
        self.row_filter = make(&self.schema);
        self
    }

    /// Leaves out rows by what `make` has for the decoded columns, from batches with deleted rows.
    pub(super) fn with_live_condition(
        mut self,
        make: impl FnOnce(&SchemaRef) -> Option<LiveCondition>,
    ) -> Self {
        self.live_condition = make(&self.schema);
        self
    }

    /// The `live` rows of a decoded batch in the table's form.
    fn live_batch(&self, batch: RecordBatch, live: BooleanBuffer) -> Result<RecordBatch> {
        let condition = self.live_condition.as_ref();
        if let Some(condition) = condition.filter(|condition| condition.pays())
            // A deleted row may hold what the table does not admit: then it goes first.
            && let Ok(table) = self.table_batch(&batch)
            && let Some(met) = condition.met(&table)
        {
            drop(batch);
            return compacted(table, &live & &met);
        }
        self.table_batch(&compacted(batch, live)?)
    }

    /// A decoded batch in the table's form.
    fn table_batch(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            columns.push(source.array(rows, |position| batch.columns().get(position))?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(
            |error| {
                Error::corrupt("a data file holds values that its table's schema does not admit")
                    .with_source(error)
            },
        )
    }

    /// What was asked for of a decoded batch and its `live` rows, all of them unless given; errors
    /// name the file at `location`.
    pub(super) fn assemble(
        &self,
        batch: Result<(RecordBatch, Option<BooleanBuffer>)>,
        deletes: &KeyFilters,
        location: &str,
    ) -> EngineResult<RecordBatch> {
        let table = batch
            .and_then(|(batch, live)| match live {
                Some(live) => self.live_batch(batch, live),
                None => self.table_batch(&batch),
            })
            .and_then(|batch| deletes.apply(batch));
        let mut table = table.map_err(|error| error.in_file(location))?;
        if let Some(filter) = &self.row_filter {
            table = filter.filter(table)?;
        }
        self.projector.project_batch(&table)
    }
}
