//! Constant expressions: the operands of version clauses, procedure arguments and settings.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ParamValues, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::ContextProvider;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::prelude::Expr;
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast::{self, visit_expressions_mut};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::lake::Lake;
use lakehouse_core::table::Version;

use crate::functions::{FunctionsOnly, parser_options};
use crate::local_time::{WrittenTime, instant_of, parse_zone};
use crate::parse::VersionClause;
use crate::session_zone::{local_cast, session_zone as engine_zone};
use crate::typed_call::typed;

/// The end of the year 9999, in milliseconds since 1970.
const SECONDS_END_MS: i64 = 253_402_300_800_000;

/// What constant expressions are evaluated with: one instant, one time zone and the parameters of a
/// statement.
#[derive(Debug)]
pub(crate) struct Constants<'a> {
    state: &'a SessionState,
    instant: DateTime<Utc>,
    zone: Tz,
    parameters: Option<&'a ParamValues>,
}

impl<'a> Constants<'a> {
    /// Of a statement whose `current_timestamp` is the state's.
    ///
    /// # Errors
    /// When the session's time zone is none.
    pub(crate) fn try_new(
        state: &'a SessionState,
        instant: DateTime<Utc>,
        parameters: Option<&'a ParamValues>,
    ) -> Result<Self> {
        let zone = session_zone(state)?;
        Ok(Self {
            state,
            instant,
            zone,
            parameters,
        })
    }

    /// The value of an expression without columns.
    ///
    /// # Errors
    /// When it is not constant, or cannot be evaluated.
    pub(crate) fn evaluate(&self, expression: &ast::Expr) -> Result<ScalarValue> {
        let mut expression = expression.clone();
        let ControlFlow::Continue(()) = visit_expressions_mut(&mut expression, |expr| {
            if let ast::Expr::TypedString(typed) = expr {
                keep_zone(typed);
            }
            ControlFlow::<Infallible>::Continue(())
        });
        let expression = &expression;
        let context = FunctionsOnly::new(self.state);
        let planner = SqlToRel::new_with_options(&context, parser_options(self.state));
        let schema = DFSchema::empty();
        let planned = planner
            .sql_to_expr(expression.clone(), &schema, &mut PlannerContext::new())
            .map_err(|error| not_constant(expression).with_source(Error::from(error)))?;
        self.fold(planned, &context).map_err(|error| {
            if error.kind() == lakehouse_core::error::ErrorKind::Internal {
                not_constant(expression).with_source(error)
            } else {
                error.with_context("expression", expression)
            }
        })
    }

    /// The value of a planned expression.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub(crate) fn fold(&self, planned: Expr, context: &dyn ContextProvider) -> Result<ScalarValue> {
        let planned = self.bind(planned)?;
        let simplify = SimplifyContext::default()
            .with_config_options(Arc::new(context.options().clone()))
            .with_query_execution_start_time(Some(self.instant));
        let simplifier = ExprSimplifier::new(simplify);
        let schema = DFSchema::empty();
        let planned = planned.transform_up(|expr| typed(expr, &schema))?.data;
        let coerced = simplifier.coerce(planned, &schema)?;
        let zone = engine_zone(context.options());
        let coerced = coerced
            .transform_up(|expr| local_cast(expr, &schema, &zone))?
            .data;
        match simplifier.simplify(coerced)? {
            Expr::Literal(value, _) => Ok(value),
            other => Err(Error::invalid(format!(
                "expected a constant expression, found {other}; columns, subqueries and functions \
                 that change from call to call are not constant"
            ))),
        }
    }

    /// Puts the values of parameters in their places.
    fn bind(&self, planned: Expr) -> Result<Expr> {
        let bound = planned.transform_up(|node| match node {
            Expr::Placeholder(placeholder) => {
                let Some(parameters) = self.parameters else {
                    return Err(Error::invalid(format!(
                        "parameter {} has no value; give it one with `Session::sql_with`",
                        placeholder.id
                    ))
                    .into());
                };
                let value = parameters.get_placeholders_with_values(&placeholder.id)?;
                Ok(Transformed::yes(Expr::Literal(value.value, None)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(bound.data)
    }

    /// The version that a clause asks for.
    ///
    /// # Errors
    /// When the operand is not constant or of no fitting type.
    pub(crate) fn version(&self, clause: &VersionClause) -> Result<Version> {
        match clause {
            VersionClause::Timestamp(expression) => {
                let value = self.evaluate(expression)?;
                Ok(Version::Timestamp(self.timestamp_ms(&value).map_err(
                    |error| error.with_context("expression", expression),
                )?))
            }
            VersionClause::Version(expression) => version_of(&self.evaluate(expression)?)
                .map_err(|error| error.with_context("expression", expression)),
        }
    }

    /// A value as milliseconds since 1970: text, dates and times without zone are read in the
    /// session's zone, a number is seconds since 1970, and what is finer than a millisecond is cut.
    ///
    /// # Errors
    /// When the value is NULL, of another type, or a text that is no time.
    pub(crate) fn timestamp_ms(&self, value: &ScalarValue) -> Result<i64> {
        match value {
            ScalarValue::Utf8(Some(text))
            | ScalarValue::LargeUtf8(Some(text))
            | ScalarValue::Utf8View(Some(text)) => self.text_ms(text),
            ScalarValue::Date32(Some(days)) => {
                let date = NaiveDate::from_num_days_from_ce_opt(days.saturating_add(719_163));
                self.local_ms(date.and_then(|date| date.and_hms_opt(0, 0, 0)), value)
            }
            ScalarValue::TimestampSecond(Some(at), zone) => {
                self.stamp_ms(*at, 1_000_000_000, zone.is_some(), value)
            }
            ScalarValue::TimestampMillisecond(Some(at), zone) => {
                self.stamp_ms(*at, 1_000_000, zone.is_some(), value)
            }
            ScalarValue::TimestampMicrosecond(Some(at), zone) => {
                self.stamp_ms(*at, 1_000, zone.is_some(), value)
            }
            ScalarValue::TimestampNanosecond(Some(at), zone) => {
                self.stamp_ms(*at, 1, zone.is_some(), value)
            }
            other => seconds_ms(other),
        }
    }

    fn text_ms(&self, text: &str) -> Result<i64> {
        let time = WrittenTime::parse(text)
            .map_err(|error| error.with_context("session time zone", self.zone))?;
        let instant = time.instant(self.zone);
        let instant =
            instant.ok_or_else(|| Error::invalid(format!("time {text:?} is out of range")))?;
        Ok(instant.and_utc().timestamp_millis())
    }

    fn stamp_ms(&self, at: i64, unit_ns: i64, has_zone: bool, value: &ScalarValue) -> Result<i64> {
        let ns = i128::from(at) * i128::from(unit_ns);
        let ms = i64::try_from(ns.div_euclid(1_000_000)).map_err(|_| out_of_range(value))?;
        if has_zone {
            return Ok(ms);
        }
        self.local_ms(
            DateTime::from_timestamp_millis(ms).map(|time| time.naive_utc()),
            value,
        )
    }

    /// A wall-clock time of the session's zone.
    fn local_ms(&self, local: Option<NaiveDateTime>, value: &ScalarValue) -> Result<i64> {
        let instant = local.and_then(|local| instant_of(local, self.zone));
        let instant = instant.ok_or_else(|| out_of_range(value))?;
        Ok(instant.and_utc().timestamp_millis())
    }
}

/// What `current_timestamp` answers to one statement: whole microseconds, which every table holds.
pub(crate) fn instant(lake: &Lake) -> DateTime<Utc> {
    let ns = lake.clock().now_ns();
    DateTime::from_timestamp_nanos(ns - ns.rem_euclid(1_000))
}

/// The session's time zone; UTC when none was set.
///
/// # Errors
/// When the configured one is no time zone.
pub(crate) fn session_zone(state: &SessionState) -> Result<Tz> {
    let zone = state
        .config_options()
        .execution
        .time_zone
        .as_deref()
        .unwrap_or("UTC");
    parse_zone(zone)
}

fn version_of(value: &ScalarValue) -> Result<Version> {
    match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Ok(Version::Reference(text.clone())),
        other => integer(other).map(Version::Snapshot).ok_or_else(|| {
            Error::invalid(format!(
                "expected a snapshot id or the name of a tag or branch, found {other}"
            ))
        }),
    }
}

fn integer(value: &ScalarValue) -> Option<i64> {
    if !value.data_type().is_integer() || value.is_null() {
        return None;
    }
    match value.cast_to(&arrow::datatypes::DataType::Int64) {
        Ok(ScalarValue::Int64(number)) => number,
        _ => None,
    }
}

/// A number as seconds since 1970, cut to milliseconds.
fn seconds_ms(value: &ScalarValue) -> Result<i64> {
    if let Some(seconds) = integer(value) {
        return checked_seconds_ms(i128::from(seconds) * 1_000, value);
    }
    if value.data_type().is_numeric() && !value.is_null() {
        // Through nanoseconds as a decimal, so that 1700000000.123 is not rounded in binary.
        let exact = value.cast_to(&arrow::datatypes::DataType::Decimal128(38, 9))?;
        if let ScalarValue::Decimal128(Some(ns), _, _) = exact {
            return checked_seconds_ms(ns.div_euclid(1_000_000), value);
        }
    }
    Err(Error::invalid(format!(
        "expected a time (text, DATE, TIMESTAMP or seconds since 1970), found {value} of type {}",
        value.data_type()
    )))
}

/// Nobody travels beyond the year 9999; a number of milliseconds would go there, and find a table as
/// it is now.
fn checked_seconds_ms(ms: i128, value: &ScalarValue) -> Result<i64> {
    let ms = i64::try_from(ms).ok();
    ms.filter(|ms| *ms < SECONDS_END_MS).ok_or_else(|| {
        Error::invalid(format!(
            "{value} is beyond the year 9999: a number is seconds since 1970, not milliseconds or \
             finer; divide it by 1000 as often as needed, or write a timestamp"
        ))
    })
}

fn out_of_range(value: &ScalarValue) -> Error {
    Error::invalid(format!("time {value} is out of range"))
}

fn not_constant(expression: &ast::Expr) -> Error {
    Error::invalid(format!(
        "expected a constant expression, found {expression}"
    ))
}

/// A `TIMESTAMP '…'` whose text names a zone is one with zone, as the standard, Spark and Trino have
/// it; the engine would forget the zone.
pub(crate) fn keep_zone(typed: &mut ast::TypedString) {
    if let (
        ast::DataType::Timestamp(_, zone @ ast::TimezoneInfo::None),
        ast::Value::SingleQuotedString(text),
    ) = (&mut typed.data_type, &typed.value.value)
        && WrittenTime::parse(text).is_ok_and(|time| time.has_zone())
    {
        *zone = ast::TimezoneInfo::WithTimeZone;
    }
}
