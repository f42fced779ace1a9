//! Functions that other engines have under names of their own, written as those of this one:
//! `year(d)` is `date_part('year', d)`, `date(t)` is `CAST(t AS DATE)`, `if(a, b, c)` is
//! `CASE WHEN a THEN b ELSE c END`.
//!
//! A function that the session registered under such a name wins. A column of a `SELECT` keeps the
//! text of the call as its name. Names of functions that are not offered, but have another name
//! here, are refused with it.

mod aggregate;
mod time;

use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Query, SelectItem, Spanned, Subscript, Value, VisitorMut,
    helpers::attached_token::AttachedToken,
};
use lakehouse_core::error::{Error, Result};

use super::spelling::for_each_select_mut;
use crate::parse::unsupported_at;
use crate::statement::Statement;
use crate::statement::relation::walk;

/// Parts of a time that are functions elsewhere. The others differ in where they begin to count.
const PARTS: &[&str] = &["year", "quarter", "month", "day", "hour", "minute"];

/// Functions that only have another name.
const RENAMED: &[(&str, &str)] = &[
    ("approx_count_distinct", "approx_distinct"),
    ("array_size", "cardinality"),
    ("ceiling", "ceil"),
    ("every", "bool_and"),
    ("len", "length"),
    ("rand", "random"),
    ("sign", "signum"),
    ("size", "cardinality"),
    ("variance", "var_samp"),
];

/// What to write in place of functions that are not offered.
const HINTS: &[(&str, &str)] = &[
    ("add_months", "`day + INTERVAL '1' MONTH`"),
    (
        "arg_max",
        "`max_by(value, place)`, which takes NULL values, too",
    ),
    (
        "arg_min",
        "`min_by(value, place)`, which takes NULL values, too",
    ),
    ("collect_list", "`array_agg(value)`, which takes NULLs, too"),
    ("collect_set", "`array_agg(DISTINCT value)`"),
    (
        "date_add",
        "`day + INTERVAL '1' DAY`, or a written number of days, weeks, months, quarters or years",
    ),
    (
        "date_diff",
        "units from microseconds to weeks; months and years by `year` and `month`",
    ),
    (
        "date_sub",
        "`day - INTERVAL '1' DAY`, or a written number of days",
    ),
    (
        "dateadd",
        "`day + INTERVAL '1' DAY`, or a written number of days, weeks, months, quarters or years",
    ),
    (
        "datediff",
        "units from microseconds to weeks; months and years by `year` and `month`",
    ),
    ("explode", "`unnest(list)`"),
    ("group_concat", "`string_agg(text, ',')`"),
    ("listagg", "`string_agg(text, ',' ORDER BY …)`"),
    ("locate", "`strpos(text, part)`"),
    (
        "percentile",
        "`percentile_cont(0.5) WITHIN GROUP (ORDER BY …)`",
    ),
    ("regexp_extract", "`regexp_match(text, pattern)[1]`"),
    ("sequence", "`generate_series(first, last)`"),
    ("split", "`string_to_array(text, separator)`"),
    ("typeof", "`arrow_typeof(value)`"),
];

/// Rewrites every such call of a statement.
///
/// # Errors
/// Functions that are called something else here.
pub(super) fn write_out_calls(statement: &mut Statement, state: &SessionState) -> Result<()> {
    match walk(statement, &mut Writer(state)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Writer<'a>(&'a SessionState);

impl VisitorMut for Writer<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        for_each_select_mut(&mut query.body, &mut |select| {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) = item
                    && let Some(written) = self.written_out(expr)
                {
                    let alias = Ident::with_quote('"', expr.to_string());
                    *item = SelectItem::ExprWithAlias {
                        expr: written,
                        alias,
                    };
                }
            }
        });
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Some(written) = self.written_out(expr) {
            *expr = written;
        }
        match self.refused(expr) {
            Some(error) => ControlFlow::Break(error),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Writer<'_> {
    fn is_registered(&self, name: &str) -> bool {
        let known = self.0.scalar_functions().get(name);
        // The engine's gives a list where all others give the value of the key.
        let is_own = known.is_some_and(|known| name != "element_at" || known.name() == name);
        is_own
            || self.0.aggregate_functions().contains_key(name)
            || self.0.window_functions().contains_key(name)
    }

    fn written_out(&self, expr: &Expr) -> Option<Expr> {
        let Expr::Function(function) = expr else {
            return None;
        };
        let name = lower_name(function)?;
        if self.is_registered(&name) {
            return None;
        }
        if let Some((_, own)) = RENAMED.iter().find(|(other, _)| *other == name) {
            return Some(Expr::Function(renamed(function, own)));
        }
        if let Some(written) = aggregate::written_out(&name, function) {
            return Some(written);
        }
        let arguments = plain_arguments(function)?;
        if let Some(written) = time::written_out(&name, &arguments) {
            return Some(written);
        }
        match (name.as_str(), arguments.as_slice()) {
            ("date", [time]) => Some(date_of(time)),
            (part, [time]) if PARTS.contains(&part) => Some(date_part(function, part, time)),
            ("if" | "iff", [condition, rest @ ..]) if matches!(rest.len(), 1 | 2) => {
                Some(case_of(condition, rest[0], rest.get(1).copied()))
            }
            ("element_at", [from, place]) => Some(Expr::CompoundFieldAccess {
                root: Box::new((*from).clone()),
                access_chain: vec![AccessExpr::Subscript(Subscript::Index {
                    index: (*place).clone(),
                })],
            }),
            ("mod", [number, divisor]) => Some(Expr::Nested(Box::new(Expr::BinaryOp {
                left: nested(number),
                op: BinaryOperator::Modulo,
                right: nested(divisor),
            }))),
            ("isnull", [value]) => Some(Expr::IsNull(nested(value))),
            ("isnotnull", [value]) => Some(Expr::IsNotNull(nested(value))),
            _ => None,
        }
    }

    fn refused(&self, expr: &Expr) -> Option<Error> {
        let Expr::Function(function) = expr else {
            return None;
        };
        let name = lower_name(function)?;
        let (_, hint) = HINTS.iter().find(|(other, _)| *other == name)?;
        (!self.is_registered(&name)).then(|| {
            let message = format!("{name} is not offered like that: write {hint}");
            unsupported_at(function.name.span().start, message)
        })
    }
}

/// An operand in parentheses.
fn nested(value: &Expr) -> Box<Expr> {
    Box::new(Expr::Nested(Box::new(value.clone())))
}

fn case_of(condition: &Expr, value: &Expr, other: Option<&Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition: condition.clone(),
            result: value.clone(),
        }],
        else_result: other.map(|other| Box::new(other.clone())),
    }
}

/// The call of another function with the same arguments and clauses.
fn renamed(call: &Function, name: &str) -> Function {
    let mut call = call.clone();
    call.name = ObjectName::from(vec![Ident::new(name)]);
    call
}

/// A call of a function by its name alone.
pub(super) fn plain_call(name: &str, arguments: Vec<Expr>) -> Function {
    Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(arguments_of(arguments)),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }
}

pub(super) fn lower_name(function: &Function) -> Option<String> {
    match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(name.value.to_lowercase()),
        _ => None,
    }
}

/// The arguments of a call without any clause.
pub(super) fn plain_arguments(function: &Function) -> Option<Vec<&Expr>> {
    let Function {
        name: _,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group,
    } = function
    else {
        return None;
    };
    let FunctionArgumentList {
        duplicate_treatment: None,
        args,
        clauses,
    } = list
    else {
        return None;
    };
    if !within_group.is_empty() || !clauses.is_empty() {
        return None;
    }
    let arguments = args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    arguments.collect()
}

/// Unnamed arguments.
fn arguments_of(values: Vec<Expr>) -> FunctionArgumentList {
    let unnamed = |value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value));
    FunctionArgumentList {
        duplicate_treatment: None,
        args: values.into_iter().map(unnamed).collect(),
        clauses: Vec::new(),
    }
}

fn date_of(time: &Expr) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(time.clone()),
        data_type: DataType::Date,
        array: false,
        format: None,
    }
}

fn date_part(call: &Function, part: &str, time: &Expr) -> Expr {
    let part = Expr::value(Value::SingleQuotedString(part.to_owned()));
    let mut call = renamed(call, "date_part");
    call.args = FunctionArguments::List(arguments_of(vec![part, time.clone()]));
    Expr::Function(call)
}
