//! The mark of a value on its way into a column, which becomes a cast that loses nothing.
//!
//! Types are known when the engine has made them equal, after a statement was planned. Until then
//! the mark stands where the cast will be, with what the user wrote inside of it.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;
use iceberg::spec::NestedFieldRef;
use lakehouse_core::error::Error;

use super::{cast_type, exact};
use crate::session_zone::{local_cast, session_zone};
use crate::uuid_text::{may_be_uuid, uuid_of_text};

/// A value that a column, or field of one, of this type takes.
pub(crate) fn assigned(value: Expr, data_type: &DataType, column: &NestedFieldRef) -> Expr {
    let function = ScalarUDF::from(Assigned {
        signature: Signature::any(1, Volatility::Immutable),
        target: data_type.clone(),
        column: Arc::clone(column),
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![value]))
}

/// Puts a cast in the place of every mark in a plan.
pub(crate) fn exact_assignments(
    plan: LogicalPlan,
    options: &ConfigOptions,
) -> EngineResult<LogicalPlan> {
    let zone = session_zone(options);
    let plan = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let stored = expr.transform_up(|expr| stored(expr, &schema, &zone))?;
            Ok(stored.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(plan.data)
}

/// The cast that stands for a mark.
fn stored(expr: Expr, schema: &DFSchema, zone: &Arc<str>) -> EngineResult<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let (Some(mark), [value]) = (func.inner().as_any().downcast_ref::<Assigned>(), &args[..])
    else {
        return Ok(Transformed::no(expr));
    };
    let (value, target) = (value.clone(), mark.target.clone());
    let given = value.get_type(schema)?;
    if may_be_uuid(&target) && given.is_string() {
        return Ok(Transformed::yes(uuid_of_text(value)));
    }
    let cast_to = cast_type(&given, &target);
    let value = match given == cast_to {
        true => value,
        false => {
            let cast = Expr::Cast(Cast::new(Box::new(value), cast_to.clone()));
            let cast = local_cast(cast, schema, zone)?.data;
            exact(cast, schema, Some(&mark.column), zone)?
        }
    };
    Ok(Transformed::yes(match cast_to == target {
        true => value,
        false => Expr::Cast(Cast::new(Box::new(value), target)),
    }))
}

/// See [`assigned`].
#[derive(Debug, PartialEq, Eq)]
struct Assigned {
    signature: Signature,
    target: DataType,
    column: NestedFieldRef,
}

impl Hash for Assigned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.target.hash(state);
        self.column.id.hash(state);
    }
}

impl ScalarUDFImpl for Assigned {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "assigned"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        Err(Error::internal("a value was assigned without a cast").into())
    }
}
