//! The part of a predicate that is applied to rows together with deletes.
//!
//! The engine filters the rows of a scan anyway. Where deleted rows are left out of batches, those
//! that this filter would drop are left out at the same time: nothing is then copied twice, and what
//! is dropped not even once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal, NotExpr};
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_expr_common::physical_expr::{is_dynamic_physical_expr, is_volatile};

/// Rows of a file that are looked at before it is judged whether a costly condition pays.
const TRIAL_ROWS: usize = 64 * 1024;

/// A costly condition, which the engine evaluates again for the rows that it keeps, is applied
/// while it keeps at most one row of so many.
const KEPT_ONE_OF: usize = 2;

/// A condition that rows of a file must meet to matter.
#[derive(Debug)]
pub(super) struct LiveCondition {
    expr: Arc<dyn PhysicalExpr>,
    is_cheap: bool,
    seen: AtomicUsize,
    kept: AtomicUsize,
}

impl LiveCondition {
    /// What of `predicate` is about the columns at the positions `needed`, which make up `schema`;
    /// `None` when nothing is. Dynamic filters are left to those who know where they pay.
    pub(super) fn new(
        predicate: &Arc<dyn PhysicalExpr>,
        needed: &[usize],
        schema: &SchemaRef,
    ) -> Option<Self> {
        let parts = split_conjunction(predicate).into_iter();
        let fixed = parts.filter(|part| !is_dynamic_physical_expr(part) && !is_volatile(part));
        let known: Vec<_> = fixed.filter_map(|part| at(part, needed, schema)).collect();
        let expr = (!known.is_empty()).then(|| conjunction(known))?;
        Some(Self {
            is_cheap: is_cheap(&expr, schema),
            expr,
            seen: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
        })
    }

    /// Whether it should be applied to the next batch.
    pub(super) fn pays(&self) -> bool {
        let seen = self.seen.load(Ordering::Relaxed);
        let kept = self.kept.load(Ordering::Relaxed);
        self.is_cheap || seen < TRIAL_ROWS || kept.saturating_mul(KEPT_ONE_OF) <= seen
    }

    /// The rows that meet the condition; `None` when it cannot be evaluated, be it for a row that is
    /// deleted.
    pub(super) fn met(&self, batch: &RecordBatch) -> Option<BooleanBuffer> {
        let rows = batch.num_rows();
        let found = self.expr.evaluate(batch).ok()?.into_array(rows).ok()?;
        let found = found.as_boolean_opt()?;
        let met = match found.nulls() {
            // What is unknown is left out, as by the engine's own filters.
            Some(known) => found.values() & known.inner(),
            None => found.values().clone(),
        };
        self.seen.fetch_add(rows, Ordering::Relaxed);
        self.kept.fetch_add(met.count_set_bits(), Ordering::Relaxed);
        Some(met)
    }
}

/// An expression over columns at the positions `needed`; `None` when it looks at others.
fn at(
    part: &Arc<dyn PhysicalExpr>,
    needed: &[usize],
    schema: &Schema,
) -> Option<Arc<dyn PhysicalExpr>> {
    let mut is_known = true;
    let moved = Arc::clone(part).transform_up(|expr| {
        let Some(column) = expr.as_any().downcast_ref::<Column>() else {
            return Ok(Transformed::no(expr));
        };
        match needed.binary_search(&column.index()) {
            Ok(place) => {
                let column = Column::new(schema.field(place).name(), place);
                Ok(Transformed::yes(Arc::new(column) as _))
            }
            Err(_) => {
                is_known = false;
                Ok(Transformed::no(expr))
            }
        }
    });
    moved.data().ok().filter(|_| is_known)
}

/// Whether an expression compares values of fixed width, which costs less than to copy one.
fn is_cheap(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let node = expr.as_any();
    let is_plain = match node.downcast_ref::<Column>() {
        Some(column) => {
            let field = schema.fields().get(column.index());
            field.is_some_and(|field| field.data_type().primitive_width().is_some())
        }
        None => node.is::<Literal>() || node.is::<BinaryExpr>() || node.is::<NotExpr>(),
    };
    let children = expr.children();
    is_plain && children.into_iter().all(|child| is_cheap(child, schema))
}
