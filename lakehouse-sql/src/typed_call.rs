//! Calls written so that their types are known before types are made equal.
//!
//! The engine's `nullif` compares two values as they are, which fails for decimals of different
//! scales and for times of different zones: as an `=` they become of one type first. Its `round` of
//! a decimal has as many places as it is told, but not while the number is cast to the type it
//! takes: it is given a number of that type. A key that a map is asked for is compared with the
//! map's as it is written: it becomes of their type. Its `date_part` counts ISO's days of the week
//! from 0, and has no parts of differences of times but wholes. Its `substr` knows no place from the
//! end. Its casts make no UUID of a text and no text of a UUID, and bytes of a number in an order
//! that nobody asked for. Its ranges of decimals are of other types than what they are ranges of,
//! and its maps are not made of constants beside columns. Its `nvl` makes texts of times, and its
//! `nvl2` wants what is tested to be of the type of the results.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::functions::core::nullif::NullIfFunc;
use datafusion::functions::core::nvl::NVLFunc;
use datafusion::functions::core::nvl2::NVL2Func;
use datafusion::functions::datetime::date_part::DatePartFunc;
use datafusion::functions::math::round::RoundFunc;
use datafusion::functions::unicode::substr::SubstrFunc;
use datafusion::functions_nested::map::MapFunc;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Case, ExprSchemable, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::{Expr, lit};
use lakehouse_core::error::Error;

use crate::broadcast_map::broadcast_map;
use crate::decimal_frame::{ordered_by, range_type};
use crate::hex_text::is_bytes;
use crate::length::part_of_length;
use crate::substr::Substr;
use crate::uuid_text::{is_uuid, may_be_uuid, text_of_uuid, uuid_if_any, uuid_of_text};

/// See the module documentation. Stands before the rules that make types of comparisons equal.
#[derive(Debug)]
pub(crate) struct TypedCallRule;

impl AnalyzerRule for TypedCallRule {
    fn name(&self) -> &str {
        "lakehouse_typed_calls"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            let range_type = range_type(&node, &schema)?;
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let written = expr.transform_up(|expr| match (expr, &range_type) {
                    (Expr::WindowFunction(call), Some(range_type)) => {
                        Ok(Transformed::yes(ordered_by(&call, range_type).into()))
                    }
                    (expr, _) => typed(expr, &schema),
                })?;
                Ok(written.update_data(|expr| name.restore(expr)))
            })
        })
        .data()
    }
}

/// An expression as the module documentation says.
///
/// # Errors
/// For casts of numbers to bytes, and parts of times that are not known.
pub(crate) fn typed(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::Cast(Cast {
        expr: value,
        data_type,
    })
    | Expr::TryCast(TryCast {
        expr: value,
        data_type,
    }) = &expr
    {
        let is_try = matches!(expr, Expr::TryCast(_));
        let cast = match data_type.is_string() && is_uuid(value, schema) {
            true => Some(text_of_uuid(value.as_ref().clone(), data_type.clone())),
            false => as_bytes(value, data_type, is_try, schema)?,
        };
        return Ok(cast.map_or_else(|| Transformed::no(expr), Transformed::yes));
    }
    let Expr::ScalarFunction(call) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let function = call.func.inner().as_any();
    let written = match () {
        () if function.is::<NullIfFunc>() => nullif(&call.args),
        () if function.is::<NVLFunc>() => nvl(&call.args, schema),
        () if function.is::<NVL2Func>() => nvl2(&call.args),
        () if function.is::<RoundFunc>() => round(call),
        () if function.is::<GetFieldFunc>() => map_value(call, schema),
        () if function.is::<DatePartFunc>() => part(call, schema)?,
        () if function.is::<SubstrFunc>() => Some(substr(call)),
        () if function.is::<MapFunc>() => Some(broadcast_map(call)),
        () if call.func.name() == "date_trunc" => of_date(call, schema),
        () => None,
    };
    Ok(written.map_or_else(|| Transformed::no(expr), Transformed::yes))
}

/// A cast to UUIDs or other bytes, where the engine's means something else.
fn as_bytes(
    value: &Expr,
    target: &DataType,
    is_try: bool,
    schema: &DFSchema,
) -> Result<Option<Expr>> {
    if !is_bytes(target) {
        return Ok(None);
    }
    let Ok(given) = value.get_type(schema) else {
        return Ok(None);
    };
    if given.is_integer() {
        return Err(Error::unsupported(
            "a number is not cast to BINARY, whose engines do not agree on the order of its bytes; \
             cast it to VARCHAR first, if its digits are meant",
        )
        .into());
    }
    Ok(match (may_be_uuid(target) && given.is_string(), is_try) {
        (false, _) => None,
        (true, false) => Some(uuid_of_text(value.clone())),
        (true, true) => Some(uuid_if_any(value.clone())),
    })
}

/// The first value that is there; a text beside a number stays the engine's.
fn nvl(args: &[Expr], schema: &DFSchema) -> Option<Expr> {
    let is_text = |value: &Expr| Ok(value.get_type(schema)?.is_string());
    let texts: Result<Vec<bool>> = args.iter().map(is_text).collect();
    let has_texts = texts.ok()?.contains(&true);
    (!has_texts).then(|| coalesce(args.to_vec()))
}

/// The second value where the first is there, else the third.
fn nvl2(args: &[Expr]) -> Option<Expr> {
    let [tested, present, absent] = args else {
        return None;
    };
    Some(Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(
            Box::new(tested.clone().is_not_null()),
            Box::new(present.clone()),
        )],
        else_expr: Some(Box::new(absent.clone())),
    }))
}

/// `substr` with places from the end.
fn substr(call: &ScalarFunction) -> Expr {
    Expr::ScalarFunction(ScalarFunction {
        func: Arc::new(ScalarUDF::from(Substr::new())),
        args: call.args.clone(),
    })
}

/// `date_trunc` of a date, which the engine would make nanoseconds.
fn of_date(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let [unit, date] = call.args.as_slice() else {
        return None;
    };
    let is_date = matches!(
        date.get_type(schema),
        Ok(DataType::Date32 | DataType::Date64)
    );
    let wide = DataType::Timestamp(TimeUnit::Microsecond, None);
    let time = Expr::Cast(Cast::new(Box::new(date.clone()), wide));
    is_date.then(|| {
        Expr::ScalarFunction(ScalarFunction {
            func: Arc::clone(&call.func),
            args: vec![unit.clone(), time],
        })
    })
}

/// `date_part` of differences of times, and the day of the week that begins with 1 on Monday.
fn part(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let [Expr::Literal(name, _), value] = call.args.as_slice() else {
        return Ok(None);
    };
    let Some(Some(name)) = name.try_as_str() else {
        return Ok(None);
    };
    match value.get_type(schema) {
        Ok(DataType::Duration(_)) => part_of_length(name, value.clone()).map(Some),
        _ if name
            .trim_matches(['\'', '"'])
            .eq_ignore_ascii_case("isodow") =>
        {
            let day = Expr::ScalarFunction(call.clone()) + lit(1_i32);
            Ok(Some(Expr::Cast(Cast::new(Box::new(day), DataType::Int32))))
        }
        _ => Ok(None),
    }
}

/// `nullif` as `CASE`, but for a first value that would be another one the second time.
fn nullif(args: &[Expr]) -> Option<Expr> {
    let [value, other] = args else {
        return None;
    };
    if value.is_volatile() {
        return None;
    }
    let is_equal = value.clone().eq(other.clone());
    let cases = vec![(Box::new(is_equal), Box::new(lit(ScalarValue::Null)))];
    let case = Case::new(None, cases, Some(Box::new(value.clone())));
    Some(Expr::Case(case))
}

/// `round` to a number of places of 32 bits.
fn round(call: &ScalarFunction) -> Option<Expr> {
    let [value, Expr::Literal(ScalarValue::Int64(Some(places)), None)] = call.args.as_slice()
    else {
        return None;
    };
    let places = lit(i32::try_from(*places).ok()?);
    Some(Expr::ScalarFunction(ScalarFunction {
        func: Arc::clone(&call.func),
        args: vec![value.clone(), places],
    }))
}

/// The value of a map for a number, as one of the type that its keys have.
fn map_value(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let [map, key, below @ ..] = call.args.as_slice() else {
        return None;
    };
    let key = match key {
        Expr::Literal(key, None) => key.clone(),
        Expr::Cast(Cast { expr, data_type }) => expr.as_literal()?.cast_to(data_type).ok()?,
        _ => return None,
    };
    let DataType::Map(entries, _) = map.get_type(schema).ok()? else {
        return None;
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return None;
    };
    let kind = fields.first()?.data_type();
    if key.data_type() == *kind || !key.data_type().is_numeric() || !kind.is_numeric() {
        return None;
    }
    let typed = key.cast_to(kind).ok()?;
    if typed.cast_to(&key.data_type()).ok()? != key {
        return None;
    }
    let mut args = vec![map.clone(), lit(typed)];
    args.extend_from_slice(below);
    Some(Expr::ScalarFunction(ScalarFunction {
        func: Arc::clone(&call.func),
        args,
    }))
}
