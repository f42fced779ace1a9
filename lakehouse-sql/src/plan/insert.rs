//! INSERT … SELECT: the source's rows in the target's columns.
//!
//! The engine's own planner hands the target's columns to every VALUES inside of the source, also
//! where it is a table of the query; so only `INSERT … VALUES` itself is left to it, whose literals
//! take the columns' types.

use std::sync::Arc;

use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::planner::ContextProvider;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan, LogicalPlanBuilder, TableSource};
use datafusion::prelude::Expr;
use datafusion::sql::planner::{SqlToRel, object_name_to_table_reference};
use datafusion::sql::sqlparser::ast::{Insert, Query, SetExpr, Statement, TableObject};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;

use crate::exact_cast::cast_type;
use crate::uuid_text::{may_be_uuid, uuid_of_text};

/// Whether the engine's planner may have this insert.
pub(super) fn is_values(insert: &Insert) -> bool {
    insert
        .source
        .as_deref()
        .is_none_or(|query| matches!(*query.body, SetExpr::Values(_)))
}

/// Plans an insert of a query's rows.
pub(super) fn plan_insert<C: ContextProvider>(
    insert: Insert,
    planner: &SqlToRel<'_, C>,
    context: &C,
) -> Result<LogicalPlan> {
    let (TableObject::TableName(name), Some(source)) = (&insert.table, insert.source) else {
        return Err(Error::unsupported("INSERT takes a table and a query"));
    };
    let reference = object_name_to_table_reference(name.clone(), true)?;
    let target = context.get_table_source(reference.clone())?;
    let source = plan_source(source, planner)?;
    let columns: Vec<&str> = insert
        .columns
        .iter()
        .map(|column| column.value.as_str())
        .collect();
    insert_rows(source, reference, target, &columns)
}

fn plan_source<C: ContextProvider>(
    source: Box<Query>,
    planner: &SqlToRel<'_, C>,
) -> Result<LogicalPlan> {
    planner
        .sql_statement_to_plan(Statement::Query(source))
        .map_err(super::planning_error)
}

/// The source's columns by position in those of `columns`, or in all; the others are NULL.
fn insert_rows(
    source: LogicalPlan,
    reference: TableReference,
    target: Arc<dyn TableSource>,
    columns: &[&str],
) -> Result<LogicalPlan> {
    let schema = target.schema();
    let expected = if columns.is_empty() {
        schema.fields().len()
    } else {
        columns.len()
    };
    let given = Arc::clone(source.schema());
    if given.fields().len() != expected {
        return Err(Error::invalid(format!(
            "the query has {} columns, the insert takes {expected}",
            given.fields().len()
        )));
    }
    if let Some(twice) = columns
        .iter()
        .enumerate()
        .find_map(|(index, column)| columns[..index].contains(column).then_some(column))
    {
        return Err(Error::invalid(format!(
            "column {} is written twice",
            quote(twice)
        )));
    }
    let by_position: Vec<Expr> = given.iter().map(Expr::from).collect();
    let mut values = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        let position = match columns {
            [] => Some(index),
            _ => columns.iter().position(|column| column == field.name()),
        };
        let value = match position {
            Some(position) => by_position[position].clone(),
            None => target
                .get_column_default(field.name())
                .cloned()
                .unwrap_or(Expr::Literal(ScalarValue::Null, None)),
        };
        values.push(cast(value, field.data_type(), &given)?.alias(field.name()));
    }
    let rows = LogicalPlanBuilder::from(source).project(values)?.build()?;
    Ok(LogicalPlanBuilder::insert_into(rows, reference, target, InsertOp::Append)?.build()?)
}

fn cast(value: Expr, data_type: &arrow::datatypes::DataType, schema: &DFSchema) -> Result<Expr> {
    let given = value.get_type(schema)?;
    if may_be_uuid(data_type) && given.is_string() {
        return Ok(uuid_of_text(value));
    }
    Ok(value.cast_to(&cast_type(&given, data_type), schema)?)
}
