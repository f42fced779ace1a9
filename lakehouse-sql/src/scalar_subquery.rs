//! Subqueries of one row: those that stand for a value, and those that always exist.
//!
//! The engine joins it to the rows around: two rows of it double them, and none takes away the row
//! of a `SELECT` without `FROM`. So under every such subquery goes an aggregate that fails on a
//! second row, and is NULL without any. Those that refer to the query around are left to the engine,
//! which refuses them when they may give more than one row.
//!
//! `EXISTS` over an aggregate of all rows is always true. The engine asks for rows to aggregate.

use std::any::Any;
use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, LogicalPlan, LogicalPlanBuilder, Signature,
    Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::{Expr, lit};
use lakehouse_core::error::{Error, Result};

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct OneRowRule;

impl AnalyzerRule for OneRowRule {
    fn name(&self) -> &str {
        "lakehouse_one_row_subqueries"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> EngineResult<LogicalPlan> {
        let watched = plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let watched = expr.transform_up(watch)?;
                Ok(watched.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(watched.data)
    }
}

fn watch(expr: Expr) -> EngineResult<Transformed<Expr>> {
    match expr {
        Expr::ScalarSubquery(subquery)
            if subquery.outer_ref_columns.is_empty() && !gives_one_row(&subquery.subquery) =>
        {
            let plan = with_one_row(Arc::unwrap_or_clone(subquery.subquery))?;
            Ok(Transformed::yes(Expr::ScalarSubquery(Subquery {
                subquery: Arc::new(plan),
                ..subquery
            })))
        }
        Expr::Exists(exists) if gives_one_row(&exists.subquery.subquery) => {
            Ok(Transformed::yes(lit(!exists.negated)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Whether a plan always gives one row, neither more nor less.
fn gives_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => gives_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => gives_one_row(&alias.input),
        LogicalPlan::Sort(sort) => sort.fetch.is_none() && gives_one_row(&sort.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

fn with_one_row(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let (qualifier, field) = plan.schema().qualified_field(0);
    let name = field.name().clone();
    let column = Expr::Column(Column::new(qualifier.cloned(), &name));
    let function = Arc::new(AggregateUDF::from(OneValue::new()));
    let value = function.call(vec![column]);
    let result = Expr::Column(Column::new_unqualified(value.schema_name().to_string()));
    LogicalPlanBuilder::from(plan)
        .aggregate(Vec::<Expr>::new(), vec![value])?
        .project(vec![result.alias(name)])?
        .build()
}

/// The only value of its rows.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OneValue {
    signature: Signature,
}

impl OneValue {
    fn new() -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for OneValue {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "one_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> EngineResult<Vec<FieldRef>> {
        let value = args.return_field.data_type().clone();
        Ok(vec![
            Arc::new(Field::new(
                format_state_name(args.name, "value"),
                value,
                true,
            )),
            Arc::new(Field::new(
                format_state_name(args.name, "rows"),
                DataType::UInt64,
                false,
            )),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> EngineResult<Box<dyn Accumulator>> {
        Ok(Box::new(OneValueSoFar {
            value: ScalarValue::try_from(args.return_field.data_type())?,
            rows: 0,
        }))
    }
}

#[derive(Debug)]
struct OneValueSoFar {
    value: ScalarValue,
    /// How many rows there were: none or one.
    rows: u64,
}

impl OneValueSoFar {
    fn add(&mut self, values: &dyn Array, index: usize) -> Result<()> {
        if self.rows > 0 {
            return Err(Error::invalid(
                "a subquery that stands for one value gives more than one row; add LIMIT 1, or an \
                 aggregate such as max",
            ));
        }
        self.value = ScalarValue::try_from_array(values, index)?;
        self.rows = 1;
        Ok(())
    }
}

impl Accumulator for OneValueSoFar {
    fn update_batch(&mut self, values: &[ArrayRef]) -> EngineResult<()> {
        let [values] = values else {
            return Err(Error::internal("a subquery's value is one column").into());
        };
        // The second row fails, however many there are.
        for index in 0..values.len().min(2) {
            self.add(values.as_ref(), index)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> EngineResult<()> {
        let [values, rows] = states else {
            return Err(Error::internal("a subquery's state is two columns").into());
        };
        let rows = rows.as_primitive::<UInt64Type>();
        for (index, rows) in rows.values().iter().enumerate() {
            if *rows > 0 {
                self.add(values.as_ref(), index)?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> EngineResult<Vec<ScalarValue>> {
        Ok(vec![
            self.value.clone(),
            ScalarValue::UInt64(Some(self.rows)),
        ])
    }

    fn evaluate(&mut self) -> EngineResult<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) - size_of_val(&self.value) + self.value.size()
    }
}
