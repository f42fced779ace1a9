//! Joins by the names of columns, `NATURAL` and `USING`, written out before the engine plans them.
//!
//! The engine's `NATURAL` of columns that differ in case is a cross join. Of the two columns that
//! `USING` makes one, its `*` keeps the one whose table comes first in the alphabet, and a name
//! alone means the left one: `NULL` where the other side of an outer join has the row. So `NATURAL`
//! becomes `USING`, `RIGHT` becomes `LEFT`, and `*` says which tables it means.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart,
    Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
    TableWithJoins, VisitorMut, WildcardAdditionalOptions,
};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;

use super::spelling::{Spellings, join_constraint_mut, table_key, try_for_each_select_mut};
use super::unnamed::is_plain;
use crate::statement::Statement;
use crate::statement::relation::walk;

/// Writes out the joins of every query; `tables` are the columns by the keys of the tables.
pub(super) fn write_out_joins(
    statement: &mut Statement,
    tables: &HashMap<String, Spellings>,
) -> Result<()> {
    let common = HashMap::new();
    match walk(statement, &mut Writer { tables, common }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Writer<'a> {
    tables: &'a HashMap<String, Spellings>,
    /// Columns of common tables, by their names in lower case; `None` where they are not known.
    common: HashMap<String, Option<Vec<String>>>,
}

impl VisitorMut for Writer<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns = match cte.alias.columns.as_slice() {
                [] => self.columns_of_query(&cte.query),
                columns => Some(columns.iter().map(|column| folded(&column.name)).collect()),
            };
            self.common
                .insert(cte.alias.name.value.to_lowercase(), columns);
        }
        let written = try_for_each_select_mut(&mut query.body, &mut |select| {
            for table in &mut select.from {
                self.write_out(table)?;
            }
            expand_wildcard(select)?;
            select.from.iter_mut().for_each(turn_right_joins);
            Ok(())
        });
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Writer<'_> {
    fn write_out(&self, table: &mut TableWithJoins) -> Result<()> {
        self.write_out_nested(&mut table.relation)?;
        let mut left = self.columns_of(&table.relation);
        for (place, join) in table.joins.iter_mut().enumerate() {
            self.write_out_nested(&mut join.relation)?;
            if place == 0 {
                self.refuse_two_spellings(&table.relation, join)?;
            }
            let right = self.columns_of(&join.relation);
            if let Some(constraint) = join_constraint_mut(&mut join.join_operator)
                && *constraint == JoinConstraint::Natural
            {
                *constraint =
                    JoinConstraint::Using(common_columns(left.as_deref(), right.as_deref())?);
            }
            refuse_unlike(place, join)?;
            left = left.zip(right).map(|(left, right)| [left, right].concat());
        }
        Ok(())
    }

    /// The engine makes one column of two only where their names are the same.
    fn refuse_two_spellings(&self, left: &TableFactor, join: &Join) -> Result<()> {
        let stored = |factor: &TableFactor| match factor {
            TableFactor::Table { name, .. } => self.tables.get(&table_key(name)),
            _ => None,
        };
        let (Some((columns, _)), Some(left), Some(right)) =
            (using(join), stored(left), stored(&join.relation))
        else {
            return Ok(());
        };
        for column in columns.iter().filter_map(simple_name) {
            let lower = column.value.to_lowercase();
            let is_it = |name: &&String| name.to_lowercase() == lower;
            let left: Vec<&String> = left.top().iter().filter(is_it).collect();
            let right: Vec<&String> = right.top().iter().filter(is_it).collect();
            if let (Some(one), Some(other)) = (left.first(), right.first())
                && !left.iter().any(|name| right.contains(name))
            {
                return Err(Error::unsupported(format!(
                    "JOIN … USING of columns that differ in case, {} and {}, is not offered; write \
                     JOIN … ON",
                    quote(one),
                    quote(other)
                )));
            }
        }
        Ok(())
    }

    fn write_out_nested(&self, factor: &mut TableFactor) -> Result<()> {
        match factor {
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => self.write_out(table_with_joins),
            _ => Ok(()),
        }
    }

    /// The columns of a part of a `FROM`, as they are stored; `None` where they are not known.
    fn columns_of(&self, factor: &TableFactor) -> Option<Vec<String>> {
        let (TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::NestedJoin { alias, .. }) = factor
        else {
            return None;
        };
        if let Some(alias) = alias
            && !alias.columns.is_empty()
        {
            return Some(
                alias
                    .columns
                    .iter()
                    .map(|column| folded(&column.name))
                    .collect(),
            );
        }
        match factor {
            TableFactor::Table { name, .. } => match self.tables.get(&table_key(name)) {
                Some(spellings) => Some(spellings.top().to_vec()),
                None => match name.0.as_slice() {
                    [ObjectNamePart::Identifier(only)] => self
                        .common
                        .get(&only.value.to_lowercase())
                        .cloned()
                        .flatten(),
                    _ => None,
                },
            },
            TableFactor::Derived { subquery, .. } => self.columns_of_query(subquery),
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => self.columns_of_joins(table_with_joins),
            _ => None,
        }
    }

    fn columns_of_joins(&self, table: &TableWithJoins) -> Option<Vec<String>> {
        let joined = table.joins.iter().map(|join| &join.relation);
        let columns = [&table.relation].into_iter().chain(joined);
        let columns: Option<Vec<Vec<String>>> = columns.map(|part| self.columns_of(part)).collect();
        Some(columns?.concat())
    }

    fn columns_of_query(&self, query: &Query) -> Option<Vec<String>> {
        let mut body = query.body.as_ref();
        let select = loop {
            match body {
                SetExpr::Select(select) => break select,
                SetExpr::SetOperation { left, .. } => body = left,
                SetExpr::Query(query) => body = query.body.as_ref(),
                _ => return None,
            }
        };
        if !query.pipe_operators.is_empty() {
            return None;
        }
        let mut columns = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => columns.push(folded(alias)),
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => columns.push(folded(name)),
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)) => {
                    columns.push(folded(path.last()?));
                }
                SelectItem::Wildcard(options) if is_plain(options) => {
                    for table in &select.from {
                        columns.extend(self.columns_of_joins(table)?);
                    }
                }
                _ => return None,
            }
        }
        Some(columns)
    }
}

/// A name as the engine compares it.
fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// The columns that two sides have in common.
fn common_columns(left: Option<&[String]>, right: Option<&[String]>) -> Result<Vec<ObjectName>> {
    let (Some(left), Some(right)) = (left, right) else {
        return Err(Error::unsupported(
            "NATURAL JOIN of what is not a table is not offered; write JOIN … USING (…)",
        ));
    };
    let mut common = Vec::new();
    for column in right {
        let lower = column.to_lowercase();
        let same: BTreeSet<&String> = left
            .iter()
            .filter(|name| name.to_lowercase() == lower)
            .collect();
        if same.contains(column) {
            let name = Ident::with_quote('"', column);
            common.push(ObjectName(vec![ObjectNamePart::Identifier(name)]));
        } else if let Some(other) = same.first() {
            return Err(Error::unsupported(format!(
                "NATURAL JOIN of columns that differ in case, {} and {}, is not offered; write \
                 JOIN … ON",
                quote(other),
                quote(column)
            )));
        }
    }
    if common.is_empty() {
        return Err(Error::invalid(
            "NATURAL JOIN of tables without a common column; write CROSS JOIN if every pair of \
             rows is meant",
        ));
    }
    Ok(common)
}

/// What a join by names keeps when a row has no partner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Rows with partners only: both columns are the same.
    Neither,
    Left,
    Right,
    Both,
    /// One side's columns only.
    OneSide,
}

/// The columns that a join takes from both sides, and what it keeps.
fn using(join: &Join) -> Option<(&[ObjectName], Kept)> {
    let (constraint, kept) = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
            (constraint, Kept::Neither)
        }
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
            (constraint, Kept::Left)
        }
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
            (constraint, Kept::Right)
        }
        JoinOperator::FullOuter(constraint) => (constraint, Kept::Both),
        JoinOperator::LeftSemi(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::RightAnti(constraint) => (constraint, Kept::OneSide),
        // The planner refuses the others where they have a `USING`.
        _ => return None,
    };
    match constraint {
        JoinConstraint::Using(columns) => Some((columns, kept)),
        _ => None,
    }
}

/// The common column of these joins is that of neither table alone.
fn refuse_unlike(place: usize, join: &Join) -> Result<()> {
    match using(join) {
        Some((_, Kept::Right)) if place > 0 => Err(Error::unsupported(
            "RIGHT JOIN … USING after another join is not offered; write JOIN … ON",
        )),
        Some((_, Kept::Both)) => Err(Error::unsupported(
            "FULL JOIN … USING (or NATURAL) is not offered; write JOIN … ON, and \
             coalesce(a.x, b.x) for the common column",
        )),
        _ => Ok(()),
    }
}

/// `a RIGHT JOIN b` is `b LEFT JOIN a`.
fn turn_right_joins(table: &mut TableWithJoins) {
    let joined = table.joins.iter_mut().map(|join| &mut join.relation);
    for factor in [&mut table.relation].into_iter().chain(joined) {
        if let TableFactor::NestedJoin {
            table_with_joins, ..
        } = factor
        {
            turn_right_joins(table_with_joins);
        }
    }
    if let Some(join) = table.joins.first_mut()
        && let Some((columns, Kept::Right)) = using(join)
    {
        let columns = columns.to_vec();
        std::mem::swap(&mut table.relation, &mut join.relation);
        join.join_operator = JoinOperator::Left(JoinConstraint::Using(columns));
    }
}

/// Puts the tables in place of `*` where two columns of them are one.
fn expand_wildcard(select: &mut Select) -> Result<()> {
    if !select.from.iter().any(|table| any_using(table, &|_| true)) {
        return Ok(());
    }
    let mut expansion = Expansion::default();
    let is_known = select.from.iter().all(|table| expansion.add_tables(table));
    let keeps_a_side = |kept| !matches!(kept, Kept::Neither);
    let mut projection = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(options) if is_known && is_plain(&options) => {
                projection.extend(expansion.items.iter().cloned());
            }
            SelectItem::Wildcard(_)
                if select
                    .from
                    .iter()
                    .any(|table| any_using(table, &keeps_a_side)) =>
            {
                return Err(Error::unsupported(
                    "`*` with options, or of tables without names, is not offered beside an outer \
                     or semi JOIN … USING; give every table a name and write `a.*, b.*`",
                ));
            }
            other => projection.push(other),
        }
    }
    select.projection = projection;
    Ok(())
}

fn any_using(table: &TableWithJoins, is_it: &impl Fn(Kept) -> bool) -> bool {
    let nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => any_using(table_with_joins, is_it),
        _ => false,
    };
    let of_join = |join: &Join| using(join).is_some_and(|(_, kept)| is_it(kept));
    nested(&table.relation)
        || table
            .joins
            .iter()
            .any(|join| of_join(join) || nested(&join.relation))
}

/// What `*` means, table by table.
#[derive(Default)]
struct Expansion {
    items: Vec<SelectItem>,
    names: BTreeSet<String>,
}

impl Expansion {
    /// Adds the tables of a `FROM`; false where one has no name of its own.
    fn add_tables(&mut self, table: &TableWithJoins) -> bool {
        let first = self.items.len();
        let mut is_known = self.add_factor(&table.relation, &[]);
        for (place, join) in table.joins.iter().enumerate() {
            is_known &= match (&join.join_operator, using(join)) {
                (JoinOperator::LeftSemi(_) | JoinOperator::LeftAnti(_), _) => true,
                (JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_), _) => {
                    self.items.truncate(first);
                    self.add_factor(&join.relation, &[])
                }
                (_, None) => self.add_factor(&join.relation, &[]),
                (_, Some((columns, Kept::Right))) => {
                    self.items.truncate(first);
                    place == 0 && self.add_turned(&table.relation, &join.relation, columns)
                }
                (_, Some((columns, _))) => self.add_factor(&join.relation, columns),
            };
        }
        is_known
    }

    /// The tables of `left RIGHT JOIN right USING (columns)`.
    fn add_turned(
        &mut self,
        left: &TableFactor,
        right: &TableFactor,
        columns: &[ObjectName],
    ) -> bool {
        let (Some(left), Some(right)) = (name_of(left), name_of(right)) else {
            return false;
        };
        let columns_of_right = columns.iter().filter_map(simple_name).map(|column| {
            let path = vec![right.clone(), column.clone()];
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path))
        });
        self.items.extend(columns_of_right);
        self.items
            .extend([all_of(left, columns), all_of(right, columns)]);
        self.names.insert(folded(right))
    }

    /// Adds one table without the columns that stand in one before it.
    fn add_factor(&mut self, factor: &TableFactor, columns: &[ObjectName]) -> bool {
        if let TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } = factor
        {
            return columns.is_empty() && self.add_tables(table_with_joins);
        }
        let Some(name) = name_of(factor) else {
            return false;
        };
        self.items.push(all_of(name, columns));
        self.names.insert(folded(name))
    }
}

/// The name by which columns of a part of a `FROM` are qualified.
fn name_of(factor: &TableFactor) -> Option<&Ident> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(&alias.name),
            None => simple_name(name),
        },
        TableFactor::Derived { alias, .. } | TableFactor::NestedJoin { alias, .. } => {
            alias.as_ref().map(|alias| &alias.name)
        }
        _ => None,
    }
}

fn simple_name(name: &ObjectName) -> Option<&Ident> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(only)] => Some(only),
        _ => None,
    }
}

/// `table.* EXCEPT (columns)`.
fn all_of(table: &Ident, columns: &[ObjectName]) -> SelectItem {
    let mut columns = columns.iter().filter_map(simple_name).cloned();
    let opt_except = columns.next().map(|first_element| ExceptSelectItem {
        first_element,
        additional_elements: columns.collect(),
    });
    let options = WildcardAdditionalOptions {
        opt_except,
        ..Default::default()
    };
    let name = ObjectName(vec![ObjectNamePart::Identifier(table.clone())]);
    SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
}
