//! Values compared with values of another kind are read as those.
//!
//! The engine turns a number beside a text into text, for which 10 is less than '5', and reads a
//! time without zone beside one with zone in UTC. People who write `id < '5'` mean the number, and
//! those who wrote '12:00' into a column in their session's zone look for it there. What decides
//! is the types, of columns, calls and subqueries as well as of literals. A text that is no number
//! is an error instead of an answer to another question. Beside nanoseconds other times are read
//! in those; dates and texts beside other times in microseconds, which hold every date that tables
//! have, and by which files are skipped. Lengths of time are compared as such: the engine would look
//! at months, days and the rest one after the other, for which 25 hours are less than a day.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRewriter};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Case, Cast, InList, InSubquery};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

use crate::length::exact_length;
use crate::local_time::{Misfit, is_utc, read_time, read_times};
use crate::session_zone::session_zone;
use crate::uuid_text::{may_be_uuid, parse_uuid, uuid_of_text, uuid_value};
use crate::wide_arithmetic::in_64_bits;
use crate::written_decimal::written_decimal;

/// Digits behind the point of a text that is compared with a whole number.
const TEXT_SCALE: i8 = 10;
/// Digits of the widest decimal.
const DECIMAL_DIGITS: u8 = 38;

/// See the module documentation. Stands before the engine's own coercion.
#[derive(Debug)]
pub(crate) struct ComparedRule;

impl AnalyzerRule for ComparedRule {
    fn name(&self) -> &str {
        "lakehouse_compared_values"
    }

    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        read_plan(plan, &[], &session_zone(options))
    }
}

/// Reads the comparisons of a plan, from its leaves up. `around` are the columns of the queries
/// that it is a subquery of, the nearest last.
///
/// What decides are types as they will be: a `CASE` takes its type from its first value until the
/// engine makes its values alike, and a `UNION` from its first query. So both are settled first, and
/// schemas with them.
fn read_plan(plan: LogicalPlan, around: &[&DFSchema], zone: &Arc<str>) -> Result<LogicalPlan> {
    let read = plan.transform_up(|node| {
        let mut schema = merge_schema(&node.inputs());
        if let LogicalPlan::TableScan(scan) = &node {
            schema.merge(&scan.projected_schema);
        }
        let scopes = [around, &[&schema]].concat();
        let within = |subquery| Ok(Transformed::yes(read_plan(subquery, &scopes, zone)?));
        let node = node.map_subqueries(within)?.data;
        let node = read_join(node, zone)?;
        let names = NamePreserver::new(&node);
        let mut coercion = TypeCoercionRewriter::new(&schema);
        let node = node.map_expressions(|expression| {
            let name = names.save(&expression);
            let read = expression.transform_up(|inner| match inner {
                Expr::OuterReferenceColumn(field, column) => Ok(outer(field, column, around)),
                inner => read_values(inner, &schema, zone)?.transform_data(|read| match read {
                    Expr::Case(_) => coercion.f_up(read),
                    read => Ok(Transformed::no(read)),
                }),
            })?;
            Ok(read.update_data(|inner| name.restore(inner)))
        })?;
        let node = match node.data {
            union @ LogicalPlan::Union(_) => coercion.coerce_plan(union)?,
            other => other,
        };
        Ok(Transformed::yes(node.recompute_schema()?))
    })?;
    Ok(read.data)
}

/// A column of a query around, with the type that it has there by now.
fn outer(field: FieldRef, column: Column, around: &[&DFSchema]) -> Transformed<Expr> {
    let mut scopes = around.iter().rev();
    let settled = scopes.find_map(|scope| {
        let index = scope.maybe_index_of_column(&column)?;
        Some(Arc::clone(&scope.fields()[index]))
    });
    let field = settled.unwrap_or(field);
    Transformed::yes(Expr::OuterReferenceColumn(field, column))
}

/// The pairs of `JOIN … USING`, which are no expressions.
fn read_join(node: LogicalPlan, zone: &Arc<str>) -> Result<LogicalPlan> {
    let LogicalPlan::Join(mut join) = node else {
        return Ok(node);
    };
    let schema = join.left.schema().join(join.right.schema())?;
    for (left, right) in &mut join.on {
        let pair = [std::mem::take(left), std::mem::take(right)];
        if let [first, second] = read_alike(pair.into(), &schema, zone)?.as_mut_slice() {
            *left = std::mem::take(first);
            *right = std::mem::take(second);
        }
    }
    Ok(LogicalPlan::Join(join))
}

fn read_values(expression: Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Transformed<Expr>> {
    let alike = |values: Vec<Expr>| read_alike(values, schema, zone).map(Vec::into_iter);
    let missing = || Error::internal("a comparison lost one of its sides");
    let next =
        |values: &mut std::vec::IntoIter<Expr>| values.next().map(Box::new).ok_or_else(missing);
    Ok(match with_written_results(expression, schema)? {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            let mut values = alike(vec![*left, *right])?;
            let (left, right) = (next(&mut values)?, next(&mut values)?);
            Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, op, right)))
        }
        Expr::BinaryExpr(binary) if computes(binary.op) => {
            Transformed::yes(Expr::BinaryExpr(read_operation(binary, schema, zone)?))
        }
        Expr::InList(InList {
            expr,
            list,
            negated,
        }) => {
            let mut values = alike([vec![*expr], list].concat())?;
            let expr = next(&mut values)?;
            Transformed::yes(Expr::InList(InList::new(expr, values.collect(), negated)))
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => {
            let mut values = alike(vec![*expr, *low, *high])?;
            let (expr, low, high) = (next(&mut values)?, next(&mut values)?, next(&mut values)?);
            Transformed::yes(Expr::Between(Between::new(expr, negated, low, high)))
        }
        Expr::Case(Case {
            expr: Some(operand),
            when_then_expr,
            else_expr,
        }) => {
            let (whens, thens): (Vec<_>, Vec<_>) = when_then_expr.into_iter().unzip();
            let whens: Vec<Expr> = whens.into_iter().map(|when| *when).collect();
            let mut values = alike([vec![*operand], whens].concat())?;
            let operand = next(&mut values)?;
            let when_then = values.map(Box::new).zip(thens).collect();
            Transformed::yes(Expr::Case(Case::new(Some(operand), when_then, else_expr)))
        }
        Expr::Cast(Cast { expr, data_type }) if data_type.is_decimal() => {
            let written = match expr.get_type(schema).is_ok_and(|given| given.is_floating()) {
                true => written_decimal(&expr).map(Box::new),
                false => None,
            };
            let cast = Cast::new(written.unwrap_or(expr), data_type);
            Transformed::yes(Expr::Cast(cast))
        }
        Expr::InSubquery(in_subquery) => read_in_subquery(in_subquery, schema, zone)?,
        other => Transformed::no(other),
    })
}

fn computes(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
}

/// A sum, difference or product.
fn read_operation(binary: BinaryExpr, schema: &DFSchema, zone: &Arc<str>) -> Result<BinaryExpr> {
    let BinaryExpr { left, op, right } = binary;
    let mut sides = vec![*left, *right];
    if op != Operator::Multiply {
        sides = lengths_alike(with_hours(sides, schema), schema)?;
    }
    if op == Operator::Minus && is_time_and_date(&sides, schema) {
        sides = read_alike(sides, schema, zone)?;
    }
    let sides = <[Expr; 2]>::try_from(sides);
    let sides = sides.map_err(|_| Error::internal("an operation lost one of its sides"))?;
    let [left, right] = in_64_bits(sides, schema).map(Box::new);
    Ok(BinaryExpr::new(left, op, right))
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// `x IN (SELECT y …)`: the rows of the subquery are read, under the name they have.
fn read_in_subquery(
    in_subquery: InSubquery,
    schema: &DFSchema,
    zone: &Arc<str>,
) -> Result<Transformed<Expr>> {
    let InSubquery {
        expr,
        subquery,
        negated,
    } = in_subquery;
    let inner = Arc::clone(subquery.subquery.schema());
    let (qualifier, field) = inner.qualified_field(0);
    let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
    let mut both = schema.clone();
    both.merge(&inner);
    let types = [expr.get_type(schema), Ok(field.data_type().clone())];
    let [Ok(outside), Ok(inside)] = types else {
        let in_subquery = InSubquery::new(expr, subquery, negated);
        return Ok(Transformed::no(Expr::InSubquery(in_subquery)));
    };
    let has_floating = inside.is_floating() || is_floating(&expr, &outside);
    let Some(kind) = kind_of(&[outside.clone(), inside.clone()], has_floating, zone) else {
        let in_subquery = InSubquery::new(expr, subquery, negated);
        return Ok(Transformed::no(Expr::InSubquery(in_subquery)));
    };
    let expr = Box::new(kind.read(*expr, &outside)?);
    let value = kind.read(column.clone(), &inside)?;
    let subquery = match value == column {
        true => subquery,
        false => {
            let plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(subquery.subquery))
                .project(vec![value.alias(field.name())])?
                .build()?;
            Subquery {
                subquery: Arc::new(plan),
                ..subquery
            }
        }
    };
    let in_subquery = InSubquery::new(expr, subquery, negated);
    Ok(Transformed::yes(Expr::InSubquery(in_subquery)))
}

/// Values that are compared with each other, read as one kind.
fn read_alike(values: Vec<Expr>, schema: &DFSchema, zone: &Arc<str>) -> Result<Vec<Expr>> {
    // What has no type yet, such as a parameter without a value, is left to the engine.
    let Ok(given) = types_of(&values, schema) else {
        return Ok(values);
    };
    let mut typed = values.iter().zip(&given);
    let of_rows = typed.any(|(value, data_type)| is_floating(value, data_type));
    let (values, has_floating) = match !of_rows && given.iter().any(DataType::is_decimal) {
        true => as_written(values, &given),
        false => (values, of_rows),
    };
    let types = types_of(&values, schema)?;
    if values.iter().all(is_months) {
        return Ok(values);
    }
    let is_length = |kind: &DataType| matches!(kind, DataType::Interval(_) | DataType::Duration(_));
    if types.iter().any(is_length) && types.iter().any(DataType::is_numeric) {
        let message = "a number is compared with a length of time; the difference of two dates is a \
                       number of days, and extract(epoch FROM …) of a length its seconds";
        return Err(Error::invalid(message).into());
    }
    let values = match kind_of(&types, has_floating, zone) {
        Some(kind) => {
            let typed = values.into_iter().zip(&types);
            let read = typed.map(|(value, data_type)| kind.read(value, data_type));
            read.collect::<Result<_>>()?
        }
        None => values,
    };
    let Ok(types) = types_of(&values, schema) else {
        return Ok(values);
    };
    let is_fine = |kind: &DataType| matches!(kind, DataType::Timestamp(TimeUnit::Nanosecond, _));
    let is_time = |kind: &DataType| matches!(kind, DataType::Timestamp(..));
    match (types.iter().any(is_fine), types.iter().any(is_time)) {
        (true, _) => in_nanoseconds(values, schema),
        (false, true) => dates_in_microseconds(values, schema),
        (false, false) => Ok(values),
    }
}

/// A literal interval of months and years alone, of which the engine knows the order.
fn is_months(value: &Expr) -> bool {
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) = value else {
        return false;
    };
    interval.days == 0 && interval.nanoseconds == 0
}

fn types_of(values: &[Expr], schema: &DFSchema) -> Result<Vec<DataType>> {
    values.iter().map(|value| value.get_type(schema)).collect()
}

/// Dates as times. The engine would compare in nanoseconds, which end in 1677 and 2262.
fn dates_in_microseconds(values: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let wide = |value: Expr| match value.get_type(schema)? {
        DataType::Date32 | DataType::Date64 => Ok(cast(
            value,
            DataType::Timestamp(TimeUnit::Microsecond, None),
        )),
        _ => Ok(value),
    };
    values.into_iter().map(wide).collect()
}

/// Times in nanoseconds. The engine would compare in the coarser unit and cut the last digits of
/// the finer one. A time that nanoseconds cannot hold, before 1677 or after 2262, is an error.
fn in_nanoseconds(values: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let exact = |value: Expr| match value.get_type(schema)? {
        DataType::Timestamp(unit, zone) if unit != TimeUnit::Nanosecond => {
            Ok(cast(value, DataType::Timestamp(TimeUnit::Nanosecond, zone)))
        }
        _ => Ok(value),
    };
    values.into_iter().map(exact).collect()
}

/// A double that rows have. One made of literals alone (`0.06 + 0.01`) is read as the decimal that
/// was written, see [`as_written`].
fn is_floating(value: &Expr, data_type: &DataType) -> bool {
    let of_rows = |part: &Expr| {
        Ok(matches!(
            part,
            Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_)
        ))
    };
    data_type.is_floating() && value.exists(of_rows).unwrap_or(true)
}

/// Doubles that are literals beside decimals as the decimals that were written, and whether there
/// are some that are none, such as `1e300` and `sqrt(2.0)`.
fn as_written(values: Vec<Expr>, types: &[DataType]) -> (Vec<Expr>, bool) {
    let written: Option<Vec<Expr>> = values
        .iter()
        .zip(types)
        .map(|(value, data_type)| match data_type.is_floating() {
            true => written_decimal(value),
            false => Some(value.clone()),
        })
        .collect();
    match written {
        Some(written) => (written, false),
        None => (values, true),
    }
}

/// Calls and cases of which one of several values is the result: decimals and literals among them,
/// and lengths of time.
fn with_written_results(expression: Expr, schema: &DFSchema) -> Result<Expr> {
    let written = |values: Vec<Expr>| -> Result<Vec<Expr>> {
        let values = lengths_alike(values, schema)?;
        let Ok(types) = types_of(&values, schema) else {
            return Ok(values);
        };
        let mut typed = values.iter().zip(&types);
        let of_rows = typed.any(|(value, data_type)| is_floating(value, data_type));
        match !of_rows && types.iter().any(DataType::is_decimal) {
            true => Ok(as_written(values, &types).0),
            false => Ok(values),
        }
    };
    Ok(match expression {
        Expr::ScalarFunction(mut call)
            if matches!(
                call.name(),
                "coalesce" | "nvl" | "ifnull" | "greatest" | "least"
            ) =>
        {
            call.args = written(call.args)?;
            Expr::ScalarFunction(call)
        }
        Expr::Case(mut case) => {
            let (whens, thens): (Vec<_>, Vec<_>) = case.when_then_expr.into_iter().unzip();
            let results = thens.into_iter().chain(case.else_expr);
            let mut results = written(results.map(|result| *result).collect())?.into_iter();
            let when_then = whens.into_iter().zip(results.by_ref().map(Box::new));
            case.when_then_expr = when_then.collect();
            case.else_expr = results.next().map(Box::new);
            Expr::Case(case)
        }
        other => other,
    })
}

/// A date beside an interval of hours or less, or one that rows have, is the time when it begins:
/// the engine would drop the hours.
fn with_hours(values: Vec<Expr>, schema: &DFSchema) -> Vec<Expr> {
    let has_hours = |value: &Expr| match value {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(interval), _) => {
            interval.is_some_and(|interval| interval.nanoseconds != 0)
        }
        Expr::Literal(ScalarValue::IntervalYearMonth(_), _) => false,
        value => matches!(value.get_type(schema), Ok(DataType::Interval(_))),
    };
    if !values.iter().any(has_hours) {
        return values;
    }
    let timed = |value: Expr| match value.get_type(schema) {
        Ok(DataType::Date32 | DataType::Date64) => {
            cast(value, DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        _ => value,
    };
    values.into_iter().map(timed).collect()
}

/// Whether a time and a date are among the values, and nothing else: their difference.
fn is_time_and_date(values: &[Expr], schema: &DFSchema) -> bool {
    let Ok(types) = types_of(values, schema) else {
        return false;
    };
    let is_time = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..));
    let is_date = |data_type: &DataType| matches!(data_type, DataType::Date32 | DataType::Date64);
    let is_either = |data_type: &DataType| is_time(data_type) || is_date(data_type);
    types.iter().any(is_time) && types.iter().any(is_date) && types.iter().all(is_either)
}

/// Differences of times and intervals as lengths of time, where there are both.
fn lengths_alike(values: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let Ok(types) = types_of(&values, schema) else {
        return Ok(values);
    };
    let is_difference = |data_type: &DataType| matches!(data_type, DataType::Duration(_));
    let is_other = |data_type: &DataType| {
        !is_difference(data_type) && !matches!(data_type, DataType::Interval(_) | DataType::Null)
    };
    if !types.iter().any(is_difference) || types.iter().any(is_other) {
        return Ok(values);
    }
    let Some(kind) = kind_of_lengths(&types) else {
        return Ok(values);
    };
    let typed = values.into_iter().zip(&types);
    typed
        .map(|(value, data_type)| kind.read(value, data_type))
        .collect()
}

/// What texts, or times without zone, are read as.
enum Kind {
    /// Numbers, of this type where they are no literals.
    Number {
        data_type: DataType,
        is_floating: bool,
    },
    /// Times.
    Time {
        /// What texts are read as.
        of_text: DataType,
        /// The session's zone.
        zone: Arc<str>,
        /// Whether those without zone are read in that zone.
        is_mixed: bool,
    },
    /// Lengths of time, in this unit.
    Length(TimeUnit),
    /// UUIDs.
    Uuid,
    /// True or false.
    Truth,
}

/// The kind that values of several types are read as; none where the engine may have them.
///
/// `has_floating`: there are decimals and doubles among them. The engine would make decimals of the
/// doubles, which hold neither large nor small ones, and digits that nobody wrote.
fn kind_of(types: &[DataType], has_floating: bool, zone: &Arc<str>) -> Option<Kind> {
    if types.iter().any(DataType::is_string) && types.iter().any(may_be_uuid) {
        return Some(Kind::Uuid);
    }
    let is_truth = |data_type: &DataType| *data_type == DataType::Boolean;
    if types.iter().any(DataType::is_string) && types.iter().any(is_truth) {
        return Some(Kind::Truth);
    }
    let has_text = types.iter().any(DataType::is_string) && types.iter().any(DataType::is_numeric);
    let has_decimal = has_floating && types.iter().any(DataType::is_decimal);
    if has_text || has_decimal {
        return Some(Kind::of_numbers(types));
    }
    kind_of_lengths(types).or_else(|| kind_of_times(types, zone))
}

/// The kind of lengths of time that are not of one type.
fn kind_of_lengths(types: &[DataType]) -> Option<Kind> {
    let units = types.iter().filter_map(|data_type| match data_type {
        DataType::Duration(unit) => Some(*unit),
        _ => None,
    });
    let units: Vec<TimeUnit> = units.collect();
    let has_interval = types
        .iter()
        .any(|data_type| matches!(data_type, DataType::Interval(_)));
    // Among themselves intervals may say what is finer than the differences of times.
    let unit = match units.as_slice() {
        [] if has_interval => TimeUnit::Nanosecond,
        [first, others @ ..] if has_interval || others.iter().any(|unit| unit != first) => {
            let is_fine = units.contains(&TimeUnit::Nanosecond);
            match is_fine {
                true => TimeUnit::Nanosecond,
                false => TimeUnit::Microsecond,
            }
        }
        _ => return None,
    };
    Some(Kind::Length(unit))
}

fn kind_of_times(types: &[DataType], zone: &Arc<str>) -> Option<Kind> {
    let is_fine =
        |data_type: &DataType| matches!(data_type, DataType::Timestamp(TimeUnit::Nanosecond, _));
    let zone_of = |data_type: &DataType| match data_type {
        DataType::Timestamp(_, zone) => Some(zone.clone()),
        _ => None,
    };
    let zones: Vec<Option<Arc<str>>> = types.iter().filter_map(zone_of).collect();
    let with_zone = zones.iter().flatten().next();
    let has_text = types.iter().any(DataType::is_string);
    // In UTC the engine reads as the session would.
    let is_mixed = with_zone.is_some()
        && !is_utc(zone)
        && (zones.len() < types.len() || zones.iter().any(Option::is_none));
    if zones.is_empty() || !has_text && !is_mixed {
        return None;
    }
    let unit = match types.iter().any(is_fine) {
        true => TimeUnit::Nanosecond,
        false => TimeUnit::Microsecond,
    };
    // One name of UTC is as good as another, and the column's own needs no cast of it.
    let of_text = with_zone.map(|own| match is_utc(zone) && is_utc(own) {
        true => Arc::clone(own),
        false => Arc::clone(zone),
    });
    Some(Kind::Time {
        of_text: DataType::Timestamp(unit, of_text),
        zone: Arc::clone(zone),
        is_mixed,
    })
}

impl Kind {
    /// A type that holds the texts of all numbers of these types.
    fn of_numbers(types: &[DataType]) -> Self {
        let is_floating = types.iter().any(DataType::is_floating);
        // A double holds every whole number of 32 bits, but not of 64.
        let is_wide = |data_type: &DataType| {
            data_type.is_numeric()
                && !matches!(
                    data_type,
                    DataType::Int8
                        | DataType::Int16
                        | DataType::Int32
                        | DataType::UInt8
                        | DataType::UInt16
                        | DataType::UInt32
                )
        };
        let scale = types.iter().map(|data_type| match data_type {
            DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale,
            _ => 0,
        });
        let scale = scale.max().unwrap_or(0).max(TEXT_SCALE);
        let data_type = match is_floating || !types.iter().any(is_wide) {
            true => DataType::Float64,
            false => DataType::Decimal128(DECIMAL_DIGITS, scale),
        };
        Self::Number {
            data_type,
            is_floating,
        }
    }

    /// The value, read as this kind if it is of another.
    fn read(&self, value: Expr, given: &DataType) -> Result<Expr> {
        match self {
            Self::Number {
                data_type,
                is_floating,
            } if given.is_string() => match &value {
                Expr::Literal(literal, metadata) => {
                    let Some(Some(text)) = literal.try_as_str() else {
                        return Ok(value);
                    };
                    let number = number(text.trim(), *is_floating).ok_or_else(|| {
                        Error::invalid(format!("{text:?} is compared with a number and is none"))
                    })?;
                    Ok(Expr::Literal(number, metadata.clone()))
                }
                _ => Ok(cast(value, data_type.clone())),
            },
            Self::Number {
                is_floating: true, ..
            } if given.is_decimal() => Ok(cast(value, DataType::Float64)),
            Self::Time { of_text, zone, .. } if given.is_string() => {
                read_text(value, of_text, zone)
            }
            Self::Time {
                zone,
                is_mixed: true,
                ..
            } => Ok(match given {
                DataType::Timestamp(unit, None) => {
                    cast(value, DataType::Timestamp(*unit, Some(Arc::clone(zone))))
                }
                // A date is a time first: the engine casts it to one with zone as if that were UTC.
                DataType::Date32 | DataType::Date64 => {
                    let time = cast(value, DataType::Timestamp(TimeUnit::Microsecond, None));
                    let zone = Some(Arc::clone(zone));
                    cast(time, DataType::Timestamp(TimeUnit::Microsecond, zone))
                }
                _ => value,
            }),
            Self::Length(unit) => exact_length(value, given, *unit),
            Self::Uuid if given.is_string() => match &value {
                Expr::Literal(literal, metadata) => match literal.try_as_str() {
                    Some(Some(text)) => {
                        let uuid = uuid_value(parse_uuid(text)?);
                        Ok(Expr::Literal(uuid, metadata.clone()))
                    }
                    _ => Ok(value),
                },
                _ => Ok(uuid_of_text(value)),
            },
            Self::Truth if given.is_string() => match &value {
                Expr::Literal(literal, metadata) => {
                    let Some(Some(text)) = literal.try_as_str() else {
                        return Ok(value);
                    };
                    let truth = literal.cast_to(&DataType::Boolean).map_err(|_| {
                        Error::invalid(format!("{text:?} is compared with true or false"))
                    })?;
                    Ok(Expr::Literal(truth, metadata.clone()))
                }
                _ => Ok(cast(value, DataType::Boolean)),
            },
            Self::Number { .. } | Self::Uuid | Self::Time { .. } | Self::Truth => Ok(value),
        }
    }
}

/// A text as a time; one that says nanoseconds keeps them.
fn read_text(value: Expr, target: &DataType, zone: &Arc<str>) -> Result<Expr> {
    let (Expr::Literal(literal, metadata), DataType::Timestamp(_, to_zone)) = (&value, target)
    else {
        return Ok(read_time(value, target.clone(), zone, Misfit::Refuse));
    };
    let text = literal.to_array()?;
    let fine = DataType::Timestamp(TimeUnit::Nanosecond, to_zone.clone());
    let time = read_times(&text, target, zone, Misfit::Refuse)
        .or_else(|error| read_times(&text, &fine, zone, Misfit::Refuse).map_err(|_| error))?;
    let time = ScalarValue::try_from_array(&time, 0)?;
    Ok(Expr::Literal(time, metadata.clone()))
}

fn cast(value: Expr, data_type: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(value), data_type))
}

/// The text as a whole number, else as an exact decimal, else as a floating-point number.
fn number(text: &str, is_floating: bool) -> Option<ScalarValue> {
    if is_floating {
        return text
            .parse()
            .ok()
            .map(|number| ScalarValue::Float64(Some(number)));
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(ScalarValue::Int64(Some(whole)));
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let scale = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    let (precision, scale) = (u8::try_from(digits.max(1)).ok()?, i8::try_from(scale).ok()?);
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    if is_plain && precision <= DECIMAL_DIGITS {
        let text = ScalarValue::Utf8(Some(text.to_owned()));
        let decimal = text.cast_to(&DataType::Decimal128(precision, scale)).ok()?;
        return Some(decimal).filter(|decimal| !decimal.is_null());
    }
    text.parse()
        .ok()
        .map(|number| ScalarValue::Float64(Some(number)))
}
