//! Walking the tables that a statement reads, with the scopes of common table expressions.

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement as DataFusionStatement};
use datafusion::sql::sqlparser::ast::{
    Ident, Insert, ObjectName, ObjectNamePart, Query, TableAlias, TableFactor, VisitMut, VisitorMut,
};
use lakehouse_core::error::{Error, Result};

use super::{SetValue, Statement};

/// What the name in a table factor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// A table or view, to be looked up.
    Table,
    /// A common table expression that is in scope here.
    CommonTable,
    /// A function that returns rows.
    Function,
}

/// Calls `visit` with every table factor that has a name (`TableFactor::Table`, and
/// `TableFactor::Function` for `LATERAL f(…)`), wherever it stands: in joins, subqueries of `FROM`
/// and of expressions, common table expressions, set operations and pipes; in the query of an
/// `INSERT`, a `CREATE TABLE … AS`, a `COPY` and an `EXPLAIN`; in what a `DELETE`, an `UPDATE` and a
/// `MERGE` read beside their target.
///
/// A factor is visited after what is inside of it, and what `visit` puts in its place is not
/// visited again.
///
/// `WITH` hides a table only where the common table can be seen: in the query it belongs to and in
/// the common tables after it. Its own body sees the outer table of that name, unless the clause
/// says `RECURSIVE`. Names are compared as the planner does: unquoted ones in lower case.
///
/// The target of a write and the name in a statement of our own (`CREATE TABLE`, `DESCRIBE`, …)
/// is no table factor and is not visited.
///
/// # Errors
/// The first error of `visit`; the walk ends there.
pub fn visit_tables_mut<F>(statement: &mut Statement, visit: F) -> Result<()>
where
    F: FnMut(&mut TableFactor, Relation) -> Result<()>,
{
    let mut scopes = Scopes {
        visit,
        queries: Vec::new(),
        renames: false,
    };
    match walk(statement, &mut scopes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Gives a name of its own to every common table that has the name of one around it. The planner
/// refuses the same name twice, though the inner one hides the outer.
pub(crate) fn rename_hiding_common_tables(statement: &mut Statement) {
    let mut scopes = Scopes {
        visit: |_: &mut TableFactor, _| Ok(()),
        queries: Vec::new(),
        renames: true,
    };
    // Nothing is refused on this walk.
    let _ = walk(statement, &mut scopes);
}

/// Leads a visitor through every syntax tree inside of a statement.
pub(crate) fn walk<V: VisitorMut>(
    statement: &mut Statement,
    visitor: &mut V,
) -> ControlFlow<V::Break> {
    match statement {
        Statement::Query(query) => query.visit(visitor),
        Statement::Explain(explain) => walk(&mut explain.statement, visitor),
        Statement::Insert(insert) => walk_insert(insert, visitor),
        Statement::Delete(delete) => delete.walk(visitor),
        Statement::Update(update) => update.walk(visitor),
        Statement::Merge(merge) => merge.walk(visitor),
        Statement::CreateTable(create) => {
            for column in &mut create.columns {
                column.default.visit(visitor)?;
            }
            create.query.visit(visitor)
        }
        Statement::Call(call) => call
            .arguments
            .iter_mut()
            .try_for_each(|argument| argument.value.visit(visitor)),
        Statement::Set(set) => match &mut set.value {
            SetValue::Expression(value) => value.visit(visitor),
            SetValue::Default => ControlFlow::Continue(()),
        },
        Statement::DataFusion(statement) => match statement.as_mut() {
            DataFusionStatement::CopyTo(copy) => match &mut copy.source {
                CopyToSource::Query(query) => query.visit(visitor),
                // The reader of COPY makes a query of a table name.
                CopyToSource::Relation(_) => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        },
        Statement::CreateNamespace(_)
        | Statement::DropNamespace(_)
        | Statement::DropTable(_)
        | Statement::AlterTable(_)
        | Statement::Show(_)
        | Statement::Describe(_)
        | Statement::Reset(_)
        | Statement::Use(_) => ControlFlow::Continue(()),
    }
}

fn walk_insert<V: VisitorMut>(insert: &mut Insert, visitor: &mut V) -> ControlFlow<V::Break> {
    insert.source.visit(visitor)
}

/// The visitor behind [`visit_tables_mut`].
struct Scopes<F> {
    visit: F,
    /// The queries around the present place, the outermost first.
    queries: Vec<Scope>,
    /// Whether common tables that hide others are renamed.
    renames: bool,
}

/// The common tables of one query.
struct Scope {
    /// As they are referred to.
    names: Vec<String>,
    /// The new names of those that were renamed.
    renamed: Vec<Option<Ident>>,
    recursive: bool,
    /// How many queries directly inside have begun. The first ones are the common tables' bodies,
    /// in order, because a `WITH` clause stands first in its query.
    begun: usize,
    /// How many of the names can be seen at the present place.
    visible: usize,
}

impl<F> Scopes<F> {
    /// New names for the common tables of a query that would hide those around it.
    fn rename(&self, query: &mut Query, names: &[String]) -> Vec<Option<Ident>> {
        let tables = query.with.iter_mut().flat_map(|with| &mut with.cte_tables);
        tables
            .zip(names)
            .map(|(cte, name)| {
                let hides = self.queries.iter().any(|scope| scope.names.contains(name));
                let new = hides.then(|| Ident {
                    value: format!("{name} ({})", self.queries.len()),
                    quote_style: Some('"'),
                    span: cte.alias.name.span,
                });
                if let Some(new) = &new {
                    cte.alias.name.clone_from(new);
                }
                new
            })
            .collect()
    }

    /// Writes the new name of a common table where it is referred to, under its old one.
    fn refer(&self, name: &mut ObjectName, alias: &mut Option<TableAlias>) {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice() else {
            return;
        };
        let known = normalised(ident);
        let new = self.queries.iter().rev().find_map(|scope| {
            let place = scope.names[..scope.visible]
                .iter()
                .rposition(|n| *n == known)?;
            Some(scope.renamed.get(place))
        });
        if let Some(Some(Some(new))) = new {
            let old = std::mem::replace(ident, new.clone());
            alias.get_or_insert_with(|| TableAlias {
                explicit: true,
                name: old,
                columns: Vec::new(),
            });
        }
    }

    fn is_common_table(&self, name: &ObjectName) -> bool {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
            return false;
        };
        let name = normalised(ident);
        self.queries
            .iter()
            .any(|scope| scope.names[..scope.visible].contains(&name))
    }
}

impl<F> VisitorMut for Scopes<F>
where
    F: FnMut(&mut TableFactor, Relation) -> Result<()>,
{
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if let Some(outer) = self.queries.last_mut() {
            outer.visible = if outer.begun < outer.names.len() {
                outer.begun + usize::from(outer.recursive)
            } else {
                outer.names.len()
            };
            outer.begun += 1;
        }
        let names: Vec<String> = query
            .with
            .iter()
            .flat_map(|with| &with.cte_tables)
            .map(|cte| normalised(&cte.alias.name))
            .collect();
        let renamed = match self.renames {
            true => self.rename(query, &names),
            false => Vec::new(),
        };
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        self.queries.push(Scope {
            names,
            renamed,
            recursive,
            begun: 0,
            visible: 0,
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.queries.pop();
        if let Some(outer) = self.queries.last_mut()
            && outer.begun >= outer.names.len()
        {
            outer.visible = outer.names.len();
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let relation = match factor {
            TableFactor::Table { args: Some(_), .. } | TableFactor::Function { .. } => {
                Relation::Function
            }
            TableFactor::Table { name, .. } if self.is_common_table(name) => Relation::CommonTable,
            TableFactor::Table { .. } => Relation::Table,
            _ => return ControlFlow::Continue(()),
        };
        if let (Relation::CommonTable, TableFactor::Table { name, alias, .. }) =
            (relation, &mut *factor)
        {
            self.refer(name, alias);
        }
        match (self.visit)(factor, relation) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// A name as the planner compares it.
fn normalised(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests;
