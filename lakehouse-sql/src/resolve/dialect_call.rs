//! Functions that other engines have under names of their own, written as those of this one:
//! `year(d)` is `date_part('year', d)`, `date(t)` is `CAST(t AS DATE)`, `if(a, b, c)` is
//! `CASE WHEN a THEN b ELSE c END`.
//!
//! A function that the session registered under such a name wins. A column of a `SELECT` keeps the
//! text of the call as its name.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, SelectItem,
    Value, VisitorMut, helpers::attached_token::AttachedToken,
};

use super::spelling::for_each_select_mut;
use crate::statement::Statement;
use crate::statement::relation::walk;

/// Parts of a time that are functions elsewhere. The others differ in where they begin to count.
const PARTS: &[&str] = &["year", "quarter", "month", "day", "hour", "minute"];

/// Rewrites every such call of a statement.
pub(super) fn write_out_calls(statement: &mut Statement, state: &SessionState) {
    let ControlFlow::Continue(()) = walk(statement, &mut Writer(state));
}

struct Writer<'a>(&'a SessionState);

impl VisitorMut for Writer<'_> {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
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

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if let Some(written) = self.written_out(expr) {
            *expr = written;
        }
        ControlFlow::Continue(())
    }
}

impl Writer<'_> {
    fn written_out(&self, expr: &Expr) -> Option<Expr> {
        let Expr::Function(function) = expr else {
            return None;
        };
        let (name, arguments) = plain_call(function)?;
        if self.0.scalar_functions().contains_key(&name) {
            return None;
        }
        match (name.as_str(), arguments.as_slice()) {
            ("date", [time]) => Some(date_of(time)),
            (part, [time]) if PARTS.contains(&part) => Some(date_part(function, part, time)),
            ("if", [condition, rest @ ..]) if matches!(rest.len(), 1 | 2) => Some(Expr::Case {
                case_token: AttachedToken::empty(),
                end_token: AttachedToken::empty(),
                operand: None,
                conditions: vec![CaseWhen {
                    condition: (*condition).clone(),
                    result: rest[0].clone(),
                }],
                else_result: rest.get(1).map(|other| Box::new((*other).clone())),
            }),
            _ => None,
        }
    }
}

/// Name and arguments of a call without any clause.
fn plain_call(function: &Function) -> Option<(String, Vec<&Expr>)> {
    let Function {
        name,
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
    let ([ObjectNamePart::Identifier(name)], true) = (
        name.0.as_slice(),
        within_group.is_empty() && clauses.is_empty(),
    ) else {
        return None;
    };
    let arguments: Option<Vec<&Expr>> = args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect();
    Some((name.value.to_lowercase(), arguments?))
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
    let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    let part = Expr::value(Value::SingleQuotedString(part.to_owned()));
    let mut call = call.clone();
    call.name = ObjectName::from(vec![Ident::new("date_part")]);
    call.args = FunctionArguments::List(FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![argument(part), argument(time.clone())],
        clauses: Vec::new(),
    });
    Expr::Function(call)
}
