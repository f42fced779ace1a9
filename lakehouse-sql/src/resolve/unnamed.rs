//! Columns of a `SELECT` without a name of their own, where two would get the same one.
//!
//! The engine refuses `SELECT NULL, NULL` and `SELECT a, a`; other engines do not, and an
//! `INSERT … SELECT NULL, NULL` is everyday SQL. A repeated column gets its text and its place as
//! its name.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins, Visit, VisitMut,
    Visitor, VisitorMut, WildcardAdditionalOptions,
};

use super::spelling::{Spellings, table_key};
use crate::statement::Statement;
use crate::statement::relation::walk;

/// Gives names to the repeated columns of every `SELECT` of a statement.
///
/// With `tables`, whose columns are known by their keys, also to those that a `*` beside them shows.
pub(super) fn name_repeated_columns(
    statement: &mut Statement,
    tables: Option<&HashMap<String, Spellings>>,
) {
    let ControlFlow::Continue(()) = walk(statement, &mut Namer { tables });
}

struct Namer<'a> {
    tables: Option<&'a HashMap<String, Spellings>>,
}

impl VisitorMut for Namer<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        self.name_in_body(&mut query.body);
        ControlFlow::Continue(())
    }
}

impl Namer<'_> {
    fn name_in_body(&self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => {
                self.name_beside_wildcards(select);
                name_in_select(select);
                name_casts(select);
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.name_in_body(left);
                self.name_in_body(right);
            }
            _ => {}
        }
    }

    /// `SELECT *, id`: a column that a wildcard shows as well.
    fn name_beside_wildcards(&self, select: &mut Select) {
        let shown = self.shown(select);
        let has = |columns: &Spellings, ident: &Ident| columns.has(&ident.value);
        for (place, item) in select.projection.iter_mut().enumerate() {
            let SelectItem::UnnamedExpr(expr) = item else {
                continue;
            };
            let (column, is_shown) = match &*expr {
                Expr::Identifier(ident) => {
                    (ident, shown.iter().any(|(_, columns)| has(columns, ident)))
                }
                Expr::CompoundIdentifier(path) => match path.as_slice() {
                    [.., table, column] => {
                        let table = table.value.to_lowercase();
                        let mut named = shown.iter().filter(|(name, _)| *name == table);
                        (column, named.any(|(_, columns)| has(columns, column)))
                    }
                    _ => continue,
                },
                _ => continue,
            };
            if is_shown {
                let alias = Ident::with_quote('"', format!("{}:{}", column.value, place + 1));
                let expr = expr.clone();
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
        }
    }

    /// The tables that a select's wildcards show, by the names that qualify them.
    fn shown(&self, select: &Select) -> Vec<(String, &Spellings)> {
        let mut all = false;
        let mut qualifiers: Vec<String> = Vec::new();
        for item in &select.projection {
            match item {
                // What leaves columns out may make room for the one that is named.
                SelectItem::Wildcard(options) => all |= is_plain(options),
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) if is_plain(options) => qualifiers.extend(last_part(name)),
                _ => {}
            }
        }
        let mut shown = Vec::new();
        for table in &select.from {
            let joined = table.joins.iter().map(|join| &join.relation);
            for factor in std::iter::once(&table.relation).chain(joined) {
                let TableFactor::Table { name, alias, .. } = factor else {
                    continue;
                };
                let columns = self.tables.and_then(|tables| tables.get(&table_key(name)));
                let alias = alias.as_ref().map(|alias| alias.name.value.to_lowercase());
                if let (Some(columns), Some(name)) = (columns, alias.or_else(|| last_part(name)))
                    && (all || qualifiers.contains(&name))
                {
                    shown.push((name, columns));
                }
            }
        }
        shown
    }
}

/// Whether a wildcard shows all columns as they are.
pub(super) fn is_plain(options: &WildcardAdditionalOptions) -> bool {
    let plain = WildcardAdditionalOptions {
        wildcard_token: options.wildcard_token.clone(),
        ..WildcardAdditionalOptions::default()
    };
    *options == plain
}

fn last_part(name: &ObjectName) -> Option<String> {
    let last = name.0.last().and_then(ObjectNamePart::as_ident);
    last.map(|ident| ident.value.to_lowercase())
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
        let is_subquery = Visit::visit(&*expr, &mut Subqueries).is_break();
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

/// Names columns that differ by their casts only, or by theirs from a wildcard's: the engine leaves
/// casts out of names.
fn name_casts(select: &mut Select) {
    let has_wildcard = select.projection.iter().any(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    });
    let mut without_casts: Vec<Option<(String, bool)>> = Vec::new();
    for item in &select.projection {
        let SelectItem::UnnamedExpr(expr) = item else {
            without_casts.push(None);
            continue;
        };
        let mut bare = Bare::default();
        let mut expr = expr.clone();
        let ControlFlow::Continue(()) = VisitMut::visit(&mut expr, &mut bare);
        without_casts.push(Some((expr.to_string().to_lowercase(), bare.has_cast)));
    }
    let known = without_casts.clone();
    for (item, name) in select.projection.iter_mut().zip(without_casts) {
        let (SelectItem::UnnamedExpr(expr), Some((name, true))) = (&*item, name) else {
            continue;
        };
        let others = known.iter().flatten().filter(|(other, _)| *other == name);
        if has_wildcard || others.count() > 1 {
            let alias = Ident::with_quote('"', expr.to_string());
            let expr = expr.clone();
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
}

/// Stops at the first subquery.
struct Subqueries;

impl Visitor for Subqueries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
        ControlFlow::Break(())
    }
}

/// Takes casts off an expression, and tables off its columns.
#[derive(Default)]
struct Bare {
    has_cast: bool,
}

impl VisitorMut for Bare {
    type Break = std::convert::Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Cast { expr: inner, .. } => {
                self.has_cast = true;
                let bare = inner.as_ref().clone();
                *expr = bare;
            }
            Expr::CompoundIdentifier(path) => {
                if let Some(column) = path.pop() {
                    *expr = Expr::Identifier(column);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
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
