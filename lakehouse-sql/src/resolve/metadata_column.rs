//! Metadata columns of tables: there for a statement that names them, hidden from every `*`.
//!
//! The engine knows no hidden columns: what a table's provider has, `*` shows. So a table gets the
//! metadata columns that its statement names and no others, and where such a table stands in a
//! `FROM`, each `*` of that query leaves them out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, ExcludeSelectItem, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator,
    ObjectName, ObjectNamePart, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins, VisitorMut,
    WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::lake::FoundTable;
use lakehouse_core::scan::MetadataColumn;

use super::spelling::{for_each_select, join_constraint, table_key};
use super::unnamed::is_plain;
use crate::statement::Statement;
use crate::statement::relation::walk;

/// What a table's names say about metadata columns.
#[derive(Debug, Default, Clone)]
pub(super) struct Offer {
    /// The metadata columns that the table can have.
    pub(super) offered: Vec<MetadataColumn>,
    /// Those whose names its own columns have.
    pub(super) hidden: Vec<MetadataColumn>,
}

impl Offer {
    /// What a table of the lake offers.
    pub(super) fn of(found: &FoundTable) -> Self {
        let offered = MetadataColumn::of_table(&found.table);
        let fields = found.table.schema().as_struct().fields();
        let names = fields.iter().map(|field| field.name.as_str());
        Self {
            offered,
            hidden: names.filter_map(MetadataColumn::from_name).collect(),
        }
    }
}

/// Metadata columns by the key of the table that they are wanted of.
pub(super) type Wanted = BTreeMap<String, BTreeSet<MetadataColumn>>;

/// Finds the metadata columns that a statement names and hides them from its wildcards, with those
/// that are `wanted` anyway.
///
/// # Errors
/// [`lakehouse_core::error::ErrorKind::Unsupported`] where `*` or `NATURAL` cannot be told to leave
/// them out.
pub(super) fn name_metadata_columns(
    statement: &mut Statement,
    offers: &HashMap<String, Offer>,
    wanted: Wanted,
) -> Result<Wanted> {
    let mut finder = Finder {
        offers,
        scopes: Vec::new(),
        aliased: HashSet::new(),
        wanted,
    };
    let ControlFlow::Continue(()) = walk(statement, &mut finder);
    let wanted = finder.wanted;
    if !wanted.is_empty()
        && let ControlFlow::Break(error) = walk(statement, &mut Hider { wanted: &wanted })
    {
        return Err(error);
    }
    Ok(wanted)
}

/// The metadata column that an identifier means when nothing else has its name.
fn named(ident: &Ident) -> Option<MetadataColumn> {
    match ident.quote_style {
        Some(_) => MetadataColumn::from_name(&ident.value),
        None => MetadataColumn::from_name(&ident.value.to_lowercase()),
    }
}

/// One relation of a `FROM`: the name it is qualified by, and its key when it is a named table.
struct Relation {
    name: String,
    key: Option<String>,
}

impl Relation {
    fn of(factor: &TableFactor) -> Option<Self> {
        let (alias, key) = match factor {
            TableFactor::Table { name, alias, .. } => (alias.as_ref(), Some(name)),
            TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => (alias.as_ref(), None),
            TableFactor::UNNEST { alias, .. } => (alias.as_ref(), None),
            _ => (None, None),
        };
        let last = key
            .and_then(|name| name.0.last())
            .and_then(ObjectNamePart::as_ident);
        let name = alias.map(|alias| &alias.name).or(last)?;
        Some(Self {
            name: name.value.to_lowercase(),
            key: key.map(table_key),
        })
    }
}

/// Calls `visit` for each factor of a `FROM`, those inside of parentheses too.
fn for_each_factor<'a>(tables: &'a [TableWithJoins], visit: &mut impl FnMut(&'a TableFactor)) {
    for table in tables {
        let joined = table.joins.iter().map(|join| &join.relation);
        for factor in std::iter::once(&table.relation).chain(joined) {
            match factor {
                TableFactor::NestedJoin {
                    table_with_joins,
                    alias: None,
                } => for_each_factor(std::slice::from_ref(table_with_joins.as_ref()), visit),
                other => visit(other),
            }
        }
    }
}

struct Finder<'a> {
    offers: &'a HashMap<String, Offer>,
    /// For each query around the present place: the relations of its `FROM`.
    scopes: Vec<Vec<Relation>>,
    /// Places of names behind GROUP BY and ORDER BY that mean an alias of the same query.
    aliased: HashSet<Location>,
    wanted: Wanted,
}

impl Finder<'_> {
    /// A name without qualifier means the innermost query that has it.
    fn unqualified(&mut self, column: MetadataColumn) {
        for scope in self.scopes.iter().rev() {
            let keys = || scope.iter().filter_map(|relation| relation.key.as_ref());
            let offers = || keys().filter_map(|key| Some((key, self.offers.get(key)?)));
            if offers().any(|(_, offer)| offer.hidden.contains(&column)) {
                return;
            }
            let hosts: Vec<&String> = offers()
                .filter(|(_, offer)| offer.offered.contains(&column))
                .map(|(key, _)| key)
                .collect();
            for key in &hosts {
                self.wanted
                    .entry((*key).clone())
                    .or_default()
                    .insert(column);
            }
            if !hosts.is_empty() {
                return;
            }
        }
    }

    fn qualified(&mut self, qualifier: &Ident, column: MetadataColumn) {
        let qualifier = qualifier.value.to_lowercase();
        let around = self.scopes.iter().rev();
        let found =
            around.filter_map(|scope| scope.iter().find(|relation| relation.name == qualifier));
        if let Some(key) = found.map(|relation| relation.key.as_ref()).next().flatten()
            && let Some(offer) = self.offers.get(key)
            && offer.offered.contains(&column)
        {
            self.wanted.entry(key.clone()).or_default().insert(column);
        }
    }

    /// The first part of a path that names a metadata column counts; what follows are its fields.
    fn path(&mut self, path: &[&Ident]) {
        let found = path
            .iter()
            .enumerate()
            .find_map(|(index, ident)| Some((index, named(ident)?)));
        match found {
            Some((0, column)) => self.unqualified(column),
            Some((index, column)) => self.qualified(path[index - 1], column),
            None => {}
        }
    }

    fn note_aliases(&mut self, query: &Query) {
        let mut aliases: HashSet<MetadataColumn> = HashSet::new();
        let mut grouped: Vec<&Expr> = Vec::new();
        if let Some(OrderByKind::Expressions(expressions)) =
            query.order_by.as_ref().map(|order| &order.kind)
        {
            grouped.extend(expressions.iter().map(|order| &order.expr));
        }
        let mut selects: Vec<&Select> = Vec::new();
        collect_selects(&query.body, &mut selects);
        for select in selects {
            for item in &select.projection {
                if let SelectItem::ExprWithAlias { alias, .. } = item {
                    aliases.extend(named(alias));
                }
            }
            if let GroupByExpr::Expressions(expressions, _) = &select.group_by {
                grouped.extend(expressions);
            }
        }
        for expr in grouped {
            if let Expr::Identifier(ident) = expr
                && named(ident).is_some_and(|column| aliases.contains(&column))
            {
                self.aliased.insert(ident.span.start);
            }
        }
    }
}

fn collect_selects<'a>(body: &'a SetExpr, selects: &mut Vec<&'a Select>) {
    match body {
        SetExpr::Select(select) => selects.push(select),
        SetExpr::SetOperation { left, right, .. } => {
            collect_selects(left, selects);
            collect_selects(right, selects);
        }
        _ => {}
    }
}

impl VisitorMut for Finder<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let mut scope = Vec::new();
        let mut using = Vec::new();
        for_each_select(&query.body, &mut |select| {
            for_each_factor(&select.from, &mut |factor| {
                scope.extend(Relation::of(factor))
            });
            for join in select.from.iter().flat_map(|table| &table.joins) {
                if let Some(JoinConstraint::Using(columns)) = join_constraint(&join.join_operator) {
                    using.extend(columns.iter().filter_map(using_column));
                }
            }
        });
        self.scopes.push(scope);
        self.note_aliases(query);
        using
            .into_iter()
            .for_each(|column| self.unqualified(column));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Identifier(ident) if !self.aliased.contains(&ident.span.start) => {
                self.path(&[ident]);
            }
            Expr::CompoundIdentifier(path) => self.path(&path.iter().collect::<Vec<_>>()),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let mut path: Vec<&Ident> = match root.as_ref() {
                    Expr::Identifier(ident) => vec![ident],
                    // The root is visited by itself.
                    _ => return ControlFlow::Continue(()),
                };
                path.extend(access_chain.iter().map_while(|access| match access {
                    AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident),
                    _ => None,
                }));
                self.path(&path);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn using_column(name: &ObjectName) -> Option<MetadataColumn> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => named(ident),
        _ => None,
    }
}

/// Leaves the metadata columns out of wildcards.
struct Hider<'a> {
    wanted: &'a Wanted,
}

/// A relation that a `*` shows, with the metadata columns it must not show.
struct Shown {
    /// The name it may be qualified by.
    qualifier: Option<ObjectName>,
    hidden: Vec<MetadataColumn>,
    is_table: bool,
}

impl Hider<'_> {
    fn shown(&self, factor: &TableFactor) -> Shown {
        let (name, alias) = match factor {
            TableFactor::Table { name, alias, .. } => (Some(name), alias.as_ref()),
            TableFactor::Derived { alias, .. } => (None, alias.as_ref()),
            _ => (None, None),
        };
        let hidden = name
            .and_then(|name| self.wanted.get(&table_key(name)))
            .into_iter()
            .flatten()
            .copied();
        let by_alias = alias.map(|alias| ObjectName::from(vec![alias.name.clone()]));
        Shown {
            qualifier: by_alias.or_else(|| name.cloned()),
            hidden: hidden.collect(),
            is_table: name.is_some(),
        }
    }

    /// The relations whose columns a select's `*` shows, in order.
    fn all_shown(&self, tables: &[TableWithJoins]) -> Vec<Shown> {
        let mut shown = Vec::new();
        for table in tables {
            let from = shown.len();
            self.show_factor(&table.relation, &mut shown);
            for join in &table.joins {
                match &join.join_operator {
                    // Only the columns of one side come out.
                    JoinOperator::Semi(_)
                    | JoinOperator::LeftSemi(_)
                    | JoinOperator::Anti(_)
                    | JoinOperator::LeftAnti(_) => continue,
                    JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => {
                        shown.truncate(from);
                    }
                    _ => {}
                }
                self.show_factor(&join.relation, &mut shown);
            }
        }
        shown
    }

    fn show_factor(&self, factor: &TableFactor, shown: &mut Vec<Shown>) {
        match factor {
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => shown.extend(self.all_shown(std::slice::from_ref(table_with_joins.as_ref()))),
            other => shown.push(self.shown(other)),
        }
    }

    fn hide_in_body(&self, body: &mut SetExpr) -> Result<()> {
        match body {
            SetExpr::Select(select) => self.hide_in_select(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.hide_in_body(left)?;
                self.hide_in_body(right)
            }
            _ => Ok(()),
        }
    }

    fn hide_in_select(&self, select: &mut Select) -> Result<()> {
        let shown = self.all_shown(&select.from);
        let hosts = shown
            .iter()
            .filter(|shown| !shown.hidden.is_empty())
            .count();
        if hosts == 0 {
            return Ok(());
        }
        let constraints = || {
            let joins = select.from.iter().flat_map(|table| &table.joins);
            joins.filter_map(|join| join_constraint(&join.join_operator))
        };
        let is_natural = constraints().any(|on| matches!(on, JoinConstraint::Natural));
        if is_natural && (hosts > 1 || shown.iter().any(|shown| !shown.is_table)) {
            return Err(Error::unsupported(
                "NATURAL JOIN of a table whose metadata columns are named would join by them too; \
                 write JOIN … USING with the columns that are meant",
            ));
        }
        let is_using = constraints().any(|on| matches!(on, JoinConstraint::Using(_)));
        let projection = std::mem::take(&mut select.projection);
        for item in projection {
            match item {
                SelectItem::Wildcard(mut options) if hosts == 1 => {
                    let hidden = shown.iter().flat_map(|shown| &shown.hidden);
                    exclude(&mut options, hidden);
                    select.projection.push(SelectItem::Wildcard(options));
                }
                SelectItem::Wildcard(options) => {
                    if is_using || !is_plain(&options) {
                        return Err(several_tables());
                    }
                    for shown in &shown {
                        let qualifier = shown.qualifier.clone().ok_or_else(several_tables)?;
                        let mut options = options.clone();
                        exclude(&mut options, &shown.hidden);
                        let kind = SelectItemQualifiedWildcardKind::ObjectName(qualifier);
                        let item = SelectItem::QualifiedWildcard(kind, options);
                        select.projection.push(item);
                    }
                }
                SelectItem::QualifiedWildcard(kind, mut options) => {
                    if let SelectItemQualifiedWildcardKind::ObjectName(name) = &kind
                        && let Some(shown) = shown.iter().find(|shown| shown.is_named(name))
                    {
                        exclude(&mut options, &shown.hidden);
                    }
                    select
                        .projection
                        .push(SelectItem::QualifiedWildcard(kind, options));
                }
                other => select.projection.push(other),
            }
        }
        Ok(())
    }
}

impl Shown {
    fn is_named(&self, name: &ObjectName) -> bool {
        let part = |name: &ObjectName| {
            let last = name.0.last().and_then(ObjectNamePart::as_ident);
            last.map(|ident| ident.value.to_lowercase())
        };
        self.qualifier
            .as_ref()
            .is_some_and(|own| part(own) == part(name))
    }
}

fn several_tables() -> Error {
    Error::unsupported(
        "`*` of several tables whose metadata columns are named is not offered here; write \
         `table.*` for each of them",
    )
}

fn exclude<'a>(
    options: &mut WildcardAdditionalOptions,
    hidden: impl IntoIterator<Item = &'a MetadataColumn>,
) {
    let mut excluded = match options.opt_exclude.take() {
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        Some(ExcludeSelectItem::Multiple(names)) => names,
        None => Vec::new(),
    };
    let except = options.opt_except.iter();
    let except: Vec<&Ident> = except
        .flat_map(|except| {
            std::iter::once(&except.first_element).chain(&except.additional_elements)
        })
        .collect();
    for column in hidden {
        let name = column.name();
        let is_known = excluded
            .iter()
            .chain(except.iter().copied())
            .any(|own| own.value == name);
        if !is_known {
            excluded.push(Ident::with_quote('"', name));
        }
    }
    if !excluded.is_empty() {
        options.opt_exclude = Some(ExcludeSelectItem::Multiple(excluded));
    }
}

impl VisitorMut for Hider<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        match self.hide_in_body(&mut query.body) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
