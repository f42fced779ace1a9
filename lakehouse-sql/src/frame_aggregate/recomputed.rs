//! Any aggregate of a frame that moves, computed again from the frame's rows.

use std::collections::VecDeque;
use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::physical_expr::{PhysicalExprRef, PhysicalSortExpr};

/// The rows of a frame, and the function that each frame is given anew.
#[derive(Debug)]
pub(super) struct Recomputed {
    function: Arc<AggregateUDF>,
    call: Call,
    /// Rows in their order, the columns of each piece being of one length.
    pieces: VecDeque<Vec<ArrayRef>>,
}

impl Recomputed {
    pub(super) fn new(function: Arc<AggregateUDF>, args: &AccumulatorArgs<'_>) -> Self {
        Self {
            function,
            call: Call::of(args),
            pieces: VecDeque::new(),
        }
    }

    /// Makes one piece of all.
    fn join(&mut self) -> Result<()> {
        if self.pieces.len() < 2 {
            return Ok(());
        }
        let width = self.pieces.front().map_or(0, Vec::len);
        let columns = (0..width).map(|column| {
            let parts = self.pieces.iter().filter_map(|piece| piece.get(column));
            let parts: Vec<&dyn Array> = parts.map(AsRef::as_ref).collect();
            Ok(concat(&parts)?)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        self.pieces = VecDeque::from([columns]);
        Ok(())
    }
}

impl Accumulator for Recomputed {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if rows(values) > 0 {
            self.pieces.push_back(values.to_vec());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut leaving = rows(values);
        while leaving > 0 {
            let Some(piece) = self.pieces.pop_front() else {
                return internal_err!("a row leaves a frame that it is not in");
            };
            let there = rows(&piece);
            if there > leaving {
                let rest = piece
                    .iter()
                    .map(|column| column.slice(leaving, there - leaving));
                self.pieces.push_front(rest.collect());
            }
            leaving -= leaving.min(there);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.join()?;
        let mut accumulator = self.function.accumulator(self.call.args())?;
        if let Some(rows) = self.pieces.front() {
            accumulator.update_batch(rows)?;
        }
        accumulator.evaluate()
    }

    fn size(&self) -> usize {
        let columns = self.pieces.iter().flatten();
        let bytes: usize = columns.map(|column| column.get_array_memory_size()).sum();
        size_of_val(self) + bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("frames have no states to merge")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("frames have no states to merge")
    }
}

fn rows(columns: &[ArrayRef]) -> usize {
    columns.first().map_or(0, |column| column.len())
}

/// How the function is called, kept for each frame.
#[derive(Debug)]
struct Call {
    return_field: FieldRef,
    schema: Schema,
    ignore_nulls: bool,
    order_bys: Vec<PhysicalSortExpr>,
    is_reversed: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<PhysicalExprRef>,
    expr_fields: Vec<FieldRef>,
}

impl Call {
    fn of(args: &AccumulatorArgs<'_>) -> Self {
        Self {
            return_field: Arc::clone(&args.return_field),
            schema: args.schema.clone(),
            ignore_nulls: args.ignore_nulls,
            order_bys: args.order_bys.to_vec(),
            is_reversed: args.is_reversed,
            name: args.name.to_owned(),
            is_distinct: args.is_distinct,
            exprs: args.exprs.to_vec(),
            expr_fields: args.expr_fields.to_vec(),
        }
    }

    fn args(&self) -> AccumulatorArgs<'_> {
        AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &self.order_bys,
            is_reversed: self.is_reversed,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        }
    }
}
