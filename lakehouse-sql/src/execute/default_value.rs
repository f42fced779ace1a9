//! Values of `DEFAULT`: constants, as an insert would store them.

use std::sync::Arc;

use chrono::TimeDelta;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{ExprSchemable, LogicalPlanBuilder};
use datafusion::physical_plan::collect;
use datafusion::prelude::Expr;
use datafusion::sql::sqlparser::ast;
use iceberg::spec::{Literal, PrimitiveLiteral, PrimitiveType, Type};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;
use lakehouse_core::table::read_type;

use crate::constant::Constants;
use crate::exact_cast::{cast_type, exact_casts};
use crate::resolve::exact;
use crate::uuid_text::{parse_uuid, uuid_value};

/// The value of a default in its column's type; `None` for NULL.
///
/// # Errors
/// When it is not constant, or the column would not take it from an insert.
pub(super) async fn default_value(
    default: &ast::Expr,
    field_type: &Type,
    column: &str,
    state: &SessionState,
) -> Result<Option<Literal>> {
    let mut default = default.clone();
    exact(&mut default);
    let in_column = |error: Error| error.with_context("default of", column);
    let value = constant(&default, column, state).map_err(in_column)?;
    if value.is_null() {
        return Ok(None);
    }
    let Type::Primitive(kind) = field_type else {
        return Err(Error::unsupported(format!(
            "column {} is of a nested type, which has no default but NULL",
            quote(column)
        )));
    };
    let stored = assigned(value, field_type, state)
        .await
        .map_err(in_column)?;
    literal(&stored, kind).map(Some).ok_or_else(|| {
        Error::unsupported(format!(
            "column {} of type {field_type} cannot have the default {stored}",
            quote(column)
        ))
    })
}

/// The value of an expression that is the same at all times.
fn constant(default: &ast::Expr, column: &str, state: &SessionState) -> Result<ScalarValue> {
    let now = state
        .execution_props()
        .query_execution_start_time
        .unwrap_or_default();
    let value = Constants::try_new(state, now, None)?.evaluate(default)?;
    // Another second, hour and day.
    let later = now + TimeDelta::seconds(90_061);
    if Constants::try_new(state, later, None)?.evaluate(default)? != value {
        return Err(Error::unsupported(format!(
            "the default of column {} changes with time: the format keeps one value for all rows",
            quote(column)
        )));
    }
    Ok(value)
}

/// The value as a column of this type stores it.
async fn assigned(
    value: ScalarValue,
    field_type: &Type,
    state: &SessionState,
) -> Result<ScalarValue> {
    let value = match (field_type, value.try_as_str().flatten()) {
        (Type::Primitive(PrimitiveType::Uuid), Some(text)) => uuid_value(parse_uuid(text)?),
        _ => value,
    };
    let target = read_type(field_type)?;
    let given = value.data_type();
    let schema = DFSchema::empty();
    let cast = Expr::Literal(value, None).cast_to(&cast_type(&given, &target), &schema)?;
    let plan = LogicalPlanBuilder::empty(true)
        .project([cast.alias("value")])?
        .build()?;
    let plan = exact_casts(plan, &[], state.config_options())?;
    let physical = state.create_physical_plan(&plan).await?;
    let batches = collect(physical, Arc::clone(&state.task_ctx())).await?;
    let batch = batches.iter().find(|batch| batch.num_rows() == 1);
    let batch = batch.ok_or_else(|| Error::internal("a default came without its row"))?;
    Ok(ScalarValue::try_from_array(batch.column(0), 0)?.cast_to(&target)?)
}

/// A value of the engine as one of the table format.
fn literal(value: &ScalarValue, kind: &PrimitiveType) -> Option<Literal> {
    use ScalarValue as Value;
    let stored = match value {
        Value::Boolean(value) => PrimitiveLiteral::Boolean((*value)?),
        Value::Int32(value) => PrimitiveLiteral::Int((*value)?),
        Value::Int64(value) => PrimitiveLiteral::Long((*value)?),
        Value::Float32(value) => PrimitiveLiteral::Float((*value)?.into()),
        Value::Float64(value) => PrimitiveLiteral::Double((*value)?.into()),
        Value::Decimal128(value, _, _) => PrimitiveLiteral::Int128((*value)?),
        Value::Date32(value) => PrimitiveLiteral::Int((*value)?),
        Value::Time64Microsecond(value) => PrimitiveLiteral::Long((*value)?),
        Value::TimestampMicrosecond(value, _) | Value::TimestampNanosecond(value, _) => {
            PrimitiveLiteral::Long((*value)?)
        }
        Value::FixedSizeBinary(16, Some(bytes)) if *kind == PrimitiveType::Uuid => {
            PrimitiveLiteral::UInt128(u128::from_be_bytes(bytes.as_slice().try_into().ok()?))
        }
        Value::FixedSizeBinary(_, bytes)
        | Value::Binary(bytes)
        | Value::LargeBinary(bytes)
        | Value::BinaryView(bytes) => PrimitiveLiteral::Binary(bytes.clone()?),
        text => PrimitiveLiteral::String(text.try_as_str()??.to_owned()),
    };
    Some(Literal::Primitive(stored))
}
