//! Times with zone, as the session's zone shows them.
//!
//! A table stores instants, and the engine would call them UTC: the day, the hour and the local time
//! of an instant would not be those that were written. So where the session's zone is another one,
//! its queries read such columns in that zone, and casts to times without zone give the local time,
//! which the engine's do not.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::error::Result as EngineResult;
use datafusion::functions::datetime::to_local_time;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;
use lakehouse_core::error::Result;

/// The session's zone.
pub(crate) fn session_zone(options: &ConfigOptions) -> Arc<str> {
    Arc::from(options.execution.time_zone.as_deref().unwrap_or("UTC"))
}

/// Whether a zone is UTC by one of its usual names, so that nothing needs to be done.
pub(crate) fn is_utc(zone: &str) -> bool {
    ["UTC", "Etc/UTC", "Z", "+00:00"]
        .iter()
        .any(|name| zone.eq_ignore_ascii_case(name))
}

/// A table whose times with zone are those of a zone.
///
/// # Errors
/// When the engine cannot plan the casts.
pub(crate) fn in_zone(
    key: &TableReference,
    table: Arc<dyn TableProvider>,
    zone: &Arc<str>,
) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let mut zoned = schema
        .fields()
        .iter()
        .map(|field| zoned(field.data_type(), zone));
    if is_utc(zone) || zoned.clone().all(|zoned| zoned.is_none()) {
        return Ok(table);
    }
    let columns = schema.fields().iter().map(|field| {
        let column = Expr::Column(Column::new(Some(key.clone()), field.name()));
        match zoned.next().flatten() {
            Some(in_zone) => Expr::Cast(Cast::new(Box::new(column), in_zone)).alias(field.name()),
            None => column,
        }
    });
    let plan = LogicalPlanBuilder::scan(key.clone(), provider_as_source(table), None)?
        .project(columns)?
        .build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// A type with its times with zone in another zone, at every level; `None` when it has none.
fn zoned(data_type: &DataType, zone: &Arc<str>) -> Option<DataType> {
    let inner = |field: &FieldRef| {
        let in_zone = zoned(field.data_type(), zone)?;
        Some(Arc::new(field.as_ref().clone().with_data_type(in_zone)))
    };
    match data_type {
        DataType::Timestamp(unit, Some(_)) => {
            Some(DataType::Timestamp(*unit, Some(Arc::clone(zone))))
        }
        DataType::List(element) => inner(element).map(DataType::List),
        DataType::Map(entries, sorted) => Some(DataType::Map(inner(entries)?, *sorted)),
        DataType::Struct(fields) => {
            let changed: Vec<_> = fields.iter().map(inner).collect();
            let pairs = fields.iter().zip(&changed);
            let both = pairs.map(|(own, changed)| Arc::clone(changed.as_ref().unwrap_or(own)));
            changed
                .iter()
                .any(Option::is_some)
                .then(|| DataType::Struct(both.collect()))
        }
        _ => None,
    }
}

/// Casts between times with and without zone, by the local time. Stands behind the engine's
/// coercion.
#[derive(Debug)]
pub(crate) struct LocalTimeRule;

impl AnalyzerRule for LocalTimeRule {
    fn name(&self) -> &str {
        "lakehouse_local_times"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> EngineResult<LogicalPlan> {
        let local = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let local = expr.transform_up(|expr| local_cast(expr, &schema))?;
                Ok(local.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(local.data)
    }
}

/// A cast between times with and without zone, by the local time.
pub(crate) fn local_cast(expr: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    Ok(match expr {
        Expr::Cast(Cast { expr, data_type }) => match local(*expr, &data_type, schema)? {
            (inner, true) => Transformed::yes(Expr::Cast(Cast::new(Box::new(inner), data_type))),
            (inner, false) => Transformed::no(Expr::Cast(Cast::new(Box::new(inner), data_type))),
        },
        Expr::TryCast(TryCast { expr, data_type }) => {
            let (inner, is_changed) = local(*expr, &data_type, schema)?;
            let cast = Expr::TryCast(TryCast::new(Box::new(inner), data_type));
            match is_changed {
                true => Transformed::yes(cast),
                false => Transformed::no(cast),
            }
        }
        other => Transformed::no(other),
    })
}

/// What is cast to `target`, made local first where the cast would not; and whether it was.
fn local(expr: Expr, target: &DataType, schema: &DFSchema) -> EngineResult<(Expr, bool)> {
    match (expr.get_type(schema)?, target) {
        (DataType::Timestamp(_, Some(zone)), DataType::Timestamp(_, None)) if !is_utc(&zone) => {
            let call = ScalarFunction::new_udf(to_local_time(), vec![expr]);
            Ok((Expr::ScalarFunction(call), true))
        }
        // The engine takes the midnight of a date for one in UTC.
        (DataType::Date32 | DataType::Date64, DataType::Timestamp(_, Some(zone)))
            if !is_utc(zone) =>
        {
            let midnight = DataType::Timestamp(TimeUnit::Microsecond, None);
            Ok((Expr::Cast(Cast::new(Box::new(expr), midnight)), true))
        }
        _ => Ok((expr, false)),
    }
}
