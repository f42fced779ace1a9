//! The expressions of a statement that changes rows, as the columns of one query.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, SelectItem, SetExpr,
    TableAlias, TableFactor, TableWithJoins, Value as SqlValue,
};
use datafusion::sql::sqlparser::parser::Parser;
use iceberg::spec::Schema;
use lakehouse_core::error::{Error, Result};

use super::assigned::{column_changes, inserted_row};
use super::qualified::qualify_one_sided;
use super::{ChangeKind, Clause, ClauseAction};
use crate::parse::DIALECT;
use crate::statement::{Delete, Merge, MergeAction, MergeClause, MergeKind, Target, Update};

/// Expressions that become columns of a query.
#[derive(Default)]
struct Items(Vec<Expr>);

impl Items {
    fn add(&mut self, value: Expr) -> usize {
        self.0.push(value);
        self.0.len() - 1
    }

    /// One row more than nothing: a query has one column at least.
    fn projection(self) -> Vec<SelectItem> {
        let mut values = self.0;
        if values.is_empty() {
            values.push(Expr::value(SqlValue::Null));
        }
        let item = |(index, expr)| SelectItem::ExprWithAlias {
            expr,
            alias: Ident::with_quote('"', format!("({index})")),
        };
        values.into_iter().enumerate().map(item).collect()
    }
}

/// The rows that go.
pub(super) fn of_delete(delete: Delete, target: &Target) -> Result<(Box<Query>, ChangeKind)> {
    let from = vec![alone(factor(target))];
    let query = query(Items::default(), from, delete.condition)?;
    Ok((query, ChangeKind::Delete))
}

/// The rows that change, with their new values.
pub(super) fn of_update(
    update: Update,
    target: &Target,
    schema: &Schema,
) -> Result<(Box<Query>, ChangeKind)> {
    let Update {
        target: _,
        assignments,
        from: others,
        condition,
    } = update;
    let mut items = Items::default();
    let changes = column_changes(assignments, target, schema, |value| items.add(value))?;
    let mut from = vec![alone(factor(target))];
    from.extend(others);
    Ok((query(items, from, condition)?, ChangeKind::Update(changes)))
}

/// The rows of target and source that belong together, and those of either that are needed alone.
pub(super) fn of_merge(
    merge: Merge,
    target: &Target,
    schema: &Schema,
) -> Result<(Box<Query>, ChangeKind)> {
    let Merge {
        target: _,
        source,
        on,
        mut clauses,
    } = merge;
    qualify_one_sided(&mut clauses, target, &source);
    let needs = |kind| clauses.iter().any(|clause| clause.kind == kind);
    let on = JoinConstraint::On(on);
    let join_operator = match (
        needs(MergeKind::NotMatchedBySource),
        needs(MergeKind::NotMatched),
    ) {
        (false, false) => JoinOperator::Inner(on),
        (true, false) => JoinOperator::LeftOuter(on),
        (false, true) => JoinOperator::RightOuter(on),
        (true, true) => JoinOperator::FullOuter(on),
    };
    let mut items = Items::default();
    let clauses = clauses
        .into_iter()
        .map(|clause| resolve_clause(clause, target, schema, &mut items))
        .collect::<Result<_>>()?;
    let from = TableWithJoins {
        relation: factor(target),
        joins: vec![Join {
            relation: source,
            global: false,
            join_operator,
        }],
    };
    Ok((query(items, vec![from], None)?, ChangeKind::Merge(clauses)))
}

fn resolve_clause(
    clause: MergeClause,
    target: &Target,
    schema: &Schema,
    items: &mut Items,
) -> Result<Clause> {
    let MergeClause {
        kind,
        condition,
        action,
        place,
    } = clause;
    let condition = condition.map(|condition| items.add(condition));
    let add = |value| items.add(value);
    let action = match action {
        MergeAction::Delete => ClauseAction::Delete,
        MergeAction::Update(assignments) => {
            ClauseAction::Update(column_changes(assignments, target, schema, add)?)
        }
        MergeAction::UpdateAll => ClauseAction::UpdateAll,
        MergeAction::Insert { columns, values } => {
            ClauseAction::Insert(inserted_row(&columns, values, schema, place, add)?)
        }
        MergeAction::InsertAll => ClauseAction::InsertAll,
    };
    Ok(Clause {
        kind,
        condition,
        action,
        place,
    })
}

fn alone(relation: TableFactor) -> TableWithJoins {
    TableWithJoins {
        relation,
        joins: Vec::new(),
    }
}

fn factor(target: &Target) -> TableFactor {
    let alias = target.alias.clone().map(|name| TableAlias {
        explicit: true,
        name,
        columns: Vec::new(),
    });
    TableFactor::Table {
        name: ObjectName::from(target.name.clone()),
        alias,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

fn query(items: Items, from: Vec<TableWithJoins>, condition: Option<Expr>) -> Result<Box<Query>> {
    let mut query = Parser::new(&DIALECT)
        .try_with_sql("SELECT NULL")
        .and_then(|mut parser| parser.parse_query())
        .map_err(|error| Error::internal(error.to_string()))?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::internal("a query that selects nothing"));
    };
    select.projection = items.projection();
    select.from = from;
    select.selection = condition;
    Ok(query)
}
