//! Columns of a `SELECT` without a name of their own, where two would get the same one.
//!
//! The engine refuses `SELECT NULL, NULL` and `SELECT a, a`; other engines do not, and an
//! `INSERT … SELECT NULL, NULL` is everyday SQL. A repeated column gets its text and its place as
//! its name.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins,
    VisitorMut,
};

use crate::statement::Statement;
use crate::statement::relation::walk;

/// Gives names to the repeated columns of every `SELECT` of a statement.
pub(super) fn name_repeated_columns(statement: &mut Statement) {
    let ControlFlow::Continue(()) = walk(statement, &mut Namer);
}

struct Namer;

impl VisitorMut for Namer {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        name_in_body(&mut query.body);
        ControlFlow::Continue(())
    }
}

fn name_in_body(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => name_in_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            name_in_body(left);
            name_in_body(right);
        }
        _ => {}
    }
}

fn name_in_select(select: &mut Select) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let tables = table_names(select);
    let mut columns: Vec<Column> = Vec::new();
    for (place, item) in select.projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = item else {
            continue;
        };
        let text = expr.to_string();
        let column = Column::of(expr, &tables);
        let is_twice = column
            .as_ref()
            .is_some_and(|column| columns.iter().any(|before| before.is_same(column)));
        columns.extend(column);
        // The engine calls every subquery the same.
        let is_subquery = matches!(expr, Expr::Subquery(_));
        // Case matters in texts, not in names.
        let key = match text.contains('\'') {
            true => text.clone(),
            false => text.to_lowercase(),
        };
        let is_new = seen.insert(key) && !is_twice;
        if is_new && !is_subquery {
            continue;
        }
        let name = if is_new {
            text
        } else {
            format!("{text}:{}", place + 1)
        };
        *item = SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: Ident::with_quote('"', name),
        };
    }
}

/// A column of a `SELECT` as it is written, in lower case.
struct Column {
    table: Option<String>,
    name: String,
}

impl Column {
    /// The column that an expression is; `tables` are the names that may stand before a dot, where a
    /// struct may stand too.
    fn of(expr: &Expr, tables: &[String]) -> Option<Self> {
        let (table, name) = match expr {
            Expr::Identifier(name) => (None, name),
            Expr::CompoundIdentifier(path) => match path.as_slice() {
                [.., table, name] => (Some(table.value.to_lowercase()), name),
                _ => return None,
            },
            _ => return None,
        };
        table
            .as_ref()
            .is_none_or(|table| tables.contains(table))
            .then(|| Self {
                table,
                name: name.value.to_lowercase(),
            })
    }

    /// Whether both are one column: where a name is enough for one, no other table has it.
    fn is_same(&self, other: &Self) -> bool {
        let differ = self.table.is_some() && other.table.is_some() && self.table != other.table;
        self.name == other.name && !differ
    }
}

/// The names of the tables in a `FROM`, in lower case.
fn table_names(select: &Select) -> Vec<String> {
    let mut names = Vec::new();
    select
        .from
        .iter()
        .for_each(|table| add_names(table, &mut names));
    names
}

fn add_names(table: &TableWithJoins, names: &mut Vec<String>) {
    let joined = table.joins.iter().map(|join| &join.relation);
    for factor in [&table.relation].into_iter().chain(joined) {
        let name = match factor {
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => {
                add_names(table_with_joins, names);
                continue;
            }
            TableFactor::Table { name, alias, .. } => match alias {
                Some(alias) => Some(&alias.name),
                None => name.0.last().and_then(ObjectNamePart::as_ident),
            },
            TableFactor::Derived { alias, .. } | TableFactor::NestedJoin { alias, .. } => {
                alias.as_ref().map(|alias| &alias.name)
            }
            _ => None,
        };
        names.extend(name.map(|name| name.value.to_lowercase()));
    }
}
