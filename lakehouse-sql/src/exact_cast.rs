//! Values on the way into a table: cast only when nothing is lost.
//!
//! The engine casts the rows of an insert to the table's types. It cuts nanoseconds silently, also
//! those in a text, rounds numbers, leaves out the fields of a struct that the column does not have,
//! and takes a time without zone for one in UTC, whatever the session's zone. Casts that the engine
//! put there are replaced by one that refuses, or are refused; casts that the user wrote lie deeper
//! in the plan and stay.

mod assigned;
mod filled;

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::{Alias, Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::prelude::Expr;
use iceberg::spec::NestedFieldRef;
use lakehouse_core::error::Result;
use lakehouse_core::name::quote;

use filled::filled;

pub(crate) use assigned::{assigned, exact_assignments};

use crate::assignment::{refuse_unlike, whole_number};
use crate::field_match::field_places;
use crate::inner_values::{Purpose, read_inner_values, unread};
use crate::local_time::{as_cast, is_cut, stored_times};
use crate::of_columns::of_columns;
use crate::one_nan::within_one_nan;
use crate::session_zone::session_zone;
use crate::unique_keys::{has_maps, unique_keys};

/// Replaces the outermost casts of a plan that cut nanoseconds; times without zone are those of the
/// session's zone. Fields that structs do not have get the defaults of `columns`, which are those
/// of the plan, or none.
pub(crate) fn exact_casts(
    plan: LogicalPlan,
    columns: &[NestedFieldRef],
    options: &ConfigOptions,
) -> Result<LogicalPlan> {
    let columns: Vec<_> = columns.iter().map(Some).collect();
    Ok(exact_plan(plan, &columns, &session_zone(options))?)
}

/// The type to cast values of type `given` to on their way into a column of type `column`.
///
/// A list of fixed size stays one, with the column's elements, and is stored as a list: the
/// engine's cast gives the elements another name than the plan says.
pub(crate) fn cast_type(given: &DataType, column: &DataType) -> DataType {
    match (given, column) {
        (DataType::FixedSizeList(_, size), DataType::List(element)) => {
            DataType::FixedSizeList(Arc::clone(element), *size)
        }
        _ => column.clone(),
    }
}

fn exact_plan(
    plan: LogicalPlan,
    columns: &[Option<&NestedFieldRef>],
    zone: &Arc<str>,
) -> EngineResult<LogicalPlan> {
    Ok(match plan {
        LogicalPlan::Projection(mut projection) => {
            let input = Arc::unwrap_or_clone(projection.input);
            let input = if let LogicalPlan::Values(_) = input {
                let of_values = taken(&projection.expr, input.schema(), columns);
                exact_plan(input, &of_values, zone)?
            } else {
                input
            };
            let schema = Arc::clone(input.schema());
            projection.expr = exact_all(projection.expr, &schema, columns, zone)?;
            projection.input = Arc::new(input);
            LogicalPlan::Projection(projection)
        }
        LogicalPlan::Values(mut values) => {
            let empty = DFSchema::empty();
            values.values = values
                .values
                .into_iter()
                .map(|row| exact_all(row, &empty, columns, zone))
                .collect::<EngineResult<_>>()?;
            LogicalPlan::Values(values)
        }
        other => other,
    })
}

/// For each of the columns of `input` the column that takes it as it is.
fn taken<'a>(
    expressions: &[Expr],
    input: &DFSchema,
    columns: &[Option<&'a NestedFieldRef>],
) -> Vec<Option<&'a NestedFieldRef>> {
    let mut taken = vec![None; input.fields().len()];
    for (expression, column) in expressions.iter().zip(columns) {
        let mut inner = expression;
        while let Expr::Alias(Alias { expr, .. }) | Expr::Cast(Cast { expr, .. }) = inner {
            inner = expr;
        }
        if let Expr::Column(name) = inner
            && let Some(index) = input.maybe_index_of_column(name)
        {
            taken[index] = *column;
        }
    }
    taken
}

fn exact_all(
    expressions: Vec<Expr>,
    schema: &DFSchema,
    columns: &[Option<&NestedFieldRef>],
    zone: &Arc<str>,
) -> EngineResult<Vec<Expr>> {
    let columns = columns.iter().copied().chain(std::iter::repeat(None));
    expressions
        .into_iter()
        .zip(columns)
        .map(|(expression, column)| exact(expression, schema, column, zone))
        .collect()
}

/// The expression with an exact cast in the place of its own; `column` is where the value goes.
fn exact(
    expression: Expr,
    schema: &DFSchema,
    column: Option<&NestedFieldRef>,
    zone: &Arc<str>,
) -> EngineResult<Expr> {
    match as_cast(expression) {
        Expr::Alias(alias) => {
            let inner = exact(*alias.expr, schema, column, zone)?;
            Ok(Expr::Alias(Alias {
                expr: Box::new(inner),
                ..alias
            }))
        }
        Expr::Cast(Cast { expr, data_type }) => {
            let given = expr.get_type(schema)?;
            refuse_lost_fields(&given, &data_type)?;
            refuse_unlike(&given, &data_type)?;
            if let Some(whole) = whole_number(&expr, &given, &data_type) {
                return Ok(whole);
            }
            let expr = unread(*expr);
            let read = read_inner_values(
                &expr,
                &expr.get_type(schema)?,
                &data_type,
                zone,
                Purpose::Store,
            );
            let expr = Box::new(read.unwrap_or(expr));
            let given = expr.get_type(schema)?;
            let filled = match column {
                Some(column) => filled(&expr, &given, &data_type, column)?,
                None => None,
            };
            // Keys that differ may become equal.
            let checked = |cast: Expr| match (has_maps(&given), column) {
                (false, _) => cast,
                (true, None) => unique_keys("a value".to_owned(), cast),
                (true, Some(column)) => {
                    unique_keys(format!("a value of column {}", quote(&column.name)), cast)
                }
            };
            if let Some(filled) = filled {
                return filled.cast_to(&data_type, schema).map(checked);
            }
            let takes_zone = matches!(
                &data_type,
                DataType::Timestamp(TimeUnit::Microsecond, Some(_))
            ) && matches!(
                given,
                DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64
            );
            if !is_cut(&given, &data_type) && !takes_zone {
                return Ok(checked(Expr::Cast(Cast { expr, data_type })));
            }
            let function = ScalarUDF::from(ExactMicroseconds::new(data_type, Arc::clone(zone)));
            let call = ScalarFunction::new_udf(Arc::new(function), vec![*expr]);
            Ok(Expr::ScalarFunction(call))
        }
        // A text on its way into a column of floating-point numbers.
        other => match within_one_nan(&other) {
            Some(cast @ Expr::Cast(_)) => exact(cast.clone(), schema, column, zone),
            _ => Ok(other),
        },
    }
}

/// Refuses fields that have no place in the column, inside of lists and maps as well.
fn refuse_lost_fields(given: &DataType, column: &DataType) -> Result<()> {
    match (given, column) {
        (DataType::Struct(given), DataType::Struct(column)) => {
            for (field, place) in given.iter().zip(field_places(given, column)?) {
                refuse_lost_fields(field.data_type(), column[place].data_type())?;
            }
            Ok(())
        }
        (
            DataType::List(given) | DataType::LargeList(given) | DataType::FixedSizeList(given, _),
            DataType::List(column),
        ) => refuse_lost_fields(given.data_type(), column.data_type()),
        (DataType::Map(given, _), DataType::Map(column, _)) => {
            match (given.data_type(), column.data_type()) {
                // Libraries call keys and values differently.
                (DataType::Struct(given), DataType::Struct(column)) => {
                    let mut pairs = given.iter().zip(column);
                    pairs.try_for_each(|(given, column)| {
                        refuse_lost_fields(given.data_type(), column.data_type())
                    })
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// A cast to microseconds that refuses a value with nanoseconds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactMicroseconds {
    signature: Signature,
    target: DataType,
    /// Where a time without zone is read.
    zone: Arc<str>,
}

impl ExactMicroseconds {
    fn new(target: DataType, zone: Arc<str>) -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
            target,
            zone,
        }
    }
}

impl ScalarUDFImpl for ExactMicroseconds {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "exact_microseconds"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[values]| {
            Ok(stored_times(values, &self.target, &self.zone)?)
        })
    }
}
