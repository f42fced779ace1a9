//! Aggregates of other engines, by those of this one.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, OrderByExpr, OrderByOptions,
};

use super::{arguments_of, case_of, nested, plain_arguments, renamed};

/// The call of an aggregate, if it is one of another engine.
pub(super) fn written_out(name: &str, call: &Function) -> Option<Expr> {
    if name == "count_if" {
        return count_if(call);
    }
    let unfiltered = Function {
        filter: None,
        ..call.clone()
    };
    let arguments = plain_arguments(&unfiltered)?;
    let written = match (name, arguments.as_slice()) {
        // Where no row has a place there is no value, as if there were no rows.
        ("max_by", [value, place]) => first(call, value, place, Some(ordered(place, false))),
        ("min_by", [value, place]) => first(call, value, place, Some(ordered(place, true))),
        ("any_value" | "arbitrary", [value]) => first(call, value, value, None),
        ("approx_percentile" | "percentile_approx", [value, share]) => {
            let mut written = renamed(call, "approx_percentile_cont");
            written.args = FunctionArguments::List(arguments_of(vec![(*share).clone()]));
            written.within_group = vec![ordered(value, true)];
            written
        }
        _ => return None,
    };
    Some(Expr::Function(written))
}

/// `count_if(a)` counts the rows for which `CASE WHEN a THEN a END` is not NULL, whatever other
/// clauses the call has.
fn count_if(call: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(condition))] = list.args.as_slice() else {
        return None;
    };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return None;
    }
    let counted = case_of(condition, condition, None);
    let mut written = renamed(call, "count");
    written.args = FunctionArguments::List(arguments_of(vec![counted]));
    Some(Expr::Function(written))
}

/// The first value of the rows that have a place.
fn first(call: &Function, value: &Expr, place: &Expr, order: Option<OrderByExpr>) -> Function {
    let mut arguments = arguments_of(vec![value.clone()]);
    let order = order.map(|order| FunctionArgumentClause::OrderBy(vec![order]));
    arguments.clauses.extend(order);
    let mut written = renamed(call, "first_value");
    written.args = FunctionArguments::List(arguments);
    let has_place = Expr::IsNotNull(nested(place));
    written.filter = Some(Box::new(match &call.filter {
        Some(filter) => Expr::BinaryOp {
            left: nested(filter),
            op: BinaryOperator::And,
            right: Box::new(has_place),
        },
        None => has_place,
    }));
    written
}

fn ordered(value: &Expr, is_ascending: bool) -> OrderByExpr {
    OrderByExpr {
        expr: value.clone(),
        options: OrderByOptions {
            asc: Some(is_ascending),
            nulls_first: None,
        },
        with_fill: None,
    }
}
