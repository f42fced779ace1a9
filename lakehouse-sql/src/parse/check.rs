//! Refuses clauses that sqlparser reads and DataFusion's planner drops without a word.
//!
//! An ignored clause is a wrong answer (`TABLESAMPLE` would return the whole table), so each one is
//! an error here, before any name is looked up.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Cte, Expr, Fetch, Function, FunctionArguments, GroupByExpr,
    GroupByWithModifier, Join, JoinOperator, LimitClause, OrderByKind, PipeOperator, Query, Select,
    SelectFlavor, SelectItem, SetExpr, Spanned, TableFactor, TableFunctionArgs, TableWithJoins,
    Value, ValueWithSpan, VisitorMut, WildcardAdditionalOptions, With,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use lakehouse_core::error::{Error, Result};

use super::failure::{invalid_at, unsupported_at};
use super::similar;
use crate::statement::Statement;
use crate::statement::relation::{self, Relation};

/// Walks all queries of a statement; see the module documentation.
pub(super) fn refuse_ignored_clauses(statement: &mut Statement) -> Result<()> {
    if let ControlFlow::Break(error) = relation::walk(statement, &mut Checker) {
        return Err(error);
    }
    relation::visit_tables_mut(statement, |factor, relation| match factor {
        TableFactor::Table {
            version: Some(version),
            name,
            ..
        } if relation != Relation::Table => {
            let message = format!(
                "`{version}` after {name}: only a stored table has versions, put the clause into \
                 the query that reads it"
            );
            Err(invalid_at(name.span().start, message))
        }
        _ => Ok(()),
    })
}

struct Checker;

impl VisitorMut for Checker {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let place = query.span().start;
        complete_body(&mut query.body);
        refuse(complete_fetch(query), place)?;
        refuse(ignored_in_query(query), place)?;
        let with = query.with.iter().flat_map(|with| {
            let With {
                with_token: _,
                recursive: _,
                cte_tables,
            } = with;
            cte_tables
        });
        for cte in with {
            refuse_ignored_in_cte(cte)?;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let place = expr.span().start;
        match expr {
            Expr::Function(Function { parameters, .. })
                if *parameters != FunctionArguments::None =>
            {
                refuse(Some("a second list of arguments of a function"), place)
            }
            Expr::SimilarTo { .. } => match similar::as_regex(expr) {
                Ok(()) => ControlFlow::Continue(()),
                Err(message) => ControlFlow::Break(unsupported_at(place, message)),
            },
            Expr::RLike { .. } => {
                complete_rlike(expr);
                ControlFlow::Continue(())
            }
            Expr::Collate { .. } => refuse(Some("`COLLATE`"), place),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        refuse(ignored_in_factor(factor), factor.span().start)
    }
}

fn refuse(ignored: Option<&str>, location: Location) -> ControlFlow<Error> {
    match ignored {
        Some(clause) => {
            ControlFlow::Break(unsupported_at(location, format!("{clause} is not offered")))
        }
        None => ControlFlow::Continue(()),
    }
}

/// Brings forms that the planner would take for others into those it knows: `FROM t` alone is
/// `SELECT *`, `GROUP BY a WITH ROLLUP` is `GROUP BY ROLLUP (a)`.
fn complete_body(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            if select.flavor == SelectFlavor::FromFirstNoSelect {
                select.flavor = SelectFlavor::FromFirst;
                let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
                select.projection = vec![all];
            }
            complete_group_by(&mut select.group_by);
        }
        SetExpr::SetOperation { left, right, .. } => {
            complete_body(left);
            complete_body(right);
        }
        _ => {}
    }
}

/// `a RLIKE b` (and `REGEXP`) is `a ~ b`.
fn complete_rlike(rlike: &mut Expr) {
    let Expr::RLike {
        negated,
        expr,
        pattern,
        regexp: _,
    } = rlike
    else {
        return;
    };
    let op = match negated {
        true => BinaryOperator::PGRegexNotMatch,
        false => BinaryOperator::PGRegexMatch,
    };
    *rlike = Expr::BinaryOp {
        left: expr.clone(),
        op,
        right: pattern.clone(),
    };
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
fn complete_fetch(query: &mut Query) -> Option<&'static str> {
    let Fetch {
        with_ties,
        percent,
        quantity,
    } = query.fetch.take()?;
    if with_ties {
        return Some("`FETCH … WITH TIES`");
    }
    if percent {
        return Some("`FETCH … PERCENT`");
    }
    let one = || Expr::value(Value::Number("1".to_owned(), false));
    let rows = quantity.unwrap_or_else(one);
    match &mut query.limit_clause {
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit: Some(rows),
                offset: None,
                limit_by: Vec::new(),
            });
            None
        }
        Some(LimitClause::LimitOffset {
            limit: limit @ None,
            ..
        }) => {
            *limit = Some(rows);
            None
        }
        Some(_) => Some("`LIMIT` beside `FETCH`"),
    }
}

fn complete_group_by(group_by: &mut GroupByExpr) {
    let GroupByExpr::Expressions(expressions, modifiers) = group_by else {
        return;
    };
    let grouping: fn(Vec<Vec<Expr>>) -> Expr = match modifiers.as_slice() {
        [GroupByWithModifier::Rollup] => Expr::Rollup,
        [GroupByWithModifier::Cube] => Expr::Cube,
        _ => return,
    };
    let columns = std::mem::take(expressions).into_iter();
    expressions.push(grouping(columns.map(|column| vec![column]).collect()));
    modifiers.clear();
}

fn refuse_ignored_in_cte(cte: &Cte) -> ControlFlow<Error> {
    let Cte {
        alias,
        query: _,
        from,
        materialized: _,
        closing_paren_token: _,
    } = cte;
    // In `WITH a AS (…) FROM t SELECT *` sqlparser gives `t` to the common table.
    if let Some(from) = from {
        refuse(Some("`FROM` between `WITH` and `SELECT`"), from.span.start)?;
    }
    // The planner finds common tables by the printed name, in which the dot of a quoted name and
    // the dot of a qualified table look the same.
    if alias.name.value.contains('.') {
        let ignored = Some("a dot in the name of a common table expression");
        refuse(ignored, alias.name.span.start)?;
    }
    ControlFlow::Continue(())
}

fn ignored_in_query(query: &Query) -> Option<&'static str> {
    // Every field by name: what a new version of the parser reads must be looked at here.
    let Query {
        with: _,
        body,
        order_by,
        limit_clause: _,
        fetch: _,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    let orders_by_all = order_by
        .as_ref()
        .is_some_and(|order_by| matches!(order_by.kind, OrderByKind::All(_)));
    if !locks.is_empty() {
        Some("locking rows (`FOR UPDATE`, `FOR SHARE`)")
    } else if for_clause.is_some() {
        Some("`FOR XML`, `FOR JSON` or `FOR BROWSE`")
    } else if settings.is_some() {
        Some("`SETTINGS` in a query")
    } else if format_clause.is_some() {
        Some("`FORMAT` in a query")
    } else if orders_by_all && !matches!(**body, SetExpr::Select(_)) {
        Some("`ORDER BY ALL` of anything but one `SELECT`")
    } else {
        let piped = pipe_operators.iter().find_map(ignored_in_pipe);
        ignored_in_body(body).or(piped)
    }
}

fn ignored_in_pipe(operator: &PipeOperator) -> Option<&'static str> {
    match operator {
        PipeOperator::Select { exprs } | PipeOperator::Extend { exprs } => {
            exprs.iter().find_map(ignored_in_item)
        }
        PipeOperator::Join(join) => ignored_in_join(join),
        _ => None,
    }
}

fn ignored_in_body(body: &SetExpr) -> Option<&'static str> {
    match body {
        SetExpr::Select(select) => ignored_in_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            ignored_in_body(left).or_else(|| ignored_in_body(right))
        }
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Some("a write inside of a query (`WITH … INSERT`, `UPDATE`, `DELETE`, `MERGE`)")
        }
        SetExpr::Table(_) => Some("`TABLE t` as a query (write `SELECT * FROM t`)"),
        SetExpr::Query(_) | SetExpr::Values(_) => None,
    }
}

fn ignored_in_select(select: &Select) -> Option<&'static str> {
    // Every field by name: what a new version of the parser reads must be looked at here. Those
    // without a check are planned, or refused by the planner.
    let Select {
        select_token: _,
        optimizer_hint: _,
        distinct: _,
        select_modifiers,
        top: _,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views: _,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by: _,
        distribute_by: _,
        sort_by: _,
        having: _,
        named_window: _,
        qualify: _,
        window_before_qualify: _,
        value_table_mode,
        flavor: _,
    } = select;
    if into.is_some() {
        Some("`SELECT … INTO` (write `CREATE TABLE … AS SELECT`)")
    } else if prewhere.is_some() {
        Some("`PREWHERE`")
    } else if !connect_by.is_empty() {
        Some("`CONNECT BY`")
    } else if value_table_mode.is_some() {
        Some("`SELECT AS VALUE` or `SELECT AS STRUCT`")
    } else if select_modifiers.is_some() {
        Some("a modifier between `SELECT` and the columns")
    } else if exclude.is_some() {
        Some("`EXCLUDE` without `*`")
    } else {
        let item = projection.iter().find_map(ignored_in_item);
        item.or_else(|| ignored_in_group_by(group_by))
            .or_else(|| from.iter().find_map(ignored_in_joins))
    }
}

fn ignored_in_item(item: &SelectItem) -> Option<&'static str> {
    let (SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)) = item else {
        return None;
    };
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude: _,
        opt_except: _,
        opt_replace: _,
        opt_rename,
    } = options;
    if opt_ilike.is_some() {
        Some("`* ILIKE`")
    } else if opt_rename.is_some() {
        Some("`* RENAME` (write the columns with `AS`)")
    } else {
        None
    }
}

fn ignored_in_group_by(group_by: &GroupByExpr) -> Option<&'static str> {
    let (expressions, modifiers): (&[Expr], _) = match group_by {
        GroupByExpr::All(modifiers) => (&[], modifiers),
        GroupByExpr::Expressions(expressions, modifiers) => (expressions, modifiers),
    };
    // A number is the place of a column only where it stands alone.
    let is_number = |expr: &Expr| {
        matches!(
            expr,
            Expr::Value(ValueWithSpan {
                value: Value::Number(..),
                ..
            })
        )
    };
    let has_place = expressions.iter().any(|expr| match expr {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
            sets.iter().flatten().any(is_number)
        }
        _ => false,
    });
    if !modifiers.is_empty() {
        Some("this `WITH` after `GROUP BY` (write `GROUP BY GROUPING SETS (…)`)")
    } else if has_place {
        Some("the number of a column in `ROLLUP`, `CUBE` or `GROUPING SETS` (write the column)")
    } else {
        None
    }
}

fn ignored_in_joins(table: &TableWithJoins) -> Option<&'static str> {
    table.joins.iter().find_map(ignored_in_join)
}

fn ignored_in_join(join: &Join) -> Option<&'static str> {
    if join.global {
        return Some("`GLOBAL` before `JOIN`");
    }
    match join.join_operator {
        JoinOperator::AsOf { .. } => Some("`ASOF JOIN`"),
        JoinOperator::CrossApply | JoinOperator::OuterApply => {
            Some("`APPLY` (write `JOIN LATERAL`)")
        }
        JoinOperator::StraightJoin(_) => Some("`STRAIGHT_JOIN`"),
        _ => None,
    }
}

fn ignored_in_factor(factor: &TableFactor) -> Option<&'static str> {
    match factor {
        TableFactor::Table {
            name: _,
            alias: _,
            args,
            with_hints,
            version: _,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            let settings = args.as_ref().and_then(|args| {
                let TableFunctionArgs { args: _, settings } = args;
                settings.as_ref()
            });
            if sample.is_some() {
                Some("`TABLESAMPLE`")
            } else if !partitions.is_empty() {
                Some("`PARTITION (…)` after a table name")
            } else if *with_ordinality {
                Some("`WITH ORDINALITY`")
            } else if json_path.is_some() {
                Some("a path after a table name")
            } else if !with_hints.is_empty() || !index_hints.is_empty() {
                Some("a hint after a table name")
            } else if settings.is_some() {
                Some("`SETTINGS` in a table function")
            } else {
                None
            }
        }
        TableFactor::Derived {
            sample: Some(_), ..
        } => Some("`TABLESAMPLE`"),
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => ignored_in_joins(table_with_joins),
        TableFactor::Pivot { .. } => Some("`PIVOT`"),
        TableFactor::Unpivot { .. } => Some("`UNPIVOT`"),
        TableFactor::MatchRecognize { .. } => Some("`MATCH_RECOGNIZE`"),
        TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } => {
            Some("`JSON_TABLE` or `OPENJSON`")
        }
        TableFactor::XmlTable { .. } => Some("`XMLTABLE`"),
        _ => None,
    }
}
