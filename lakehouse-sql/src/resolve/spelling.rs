//! Column names without regard to case: each unquoted name is written as it is stored.
//!
//! The engine folds unquoted names to lower case and then compares them exactly. So before it plans,
//! every unquoted name that means a stored column, or an alias of the statement itself, is replaced
//! by that spelling in quotes, everywhere in the statement. Where one statement meets several
//! spellings of a name, the tables in the `FROM` of the query around decide.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, JoinConstraint, JoinOperator, ObjectNamePart, Query, Select,
    SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, VisitorMut,
};
use iceberg::spec::{NestedFieldRef, Schema, Type};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;

/// Spellings of names by their lower-case form.
#[derive(Debug, Default, Clone)]
pub(crate) struct Spellings {
    by_lower: BTreeMap<String, BTreeSet<String>>,
}

impl Spellings {
    /// The columns of a schema, nested ones too.
    pub(crate) fn of_schema(schema: &Schema) -> Self {
        let mut spellings = Self::default();
        spellings.add_fields(schema.as_struct().fields());
        spellings
    }

    /// Plain column names, of a table that is not the lake's.
    pub(crate) fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut spellings = Self::default();
        names.into_iter().for_each(|name| spellings.add(name));
        spellings
    }

    fn add_fields(&mut self, fields: &[NestedFieldRef]) {
        for field in fields {
            self.add(&field.name);
            self.add_type(&field.field_type);
        }
    }

    fn add_type(&mut self, field_type: &Type) {
        match field_type {
            Type::Struct(fields) => self.add_fields(fields.fields()),
            Type::List(list) => self.add_type(&list.element_field.field_type),
            Type::Map(map) => {
                self.add_type(&map.key_field.field_type);
                self.add_type(&map.value_field.field_type);
            }
            Type::Primitive(_) => {}
        }
    }

    fn add(&mut self, name: &str) {
        self.by_lower
            .entry(name.to_lowercase())
            .or_default()
            .insert(name.to_owned());
    }

    fn merge(&mut self, other: &Self) {
        for (lower, spellings) in &other.by_lower {
            self.by_lower
                .entry(lower.clone())
                .or_default()
                .extend(spellings.iter().cloned());
        }
    }

    fn get(&self, lower: &str) -> Option<&BTreeSet<String>> {
        self.by_lower.get(lower)
    }
}

/// Rewrites the names of one statement.
pub(crate) struct Speller<'a> {
    /// Spellings of each table by the key that stands for it in the statement.
    tables: &'a HashMap<String, Spellings>,
    all: Spellings,
    /// For each query around the present place: the tables of its `FROM`, by the name they are
    /// known under there.
    scopes: Vec<Vec<(String, Spellings)>>,
}

impl<'a> Speller<'a> {
    /// `tables`: the spellings of each table by its key, as [`table_key`] makes it.
    pub(crate) fn new(tables: &'a HashMap<String, Spellings>) -> Self {
        let mut all = Spellings::default();
        tables.values().for_each(|spellings| all.merge(spellings));
        Self {
            tables,
            all,
            scopes: Vec::new(),
        }
    }

    /// Aliases count as spellings where no stored column has the name.
    fn learn_alias(&mut self, alias: &Ident) {
        if alias.quote_style.is_none() && self.all.get(&alias.value.to_lowercase()).is_none() {
            self.all.add(&alias.value);
        }
    }

    fn spell(&self, ident: &mut Ident, qualifier: Option<&str>) -> Result<()> {
        if ident.quote_style.is_some() {
            return Ok(());
        }
        let lower = ident.value.to_lowercase();
        let Some(spellings) = self.candidates(&lower, qualifier) else {
            return Ok(());
        };
        let mut spellings = spellings.iter();
        match (spellings.next(), spellings.next()) {
            (Some(only), None) => {
                only.clone_into(&mut ident.value);
                ident.quote_style = Some('"');
                Ok(())
            }
            (Some(first), Some(second)) => Err(Error::invalid(format!(
                "column {} is ambiguous: it may mean {} or {}; write the one that is meant in quotes",
                ident.value,
                quote(first),
                quote(second)
            ))
            .with_context("line", ident.span.start.line)
            .with_context("column", ident.span.start.column)),
            _ => Ok(()),
        }
    }

    /// The spellings a name may have at the present place.
    fn candidates(&self, lower: &str, qualifier: Option<&str>) -> Option<BTreeSet<String>> {
        let everywhere = self.all.get(lower)?;
        if everywhere.len() == 1 {
            return Some(everywhere.clone());
        }
        for scope in self.scopes.iter().rev() {
            let here: BTreeSet<String> = scope
                .iter()
                .filter(|(name, _)| qualifier.is_none_or(|wanted| wanted == name))
                .filter_map(|(_, spellings)| spellings.get(lower))
                .flatten()
                .cloned()
                .collect();
            if !here.is_empty() {
                return Some(here);
            }
        }
        Some(everywhere.clone())
    }

    fn spell_path(&self, path: &mut [Ident]) -> Result<()> {
        let qualifier = path.first().map(|ident| ident.value.to_lowercase());
        let known = |name: &str| self.scopes.iter().flatten().any(|(table, _)| table == name);
        // The first part is a table's name or a struct column; the rest are columns or fields.
        let is_table = qualifier.as_deref().is_some_and(known);
        for (index, ident) in path.iter_mut().enumerate() {
            match (index, is_table) {
                (0, true) => {}
                (1, true) => self.spell(ident, qualifier.as_deref())?,
                _ => self.spell(ident, None)?,
            }
        }
        Ok(())
    }

    fn learn_select(&mut self, select: &Select) {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.learn_alias(alias);
            }
        }
        for table in &select.from {
            self.learn_factor(&table.relation);
            table
                .joins
                .iter()
                .for_each(|join| self.learn_factor(&join.relation));
        }
    }

    fn learn_factor(&mut self, factor: &TableFactor) {
        match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. } => self.learn_table_alias(alias.as_ref()),
            TableFactor::UNNEST { alias, .. } => self.learn_table_alias(alias.as_ref()),
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                self.learn_table_alias(alias.as_ref());
                self.learn_factor(&table_with_joins.relation);
                for join in &table_with_joins.joins {
                    self.learn_factor(&join.relation);
                }
            }
            _ => {}
        }
    }

    fn learn_table_alias(&mut self, alias: Option<&TableAlias>) {
        for column in alias.iter().flat_map(|alias| &alias.columns) {
            self.learn_alias(&column.name);
        }
    }

    fn spell_select(&self, select: &mut Select) -> Result<()> {
        for item in &mut select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => self.spell(alias, None)?,
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                    self.spell_wildcard(options)?;
                }
                SelectItem::UnnamedExpr(_) => {}
            }
        }
        for table in &mut select.from {
            self.spell_joins(table)?;
        }
        Ok(())
    }

    fn spell_wildcard(
        &self,
        options: &mut datafusion::sql::sqlparser::ast::WildcardAdditionalOptions,
    ) -> Result<()> {
        use datafusion::sql::sqlparser::ast::ExcludeSelectItem;
        match &mut options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => self.spell(name, None)?,
            Some(ExcludeSelectItem::Multiple(names)) => {
                names
                    .iter_mut()
                    .try_for_each(|name| self.spell(name, None))?;
            }
            None => {}
        }
        if let Some(except) = &mut options.opt_except {
            self.spell(&mut except.first_element, None)?;
            except
                .additional_elements
                .iter_mut()
                .try_for_each(|name| self.spell(name, None))?;
        }
        for replaced in options
            .opt_replace
            .iter_mut()
            .flat_map(|replace| &mut replace.items)
        {
            self.spell(&mut replaced.column_name, None)?;
        }
        Ok(())
    }

    fn spell_joins(&self, table: &mut TableWithJoins) -> Result<()> {
        self.spell_table_alias(&mut table.relation)?;
        for join in &mut table.joins {
            self.spell_table_alias(&mut join.relation)?;
            if let Some(JoinConstraint::Using(columns)) = join_constraint(&mut join.join_operator) {
                for column in columns {
                    if let [ObjectNamePart::Identifier(ident)] = column.0.as_mut_slice() {
                        self.spell(ident, None)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn spell_table_alias(&self, factor: &mut TableFactor) -> Result<()> {
        match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. } => {
                for column in alias.iter_mut().flat_map(|alias| &mut alias.columns) {
                    self.spell(&mut column.name, None)?;
                }
                Ok(())
            }
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => self.spell_joins(table_with_joins),
            _ => Ok(()),
        }
    }

    fn scope_of(&self, body: &SetExpr) -> Vec<(String, Spellings)> {
        let mut scope = Vec::new();
        for_each_select(body, &mut |select| {
            for table in &select.from {
                self.add_to_scope(&table.relation, &mut scope);
                for join in &table.joins {
                    self.add_to_scope(&join.relation, &mut scope);
                }
            }
        });
        scope
    }

    fn add_to_scope(&self, factor: &TableFactor, scope: &mut Vec<(String, Spellings)>) {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let key = table_key(name);
                let known_as = alias.as_ref().map_or_else(
                    || name.0.last().map(ToString::to_string).unwrap_or_default(),
                    |alias| alias.name.value.clone(),
                );
                let known_as = known_as.trim_matches('"').to_lowercase();
                scope.push((known_as, self.tables.get(&key).cloned().unwrap_or_default()));
            }
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => {
                self.add_to_scope(&table_with_joins.relation, scope);
                for join in &table_with_joins.joins {
                    self.add_to_scope(&join.relation, scope);
                }
            }
            TableFactor::Derived {
                alias: Some(alias), ..
            } => {
                scope.push((alias.name.value.to_lowercase(), Spellings::default()));
            }
            _ => {}
        }
    }
}

/// The key of a table factor's name, the same before and after it was parsed.
pub(crate) fn table_key(name: &datafusion::sql::sqlparser::ast::ObjectName) -> String {
    name.to_string()
}

fn join_constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => Some(constraint),
        _ => None,
    }
}

/// The selects of a query's body, set operations included; parenthesised queries have scopes of
/// their own.
fn for_each_select(body: &SetExpr, visit: &mut impl FnMut(&Select)) {
    match body {
        SetExpr::Select(select) => visit(select),
        SetExpr::SetOperation { left, right, .. } => {
            for_each_select(left, visit);
            for_each_select(right, visit);
        }
        _ => {}
    }
}

fn try_for_each_select_mut(
    body: &mut SetExpr,
    visit: &mut impl FnMut(&mut Select) -> Result<()>,
) -> Result<()> {
    match body {
        SetExpr::Select(select) => visit(select),
        SetExpr::SetOperation { left, right, .. } => {
            try_for_each_select_mut(left, visit)?;
            try_for_each_select_mut(right, visit)
        }
        _ => Ok(()),
    }
}

/// A first walk over a statement that learns every alias before any name is rewritten.
pub(crate) struct Learner<'s, 'a>(pub(crate) &'s mut Speller<'a>);

impl VisitorMut for Learner<'_, '_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.0.learn_table_alias(Some(&cte.alias));
        }
        for_each_select(&query.body, &mut |select| self.0.learn_select(select));
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Speller<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let scope = self.scope_of(&query.body);
        self.scopes.push(scope);
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            for column in &mut cte.alias.columns {
                if let Err(error) = self.spell(&mut column.name, None) {
                    return ControlFlow::Break(error);
                }
            }
        }
        match try_for_each_select_mut(&mut query.body, &mut |select| self.spell_select(select)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let spelled = match expr {
            Expr::Identifier(ident) => self.spell(ident, None),
            Expr::CompoundIdentifier(path) => self.spell_path(path),
            Expr::CompoundFieldAccess { access_chain, .. } => {
                access_chain.iter_mut().try_for_each(|access| match access {
                    AccessExpr::Dot(Expr::Identifier(ident)) => self.spell(ident, None),
                    _ => Ok(()),
                })
            }
            _ => Ok(()),
        };
        match spelled {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
