//! Paths with dots whose last parts are fields of a column.

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Ident, Subscript, Value};

use super::{InScope, NamedTable, Speller};

impl Speller<'_> {
    /// How many parts of a path name a column by a table of a query around, where the others are its
    /// fields.
    pub(super) fn outer_column(&self, path: &[Ident]) -> Option<usize> {
        let (own, around) = self.scopes.split_last()?;
        let lower: Vec<String> = path.iter().map(|part| part.value.to_lowercase()).collect();
        let is_in = |scope: &Vec<InScope>, parts: usize| {
            let mut tables = scope.iter();
            tables.any(|table| table.is_named(&lower[..parts]))
        };
        let parts = (1..path.len()).find(|parts| {
            let mut scopes = around.iter().chain([own]);
            scopes.any(|scope| is_in(scope, *parts))
        })?;
        (!is_in(own, parts) && parts + 1 < path.len()).then_some(parts + 1)
    }

    /// How many parts of a path name a column, as it is spelled later, where the engine would read
    /// others of them as a table with its schema: it takes any name for a schema of any table of the
    /// query (`address.address.city` for column `city` of a table `address`).
    pub(super) fn misread_column(&self, path: &[Ident]) -> Option<usize> {
        let fewest = 3;
        if path.len() < fewest {
            return None;
        }
        let lower: Vec<String> = path.iter().map(|part| part.value.to_lowercase()).collect();
        let (own_table, column) = match self.table_of(path, path.len() - 1, None) {
            Some(NamedTable { parts, name }) => {
                (Some(parts - 1), name.map_or(parts, |name| name.len()) + 1)
            }
            None => (None, 1),
        };
        let fields = own_table.map_or(1, |table| table + 2);
        if fields >= path.len() || own_table.is_none() && !self.is_column(&lower[0]) {
            return None;
        }
        let mut tables = self.scopes.iter().flatten();
        let is_misread = tables.any(|table| {
            let mut others = (1..path.len() - 1).filter(|part| Some(*part) != own_table);
            others.any(|part| table.is_named(&lower[part..=part]))
        });
        is_misread.then_some(column)
    }

    /// Whether a table of the query, or of one around, has a column of the name.
    fn is_column(&self, lower: &str) -> bool {
        let mut tables = self.scopes.iter().flatten();
        tables.any(|table| table.columns.get(lower).is_some())
    }
}

/// A field of a column whose name has so many parts, in the form that the engine's planner takes for
/// a column of a query around.
pub(super) fn field_of(path: &[Ident], parts: usize) -> Expr {
    let (column, fields) = path.split_at(parts);
    let fields = fields.iter().map(|field| {
        let index = Expr::value(Value::SingleQuotedString(field.value.clone()));
        AccessExpr::Subscript(Subscript::Index { index })
    });
    Expr::CompoundFieldAccess {
        root: Box::new(match column {
            [only] => Expr::Identifier(only.clone()),
            more => Expr::CompoundIdentifier(more.to_vec()),
        }),
        access_chain: fields.collect(),
    }
}
