//! Times with zone, as the session's zone shows them.
//!
//! A table stores instants, and the engine would call them UTC, and those of files by the zone of
//! whoever wrote them: the day, the hour and the local time of an instant would not be those that
//! were written. So where the session's zone is another one, its queries read such columns in it,
//! and casts to times without zone give the local time, which the engine's do not. Casts of texts,
//! and to times with zone, are read by `local_time`; those of texts to decimals stand beside them,
//! and are read by `text_decimal`.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
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

use crate::inner_values::{Purpose, read_inner_values};
use crate::local_time::{Misfit, is_utc, read_time};
use crate::text_decimal::{decimal_of_text, is_text};
use crate::time_text::time_text;
use crate::zoned_sum::zoned_sum;

/// The session's zone.
pub(crate) fn session_zone(options: &ConfigOptions) -> Arc<str> {
    Arc::from(options.execution.time_zone.as_deref().unwrap_or("UTC"))
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
    if zoned.clone().all(|zoned| zoned.is_none()) {
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

/// A type with its times with zone in `zone`, at every level; `None` when it has none in another.
fn zoned(data_type: &DataType, zone: &Arc<str>) -> Option<DataType> {
    let inner = |field: &FieldRef| {
        let in_zone = zoned(field.data_type(), zone)?;
        Some(Arc::new(field.as_ref().clone().with_data_type(in_zone)))
    };
    match data_type {
        DataType::Timestamp(unit, Some(own)) => {
            let is_same = own == zone || is_utc(own) && is_utc(zone);
            (!is_same).then(|| DataType::Timestamp(*unit, Some(Arc::clone(zone))))
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

    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> EngineResult<LogicalPlan> {
        let zone = session_zone(options);
        let local = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let local = expr.transform_up(|expr| local_cast(expr, &schema, &zone))?;
                Ok(local.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(local.data)
    }
}

/// A cast between times with and without zone, by the local time, between either and a text, and of
/// a text to a decimal; `zone` is the session's.
///
/// # Errors
/// When the type of what is cast is not known.
pub(crate) fn local_cast(
    expr: Expr,
    schema: &DFSchema,
    zone: &Arc<str>,
) -> EngineResult<Transformed<Expr>> {
    if let Expr::BinaryExpr(sum) = &expr {
        let sum = zoned_sum(sum, schema)?;
        return Ok(sum.map_or_else(|| Transformed::no(expr), Transformed::yes));
    }
    let (inner, target, misfit) = match &expr {
        Expr::Cast(Cast { expr, data_type }) => (expr, data_type, Misfit::Cut),
        Expr::TryCast(TryCast { expr, data_type }) => (expr, data_type, Misfit::Null),
        _ => return Ok(Transformed::no(expr)),
    };
    let given = inner.get_type(schema)?;
    Ok(match (&given, target) {
        (DataType::Timestamp(_, Some(zone)), DataType::Timestamp(_, None)) if !is_utc(zone) => {
            let call = ScalarFunction::new_udf(to_local_time(), vec![inner.as_ref().clone()]);
            let local = Box::new(Expr::ScalarFunction(call));
            Transformed::yes(match misfit {
                Misfit::Null => Expr::TryCast(TryCast::new(local, target.clone())),
                _ => Expr::Cast(Cast::new(local, target.clone())),
            })
        }
        // The engine takes the midnight of a date for one in UTC, and fails where clocks change.
        (
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None),
            DataType::Timestamp(_, Some(to)),
        ) if !is_utc(to) => {
            let (inner, target) = (inner.as_ref().clone(), target.clone());
            Transformed::yes(read_time(inner, target, zone, misfit))
        }
        (
            text,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_) | DataType::Time64(_),
        ) if text.is_string() => {
            let (inner, target) = (inner.as_ref().clone(), target.clone());
            Transformed::yes(read_time(inner, target, zone, misfit))
        }
        (text, decimal) if is_text(text) && decimal.is_decimal() => {
            let (inner, target) = (inner.as_ref().clone(), target.clone());
            Transformed::yes(decimal_of_text(inner, target, misfit == Misfit::Null))
        }
        (DataType::Timestamp(..), text) if text.is_string() => {
            Transformed::yes(time_text(inner.as_ref().clone(), target.clone()))
        }
        (given, target) => {
            let purpose = Purpose::Cast(misfit);
            match read_inner_values(inner, given, target, zone, purpose).map(Box::new) {
                None => Transformed::no(expr),
                Some(read) if misfit == Misfit::Null => {
                    Transformed::yes(Expr::TryCast(TryCast::new(read, target.clone())))
                }
                Some(read) => Transformed::yes(Expr::Cast(Cast::new(read, target.clone()))),
            }
        }
    })
}
