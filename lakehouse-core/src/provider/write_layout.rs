//! The plan pieces that bring rows to writers as a table wants them: distributed and sorted.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result as EngineResult;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    Distribution as EngineDistribution, ExecutionPlan, ExecutionPlanProperties, Partitioning,
};
use iceberg::spec::{NullOrder, SortDirection, Transform};

use super::transform_value::TransformValue;
use crate::error::{Error, Result};
use crate::table::{Table, write_schema};
use crate::write::{Distribution, RowOrder};

/// How rows come to the writers of one statement.
#[derive(Debug, Clone)]
pub(crate) struct WriteLayout {
    distribution: Distribution,
    /// The partition values of a row.
    partition: Vec<Arc<dyn PhysicalExpr>>,
    /// By partition value, then by the table's sort order; else as the statement asks for.
    ordering: Option<LexOrdering>,
    is_sorted: bool,
    /// Whether the order is that of the statement.
    is_asked_for: bool,
}

impl WriteLayout {
    /// The layout that a table and a statement's own properties ask for; `input` is the schema of
    /// the rows, whose columns are the table's in order.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] for a mode that is not known,
    /// [`crate::error::ErrorKind::Unsupported`] for a partition transform that is not known.
    pub(crate) fn try_new(
        table: &Table,
        properties: &HashMap<String, String>,
        input: &SchemaRef,
    ) -> Result<Self> {
        let distribution = Distribution::of(table, properties)?;
        let stored = write_schema(table.metadata().current_schema())?;
        let value = |transform: Transform, source_id: i32| {
            TransformValue::find(transform, source_id, &stored, input)
        };
        let mut partition = Vec::new();
        for field in table.partition_spec().fields() {
            if field.transform != Transform::Void {
                let term = value(field.transform, field.source_id)?;
                partition.push(term.ok_or_else(|| {
                    Error::corrupt(format!(
                        "partition field {:?} is made of a column that the schema does not have",
                        field.name
                    ))
                })?);
            }
        }
        let order = table.metadata().default_sort_order();
        let mut terms = Vec::new();
        for field in &order.fields {
            match value(field.transform, field.source_id) {
                Ok(Some(term)) => terms.push(PhysicalSortExpr::new(term, options(field))),
                // A sort order is advice: rows that cannot be put into it are written as they come,
                // and their files do not say that they were sorted.
                Ok(None) | Err(_) => {
                    terms.clear();
                    break;
                }
            }
        }
        let is_sorted = !terms.is_empty();
        let by_partition = partition.iter().map(|value| {
            let nulls_first = SortOptions::default();
            PhysicalSortExpr::new(Arc::clone(value), nulls_first)
        });
        let ordering = match is_sorted {
            true => LexOrdering::new(by_partition.chain(terms)),
            false => None,
        };
        Ok(Self {
            distribution,
            partition,
            ordering,
            is_sorted,
            is_asked_for: false,
        })
    }

    /// Keeps the order that a statement's `ORDER BY` gives the rows of `input`, which the engine
    /// drops where nobody wants it: files are then written in that order, and their ranges do not
    /// overlap. A table's own sort order goes before it.
    pub(super) fn in_order_of(mut self, input: &Arc<dyn ExecutionPlan>) -> Self {
        if !self.is_sorted && is_ordered(input) {
            self.ordering = input.output_ordering().cloned();
            self.is_asked_for = self.ordering.is_some();
        }
        self
    }

    /// What the writers ask of the engine.
    pub(super) fn distribution(&self) -> EngineDistribution {
        match self.distribution {
            _ if self.partition.is_empty() && self.is_asked_for => {
                EngineDistribution::SinglePartition
            }
            Distribution::Any => EngineDistribution::UnspecifiedDistribution,
            _ if self.partition.is_empty() && self.is_sorted => EngineDistribution::SinglePartition,
            _ if self.partition.is_empty() => EngineDistribution::UnspecifiedDistribution,
            // The files of a partition are written by one writer, in order: the ranges of its files
            // do not overlap either.
            _ => EngineDistribution::HashPartitioned(self.partition.clone()),
        }
    }

    /// The order in which each writer gets its rows.
    pub(super) fn ordering(&self) -> Option<&LexOrdering> {
        self.ordering.as_ref()
    }

    /// The order in which rows of `input` come, by what the engine knows.
    pub(super) fn row_order(&self, input: &Arc<dyn ExecutionPlan>) -> EngineResult<RowOrder> {
        let Some(ordering) = self.ordering.as_ref().filter(|_| !self.is_asked_for) else {
            return Ok(RowOrder::Any);
        };
        let known = input.equivalence_properties();
        Ok(match known.ordering_satisfy(ordering.iter().cloned())? {
            true => RowOrder::Sorted,
            false => RowOrder::Any,
        })
    }

    /// `input` with the operators that distribute and sort its rows, for a plan that no rule of the
    /// engine looks at any more.
    pub(super) fn arranged(
        &self,
        input: Arc<dyn ExecutionPlan>,
        writers: usize,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let partitions = input.output_partitioning().partition_count();
        let distributed: Arc<dyn ExecutionPlan> = match self.distribution() {
            EngineDistribution::HashPartitioned(values) if partitions > 1 => {
                let hash = Partitioning::Hash(values, writers);
                Arc::new(RepartitionExec::try_new(input, hash)?)
            }
            EngineDistribution::SinglePartition if partitions > 1 && self.ordering.is_none() => {
                Arc::new(CoalescePartitionsExec::new(input))
            }
            _ => input,
        };
        let Some(ordering) = &self.ordering else {
            return Ok(distributed);
        };
        let sorted = SortExec::new(ordering.clone(), distributed).with_preserve_partitioning(true);
        let is_single = matches!(self.distribution(), EngineDistribution::SinglePartition);
        Ok(match is_single && partitions > 1 {
            true => Arc::new(SortPreservingMergeExec::new(
                ordering.clone(),
                Arc::new(sorted),
            )),
            false => Arc::new(sorted),
        })
    }
}

/// Whether the last thing that a plan does, but for computing columns, is to sort.
fn is_ordered(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let any = plan.as_any();
    match plan.children()[..] {
        [_] if any.is::<SortExec>() || any.is::<SortPreservingMergeExec>() => true,
        [input] if any.is::<ProjectionExec>() => is_ordered(input),
        _ => false,
    }
}

fn options(field: &iceberg::spec::SortField) -> SortOptions {
    SortOptions {
        descending: field.direction == SortDirection::Descending,
        nulls_first: field.null_order == NullOrder::First,
    }
}
