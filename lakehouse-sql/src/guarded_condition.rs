//! A condition that may fail is asked of those rows only that the conditions beside it leave.
//!
//! `p <> 0 AND a / p > 1` divides by no zero, in whichever order it is written and wherever filters
//! have been moved: what may fail goes behind what may not, and is computed for the rows that are
//! left. So does what stands beside an alternative, as in `p = 0 OR a / p > 1`.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, CastExpr, Literal, lit};
use datafusion::physical_expr::{ScalarFunctionExpr, conjunction, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::text_decimal::may_refuse;

type Condition = Arc<dyn PhysicalExpr>;

/// See the module documentation. Stands before filters are pushed into scans.
#[derive(Debug)]
pub(crate) struct GuardedConditions;

impl PhysicalOptimizerRule for GuardedConditions {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(filter) = node.as_any().downcast_ref::<FilterExec>() else {
                return Ok(Transformed::no(node));
            };
            let Some(condition) = guarded(filter.predicate(), &filter.input().schema())? else {
                return Ok(Transformed::no(node));
            };
            let filter = FilterExecBuilder::from(filter).with_predicate(condition);
            Ok(Transformed::yes(Arc::new(filter.build()?)))
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_guarded_conditions"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The condition with its parts that may fail behind the others; `None` where none may.
///
/// To a filter NULL is as good as false, so that what is behind a condition that is NULL need not be
/// known.
fn guarded(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<Condition>> {
    if !may_fail(condition, schema) {
        return Ok(None);
    }
    let either = condition.as_any().downcast_ref::<BinaryExpr>();
    if let Some(either) = either.filter(|either| *either.op() == Operator::Or) {
        return alternatives(either, schema);
    }
    let parts = split_conjunction(condition).into_iter().cloned();
    let (risky, safe): (Vec<_>, Vec<_>) = parts.partition(|part| may_fail(part, schema));
    if safe.is_empty() && risky.len() == 1 {
        return Ok(None);
    }
    let risky = risky.into_iter().map(|part| {
        let guarded = guarded(&part, schema)?;
        Ok(guarded.unwrap_or(part))
    });
    let risky = conjunction(risky.collect::<Result<Vec<_>>>()?);
    if safe.is_empty() {
        return Ok(Some(risky));
    }
    let safe = conjunction(safe);
    let behind = case(Arc::clone(&safe), risky, lit(false))?;
    // Files are skipped by what stands alone. Asked twice, `random() < 0.5` is another condition.
    Ok(Some(match is_volatile(&safe) {
        true => behind,
        false => conjunction([safe, behind]),
    }))
}

/// Of two alternatives the one that may fail is asked where the other one does not hold.
fn alternatives(either: &BinaryExpr, schema: &Schema) -> Result<Option<Condition>> {
    let (left, right) = (either.left(), either.right());
    let (first, second) = match (may_fail(left, schema), may_fail(right, schema)) {
        (true, false) => (right, left),
        _ => (left, right),
    };
    let known = |side: &Condition| -> Result<Condition> {
        Ok(guarded(side, schema)?.unwrap_or_else(|| Arc::clone(side)))
    };
    case(known(first)?, lit(true), known(second)?).map(Some)
}

fn case(when: Condition, then: Condition, otherwise: Condition) -> Result<Condition> {
    let case = CaseExpr::try_new(None, vec![(when, then)], Some(otherwise))?;
    Ok(Arc::new(case))
}

/// Whether there may be values of columns for which a condition is an error: divisors that are 0,
/// and texts that are no number.
fn may_fail(condition: &Condition, schema: &Schema) -> bool {
    let found = condition.exists(|part| {
        let part = part.as_any();
        if let Some(cast) = part.downcast_ref::<CastExpr>() {
            let from = cast.expr().data_type(schema)?;
            return Ok(from.is_string() && !cast.cast_type().is_string());
        }
        if let Some(call) = part.downcast_ref::<ScalarFunctionExpr>() {
            return Ok(may_refuse(call.fun()));
        }
        let Some(division) = part.downcast_ref::<BinaryExpr>() else {
            return Ok(false);
        };
        let divides = matches!(division.op(), Operator::Divide | Operator::Modulo);
        let by_literal = division.right().as_any().is::<Literal>();
        Ok(divides && !by_literal && !division.right().data_type(schema)?.is_floating())
    });
    // What cannot be told is left as it is.
    found.unwrap_or(false)
}
