//! Column names without regard to case: each unquoted name is written as it is stored.
//!
//! The engine folds unquoted names to lower case and then compares them exactly. So before it plans,
//! every unquoted name that means a stored column, or an alias of the statement itself, is replaced
//! by that spelling in quotes, everywhere in the statement. Where one statement meets several
//! spellings of a name, the tables in the `FROM` of the query around decide.

mod field_path;
mod literal;
mod shown;
mod spellings;

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins, Value,
    VisitorMut,
};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;

use crate::constant::keep_zone;

use field_path::field_of;
pub(super) use literal::decimal;
use literal::{exact_number, keep_nanoseconds};
use shown::part_selects;
pub(crate) use spellings::Spellings;

/// Rewrites the names of one statement.
pub(crate) struct Speller<'a> {
    /// Spellings of each table by the key that stands for it in the statement.
    tables: &'a HashMap<String, Spellings>,
    all: Spellings,
    /// Aliases in quotes, which mean themselves.
    quoted: BTreeSet<String>,
    /// The columns of common tables, as far as they are known, by their names in lower case.
    common: HashMap<String, Spellings>,
    /// For each query around the present place: the tables of its `FROM`.
    scopes: Vec<Vec<InScope>>,
}

/// A table of a `FROM`, as column names of that query may qualify themselves by it.
struct InScope {
    /// Its name or alias in lower case.
    lower: String,
    /// What stands for it beside that: `t` or `branch_b` for `t.branch_b`.
    other: Option<String>,
    /// Its longer names in lower case, `namespace.table` and `catalog.namespace.table`.
    longer: Vec<String>,
    /// Its name or alias as the engine compares it.
    name: Vec<Ident>,
    columns: Spellings,
}

impl InScope {
    fn new(alias: Option<&Ident>, table: &[ObjectNamePart], columns: Spellings) -> Option<Self> {
        let parts: Vec<&Ident> = table.iter().filter_map(ObjectNamePart::as_ident).collect();
        let typed = alias.or(parts.last().copied())?;
        let lower = typed.value.to_lowercase();
        let qualifiers = parts.len().saturating_sub(1);
        let longer = (0..qualifiers).map(|first| {
            let parts = parts[first..qualifiers].iter().map(|part| &*part.value);
            let parts: Vec<&str> = parts.chain([typed.value.as_str()]).collect();
            parts.join(".").to_lowercase()
        });
        let name = match alias {
            Some(alias) => vec![as_compared(alias)],
            None => parts.iter().map(|part| as_compared(part)).collect(),
        };
        Some(Self {
            other: columns.other_name(&lower).map(str::to_owned),
            lower,
            longer: longer.collect(),
            name,
            columns,
        })
    }

    /// Whether the parts of a path, in lower case, name this table.
    fn is_named(&self, path: &[String]) -> bool {
        match path {
            [only] => *only == self.lower || self.other.as_ref() == Some(only),
            more => self.longer.contains(&more.join(".")),
        }
    }
}

/// The engine folds what stands without quotes; stored names stand in quotes by now.
fn as_compared(ident: &Ident) -> Ident {
    let value = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    };
    Ident {
        value,
        quote_style: Some('"'),
        span: ident.span,
    }
}

/// The beginning of a path that names a table.
struct NamedTable<'a> {
    /// How many parts of the path.
    parts: usize,
    /// The table's name for the engine, where only one table is meant.
    name: Option<&'a Vec<Ident>>,
}

impl<'a> Speller<'a> {
    /// `tables`: the spellings of each table by its key, as [`table_key`] makes it.
    pub(crate) fn new(tables: &'a HashMap<String, Spellings>) -> Self {
        let mut all = Spellings::default();
        tables.values().for_each(|spellings| all.merge(spellings));
        Self {
            tables,
            all,
            quoted: BTreeSet::new(),
            common: HashMap::new(),
            scopes: Vec::new(),
        }
    }

    /// Aliases count as spellings where no stored column has the name.
    fn learn_alias(&mut self, alias: &Ident) {
        if alias.quote_style.is_some() {
            self.quoted.insert(alias.value.clone());
        } else if self.all.get(&alias.value.to_lowercase()).is_none() {
            self.all.add(&alias.value);
        }
    }

    fn spell(&self, ident: &mut Ident, qualifier: Option<&str>) -> Result<()> {
        self.spell_in(None, ident, qualifier)
    }

    /// A name that is given here and looked up elsewhere: as the column of that name, if there is
    /// one spelling of it only.
    fn spell_alias(&self, ident: &mut Ident) {
        if ident.quote_style.is_some() {
            return;
        }
        let Some(spellings) = self.all.get(&ident.value.to_lowercase()) else {
            return;
        };
        let mut spellings = spellings.iter();
        ident.value = match (spellings.next(), spellings.next()) {
            (Some(only), None) => only.clone(),
            _ => ident.value.to_lowercase(),
        };
        ident.quote_style = Some('"');
    }

    /// Spells a name among the tables `own`, which are nearer than those around.
    fn spell_in(
        &self,
        own: Option<&Vec<InScope>>,
        ident: &mut Ident,
        qualifier: Option<&str>,
    ) -> Result<()> {
        let lower = ident.value.to_lowercase();
        let Some(spellings) = self.candidates(own, &lower, qualifier) else {
            return Ok(());
        };
        // In quotes an exact match wins; only where there is none, case does not matter.
        let is_exact = self.quoted.contains(&ident.value) || spellings.contains(&ident.value);
        if ident.quote_style.is_some() && (is_exact || spellings.len() > 1) {
            return Ok(());
        }
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

    /// The spellings a name may have at the present place: those of the nearest tables that have it.
    fn candidates(
        &self,
        own: Option<&Vec<InScope>>,
        lower: &str,
        qualifier: Option<&str>,
    ) -> Option<BTreeSet<String>> {
        for scope in own.into_iter().chain(self.scopes.iter().rev()) {
            let here: BTreeSet<String> = scope
                .iter()
                .filter(|table| qualifier.is_none_or(|wanted| wanted == table.lower))
                .filter_map(|table| table.columns.get(lower))
                .flatten()
                .cloned()
                .collect();
            if !here.is_empty() {
                return Some(here);
            }
        }
        self.all.get(lower).cloned()
    }

    fn spell_path(&self, path: &mut Vec<Ident>) -> Result<()> {
        // The first parts are a table's name or a struct column; the rest are columns or fields.
        let longest = path.len().saturating_sub(1);
        let Some(table) = self.table_of(path, longest, None) else {
            return path.iter_mut().try_for_each(|part| self.spell(part, None));
        };
        let named = table.name.and_then(|name| name.last());
        let qualifier = named.unwrap_or(&path[table.parts - 1]).value.to_lowercase();
        let mut columns = path.split_off(table.parts);
        for (index, column) in columns.iter_mut().enumerate() {
            let qualifier = (index == 0).then_some(qualifier.as_str());
            self.spell(column, qualifier)?;
        }
        if let Some(name) = table.name {
            // Errors show the place of the name as typed.
            let span = path[0].span;
            path.clone_from(name);
            path.iter_mut().for_each(|part| part.span = span);
        }
        path.append(&mut columns);
        Ok(())
    }

    /// A field behind a dot (`list[1].field`), in the form that the engine's planner takes.
    fn spell_field(&self, field: &mut Expr) -> Result<()> {
        if let Expr::Identifier(ident) = field {
            self.spell(ident, None)?;
            *field = Expr::value(Value::SingleQuotedString(ident.value.clone()));
        }
        Ok(())
    }

    /// The table around that a path begins with, by at most `longest` of its parts; `own` are the
    /// tables nearest to it.
    fn table_of<'t>(
        &'t self,
        path: &[Ident],
        longest: usize,
        own: Option<&'t Vec<InScope>>,
    ) -> Option<NamedTable<'t>> {
        let lower: Vec<String> = path.iter().map(|part| part.value.to_lowercase()).collect();
        (1..=longest).find_map(|parts| {
            let mut around = own.into_iter().chain(self.scopes.iter().rev());
            let tables = around.find_map(|tables| {
                let named = tables
                    .iter()
                    .filter(|table| table.is_named(&lower[..parts]));
                let named: Vec<&InScope> = named.collect();
                (!named.is_empty()).then_some(named)
            })?;
            // Of several that differ in case the engine's own rules choose.
            let name = match tables.as_slice() {
                [only] => Some(&only.name),
                _ => None,
            };
            Some(NamedTable { parts, name })
        })
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
        let mut own = Vec::new();
        self.add_select(select, &mut own);
        for item in &mut select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => self.spell_alias(alias),
                SelectItem::Wildcard(options) => self.spell_wildcard(options)?,
                SelectItem::QualifiedWildcard(table, options) => {
                    if let SelectItemQualifiedWildcardKind::ObjectName(name) = table {
                        self.spell_table(name, Some(&own));
                    }
                    self.spell_wildcard(options)?;
                }
                SelectItem::UnnamedExpr(expr) => {
                    if let Some(exact) = exact_number(expr)? {
                        // The column is called as it was typed.
                        let alias = Ident::with_quote('"', expr.to_string());
                        *item = SelectItem::ExprWithAlias { expr: exact, alias };
                    }
                }
            }
        }
        for table in &mut select.from {
            self.spell_joins(table)?;
        }
        Ok(())
    }

    /// The table before `.*`, as the engine compares it.
    fn spell_table(&self, name: &mut ObjectName, own: Option<&Vec<InScope>>) {
        let path = name.0.iter().map(|part| part.as_ident().cloned());
        if let Some(path) = path.collect::<Option<Vec<_>>>()
            && let Some(table) = self.table_of(&path, path.len(), own)
            && table.parts == path.len()
            && let Some(parts) = table.name
        {
            name.0 = parts
                .iter()
                .cloned()
                .map(ObjectNamePart::Identifier)
                .collect();
        }
    }

    /// `count(t.*)`.
    fn spell_wildcard_argument(&self, function: &mut Function) {
        let FunctionArguments::List(list) = &mut function.args else {
            return;
        };
        for argument in &mut list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) = argument {
                self.spell_table(name, None);
            }
        }
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
        self.spell_factor(&mut table.relation)?;
        for join in &mut table.joins {
            self.spell_factor(&mut join.relation)?;
            if let Some(JoinConstraint::Using(columns)) =
                join_constraint_mut(&mut join.join_operator)
            {
                for column in columns {
                    if let [ObjectNamePart::Identifier(ident)] = column.0.as_mut_slice() {
                        self.spell(ident, None)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn spell_factor(&self, factor: &mut TableFactor) -> Result<()> {
        match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. } => {
                if let Some(alias) = alias {
                    self.spell_table_alias(alias);
                }
                Ok(())
            }
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => self.spell_joins(table_with_joins),
            _ => Ok(()),
        }
    }

    fn spell_table_alias(&self, alias: &mut TableAlias) {
        for column in &mut alias.columns {
            self.spell_alias(&mut column.name);
        }
    }

    fn scope_of(&self, body: &SetExpr) -> Vec<InScope> {
        let mut scope = Vec::new();
        for_each_select(body, &mut |select| self.add_select(select, &mut scope));
        scope
    }

    fn add_select(&self, select: &Select, scope: &mut Vec<InScope>) {
        for table in &select.from {
            self.add_to_scope(&table.relation, scope);
            for join in &table.joins {
                self.add_to_scope(&join.relation, scope);
            }
        }
    }

    fn add_to_scope(&self, factor: &TableFactor, scope: &mut Vec<InScope>) {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let columns = self
                    .named_columns(alias.as_ref())
                    .or_else(|| self.tables.get(&table_key(name)).cloned())
                    .or_else(|| match name.0.as_slice() {
                        [ObjectNamePart::Identifier(only)] => {
                            self.common.get(&only.value.to_lowercase()).cloned()
                        }
                        _ => None,
                    })
                    .unwrap_or_default();
                let alias = alias.as_ref().map(|alias| &alias.name);
                scope.extend(InScope::new(alias, &name.0, columns));
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
                alias, subquery, ..
            } => {
                let columns = self
                    .named_columns(alias.as_ref())
                    .unwrap_or_else(|| self.columns_of_query(subquery));
                match alias {
                    Some(alias) => scope.extend(InScope::new(Some(&alias.name), &[], columns)),
                    None => scope.push(InScope::of_result(columns)),
                }
            }
            _ => {}
        }
    }
}

/// The key of a table factor's name, the same before and after it was parsed.
pub(crate) fn table_key(name: &ObjectName) -> String {
    name.to_string()
}

/// The condition of a join, for those that have one.
pub(super) fn join_constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
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

pub(super) fn join_constraint_mut(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
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
pub(super) fn for_each_select(body: &SetExpr, visit: &mut impl FnMut(&Select)) {
    match body {
        SetExpr::Select(select) => visit(select),
        SetExpr::SetOperation { left, right, .. } => {
            for_each_select(left, visit);
            for_each_select(right, visit);
        }
        _ => {}
    }
}

/// As [`for_each_select`], for changes.
pub(super) fn try_for_each_select_mut(
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

/// As [`for_each_select`], for changes that cannot fail.
pub(super) fn for_each_select_mut(body: &mut SetExpr, visit: &mut impl FnMut(&mut Select)) {
    match body {
        SetExpr::Select(select) => visit(select),
        SetExpr::SetOperation { left, right, .. } => {
            for_each_select_mut(left, visit);
            for_each_select_mut(right, visit);
        }
        _ => {}
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
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            self.spell_table_alias(&mut cte.alias);
            let columns = self.named_columns(Some(&cte.alias));
            let columns = columns.unwrap_or_else(|| self.columns_of_query(&cte.query));
            let name = cte.alias.name.value.to_lowercase();
            self.common.insert(name, columns);
        }
        let mut scope = self.scope_of(&query.body);
        if self.has_two_spellings(&query.body) {
            scope = vec![InScope::of_result(self.columns_of_query(query))];
            part_selects(&mut query.body);
        }
        self.scopes.push(scope);
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
            Expr::CompoundIdentifier(path) => {
                let misread = self.misread_column(path);
                let spelled = self.spell_path(path);
                if let Some(parts) = misread.or_else(|| self.outer_column(path)) {
                    *expr = field_of(path, parts);
                }
                spelled
            }
            Expr::CompoundFieldAccess { access_chain, .. } => {
                // Up to the first subscript the dots belong to the column's own name.
                let mut is_field = false;
                access_chain.iter_mut().try_for_each(|access| match access {
                    AccessExpr::Dot(field) if is_field => self.spell_field(field),
                    AccessExpr::Dot(Expr::Identifier(ident)) => self.spell(ident, None),
                    AccessExpr::Dot(_) => Ok(()),
                    AccessExpr::Subscript(_) => {
                        is_field = true;
                        Ok(())
                    }
                })
            }
            Expr::Function(function) => {
                self.spell_wildcard_argument(function);
                Ok(())
            }
            Expr::TypedString(typed) => {
                keep_nanoseconds(typed);
                keep_zone(typed);
                Ok(())
            }
            Expr::Value(_) | Expr::UnaryOp { .. } => exact_number(expr).map(|exact| {
                if let Some(exact) = exact {
                    *expr = exact;
                }
            }),
            _ => Ok(()),
        };
        match spelled {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
