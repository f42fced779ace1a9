//! What queries inside of a statement show, by which their columns are found from outside.

use datafusion::sql::sqlparser::ast::{Expr, Query, SelectItem, SetExpr, TableAlias};

use super::{InScope, Speller, Spellings, as_compared};
use crate::resolve::unnamed::is_plain;

impl InScope {
    /// What a query shows, to its own `ORDER BY`: it has no name.
    pub(super) fn of_result(columns: Spellings) -> Self {
        Self {
            other: None,
            lower: String::new(),
            longer: Vec::new(),
            name: Vec::new(),
            columns,
        }
    }
}

impl Speller<'_> {
    /// The columns of a table under this alias, where it names them.
    pub(super) fn named_columns(&self, alias: Option<&TableAlias>) -> Option<Spellings> {
        let alias = alias.filter(|alias| !alias.columns.is_empty())?;
        let mut columns = Spellings::default();
        for column in &alias.columns {
            let mut name = column.name.clone();
            self.spell_alias(&mut name);
            columns.add_column(&as_compared(&name).value);
        }
        Some(columns)
    }

    /// The columns that a query will show, as far as their names can be told from its text. Its own
    /// names are not spelled yet.
    pub(super) fn columns_of_query(&self, query: &Query) -> Spellings {
        let mut columns = Spellings::default();
        let mut body = query.body.as_ref();
        let select = loop {
            match body {
                SetExpr::Select(select) => break select,
                SetExpr::SetOperation { left, .. } => body = left,
                SetExpr::Query(query) => body = query.body.as_ref(),
                _ => return columns,
            }
        };
        if query.with.is_some() || !query.pipe_operators.is_empty() {
            return columns;
        }
        let mut own = Vec::new();
        self.add_select(select, &mut own);
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => {
                    let mut name = alias.clone();
                    self.spell_alias(&mut name);
                    columns.add_column(&as_compared(&name).value);
                }
                SelectItem::UnnamedExpr(expr) => {
                    if let Some(name) = self.name_of_column(expr, &own) {
                        columns.add_column(&name);
                    }
                }
                SelectItem::Wildcard(options) if is_plain(options) => {
                    own.iter().for_each(|table| columns.merge(&table.columns));
                }
                _ => {}
            }
        }
        columns
    }

    /// The name under which a column of the tables `own` is shown.
    fn name_of_column(&self, expr: &Expr, own: &Vec<InScope>) -> Option<String> {
        let (name, qualifier) = match expr {
            Expr::Identifier(name) => (name, None),
            Expr::CompoundIdentifier(path) => {
                let (name, table) = path.split_last()?;
                let named = self.table_of(path, table.len(), Some(own))?;
                // Behind a struct it has another name.
                let is_column = named.parts == table.len();
                (is_column.then_some(name)?, table.last())
            }
            _ => return None,
        };
        let qualifier = qualifier.map(|table| table.value.to_lowercase());
        let mut name = name.clone();
        self.spell_in(Some(own), &mut name, qualifier.as_deref())
            .ok()?;
        Some(as_compared(&name).value)
    }

    /// Whether the selects of a set operation spell a name in two ways.
    pub(super) fn has_two_spellings(&self, body: &SetExpr) -> bool {
        let SetExpr::SetOperation { .. } = body else {
            return false;
        };
        let mut all = Spellings::default();
        for table in self.scope_of(body) {
            all.merge(&table.columns);
        }
        all.is_ambiguous()
    }
}

/// Puts each select of a set operation into parentheses, where it has tables of its own.
pub(super) fn part_selects(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            part_selects(left);
            part_selects(right);
        }
        SetExpr::Select(select) => {
            let select = SetExpr::Select(select.clone());
            *body = SetExpr::Query(Box::new(Query {
                with: None,
                body: Box::new(select),
                order_by: None,
                limit_clause: None,
                fetch: None,
                locks: Vec::new(),
                for_clause: None,
                settings: None,
                format_clause: None,
                pipe_operators: Vec::new(),
            }));
        }
        _ => {}
    }
}
