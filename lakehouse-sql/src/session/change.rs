//! DELETE, UPDATE and MERGE as calls instead of text, with the engine's expressions.
//!
//! A call names its expressions by number as the text's query does, and is planned by the same
//! code; so values are cast, clauses chosen and conflicts found alike.

use std::fmt;

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{JoinType, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::parse_name;

use super::Session;
use crate::constant::instant;
use crate::execute::execute;
use crate::govern::govern_target;
use crate::plan::plan_change;
use crate::resolve::{
    ChangeKind, Clause, ClauseAction, ColumnChange, NamedTarget, Value, column_change, inserted,
    named_target, privileges_of,
};
use crate::session_zone::session_zone;
use crate::statement::MergeKind;

/// What a change did to the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeCounts {
    /// Rows that were added.
    pub inserted: u64,
    /// Rows that got new values.
    pub updated: u64,
    /// Rows that were removed.
    pub deleted: u64,
}

/// A table whose rows are changed by calls.
///
/// In expressions its columns are qualified by [`Self::alias`], which is its own name unless
/// [`Self::with_alias`] gave another, and need no qualifier where no other table has their name.
#[derive(Clone)]
pub struct TableChange {
    session: Session,
    target: NamedTarget,
    alias: String,
}

impl fmt::Debug for TableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableChange")
            .field("table", self.target.found.table.ident())
            .field("alias", &self.alias)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A table of the lake to change rows of: `"t"`, `"namespace.t"`, or a branch of it,
    /// `"t.branch_x"`. It is read as it is now, also when it is changed later.
    ///
    /// # Errors
    /// Unknown names; versions, which can only be read; a session that reads the past.
    pub async fn change(&self, name: &str) -> Result<TableChange> {
        let variables = self.environment.variables();
        if variables.as_of_ms.is_some() {
            return Err(Error::invalid(
                "the session reads as of a time (`lakehouse.as_of`), so it cannot write",
            ));
        }
        let lake = self.environment.access().lake();
        let found = lake
            .find_table(&parse_name(name)?, &variables.catalog, &variables.namespace)
            .await?;
        let target = named_target(found, &variables.wap, &variables.write)?;
        let alias = target.found.table.ident().name().to_owned();
        Ok(TableChange {
            session: self.clone(),
            target,
            alias,
        })
    }
}

impl TableChange {
    /// What the table's columns are qualified by.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The same table under another name.
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = alias.into();
        self
    }

    /// Removes the rows for which a condition is true; all rows with `lit(true)`.
    ///
    /// # Errors
    /// As the statement `DELETE`.
    pub async fn delete(self, condition: Expr) -> Result<ChangeCounts> {
        let kind = ChangeKind::Delete;
        let input = self.scan(&kind)?.filter(condition)?.build()?;
        Box::pin(self.run(input, Vec::new(), kind)).await
    }

    /// Begins an update.
    pub fn update(self) -> UpdateBuilder {
        UpdateBuilder {
            target: self,
            assignments: Vec::new(),
            condition: None,
        }
    }

    /// Begins a merge with the rows of `source`, whose columns are qualified by `alias`.
    pub fn merge(self, source: DataFrame, alias: impl Into<String>) -> MergeBuilder {
        MergeBuilder {
            target: self,
            source: source.into_unoptimized_plan(),
            alias: alias.into(),
            on: None,
            clauses: Vec::new(),
        }
    }

    /// The target as the session's principal may see it, if it may be changed so.
    fn scan(&self, kind: &ChangeKind) -> Result<LogicalPlanBuilder> {
        let environment = &self.session.environment;
        let zone = session_zone(environment.context().state().config_options());
        let key = TableReference::bare(self.alias.clone());
        let privileges = privileges_of(kind);
        let provider = govern_target(&self.target, &privileges, &key, environment.access(), &zone)?;
        Ok(LogicalPlanBuilder::scan(
            key,
            provider_as_source(provider),
            None,
        )?)
    }

    async fn run(
        self,
        input: LogicalPlan,
        items: Vec<Expr>,
        kind: ChangeKind,
    ) -> Result<ChangeCounts> {
        let environment = &self.session.environment;
        let lake = environment.access().lake();
        let began = lake.clock().instant();
        let mut state = environment.context().state();
        state.execution_props_mut().query_execution_start_time = Some(instant(lake));
        let total = match &kind {
            ChangeKind::Delete => "deleted",
            ChangeKind::Update(_) => "updated",
            ChangeKind::Merge(_) => "",
        };
        let plan = plan_change(self.target, input, items, kind, lake, &state)?;
        let result = execute(plan, environment, state, None, began).await?;
        let batches = result.collect().await?;
        let count = |name: &str| {
            // What does one thing only has one count.
            let name = if name == total { "count" } else { name };
            batches
                .iter()
                .filter_map(|batch| batch.column_by_name(name)?.as_primitive_opt::<UInt64Type>())
                .flat_map(|column| column.values().iter().copied())
                .sum()
        };
        Ok(ChangeCounts {
            inserted: count("inserted"),
            updated: count("updated"),
            deleted: count("deleted"),
        })
    }
}

/// Columns and their new values; a field of a struct is written behind a dot (`"s.f"`).
type Assignments = Vec<(String, Expr)>;

/// Expressions of a change, by number.
#[derive(Default)]
struct Items(Vec<Expr>);

impl Items {
    fn add(&mut self, value: Expr) -> Value {
        self.0.push(value);
        Value::Item(self.0.len() - 1)
    }

    fn changes(
        &mut self,
        assignments: Assignments,
        target: &TableChange,
    ) -> Result<Vec<ColumnChange>> {
        let schema = target.target.found.table.schema();
        let mut changes = Vec::with_capacity(assignments.len());
        for (path, value) in assignments {
            let value = self.add(value);
            let change =
                column_change(&parse_name(&path)?, &target.alias, value, schema, &changes)?;
            changes.push(change);
        }
        Ok(changes)
    }
}

/// An update that is described step by step, and made by [`Self::execute`].
#[derive(Debug, Clone)]
pub struct UpdateBuilder {
    target: TableChange,
    assignments: Assignments,
    condition: Option<Expr>,
}

impl UpdateBuilder {
    /// Gives a column, or a field of a struct (`"s.f"`), a new value.
    #[must_use]
    pub fn set(mut self, column: impl Into<String>, value: Expr) -> Self {
        self.assignments.push((column.into(), value));
        self
    }

    /// Updates only rows for which this is true too.
    #[must_use]
    pub fn filter(mut self, condition: Expr) -> Self {
        self.condition = Some(match self.condition {
            Some(known) => known.and(condition),
            None => condition,
        });
        self
    }

    /// Makes the update.
    ///
    /// # Errors
    /// As the statement `UPDATE`.
    pub async fn execute(self) -> Result<ChangeCounts> {
        let Self {
            target,
            assignments,
            condition,
        } = self;
        if assignments.is_empty() {
            return Err(Error::invalid("an update sets one column at least"));
        }
        let mut items = Items::default();
        let kind = ChangeKind::Update(items.changes(assignments, &target)?);
        let scan = target.scan(&kind)?;
        let input = match condition {
            Some(condition) => scan.filter(condition)?,
            None => scan,
        };
        let input = input.build()?;
        Box::pin(target.run(input, items.0, kind)).await
    }
}

/// A merge that is described step by step, and made by [`Self::execute`].
#[derive(Debug, Clone)]
pub struct MergeBuilder {
    target: TableChange,
    source: LogicalPlan,
    alias: String,
    on: Option<Expr>,
    clauses: Vec<TypedClause>,
}

/// A clause as it was given.
#[derive(Debug, Clone)]
struct TypedClause {
    kind: MergeKind,
    condition: Option<Expr>,
    action: TypedAction,
}

#[derive(Debug, Clone)]
enum TypedAction {
    Delete,
    Update(Assignments),
    UpdateAll,
    Insert(Assignments),
    InsertAll,
}

impl MergeBuilder {
    /// Which rows of target and source belong together.
    #[must_use]
    pub fn on(mut self, condition: Expr) -> Self {
        self.on = Some(condition);
        self
    }

    /// Begins a clause for pairs of rows that belong together. Of several clauses the first that is
    /// true for a row wins.
    pub fn when_matched(self) -> MatchedClause {
        MatchedClause::new(self, MergeKind::Matched)
    }

    /// Begins a clause for rows of the target that no row of the source belongs to.
    pub fn when_not_matched_by_source(self) -> MatchedClause {
        MatchedClause::new(self, MergeKind::NotMatchedBySource)
    }

    /// Begins a clause for rows of the source that no row of the target belongs to.
    pub fn when_not_matched(self) -> NotMatchedClause {
        NotMatchedClause {
            merge: self,
            condition: None,
        }
    }

    fn with(mut self, kind: MergeKind, condition: Option<Expr>, action: TypedAction) -> Self {
        self.clauses.push(TypedClause {
            kind,
            condition,
            action,
        });
        self
    }

    /// Makes the merge.
    ///
    /// # Errors
    /// As the statement `MERGE`.
    pub async fn execute(self) -> Result<ChangeCounts> {
        let Self {
            target,
            source,
            alias,
            on,
            clauses,
        } = self;
        let on = on.ok_or_else(|| Error::invalid("a merge needs `on` to tell which rows match"))?;
        if clauses.is_empty() {
            return Err(Error::invalid(
                "a merge needs a clause: `when_matched` or `when_not_matched`",
            ));
        }
        let mut items = Items::default();
        let mut resolved: Vec<Clause> = Vec::with_capacity(clauses.len());
        for clause in clauses {
            let is_reached = resolved
                .iter()
                .all(|earlier| earlier.kind != clause.kind || earlier.condition.is_some());
            if !is_reached {
                return Err(Error::invalid(
                    "a clause stands behind one of its kind that takes every row",
                ));
            }
            resolved.push(resolve(clause, &mut items, &target)?);
        }
        let needs = |kind| resolved.iter().any(|clause| clause.kind == kind);
        let join_type = match (
            needs(MergeKind::NotMatchedBySource),
            needs(MergeKind::NotMatched),
        ) {
            (false, false) => JoinType::Inner,
            (true, false) => JoinType::Left,
            (false, true) => JoinType::Right,
            (true, true) => JoinType::Full,
        };
        let kind = ChangeKind::Merge(resolved);
        let source = LogicalPlanBuilder::from(source).alias(alias)?.build()?;
        let input = target
            .scan(&kind)?
            .join_on(source, join_type, [on])?
            .build()?;
        Box::pin(target.run(input, items.0, kind)).await
    }
}

fn resolve(clause: TypedClause, items: &mut Items, target: &TableChange) -> Result<Clause> {
    let TypedClause {
        kind,
        condition,
        action,
    } = clause;
    let condition = match condition.map(|condition| items.add(condition)) {
        Some(Value::Item(item)) => Some(item),
        _ => None,
    };
    let action = match action {
        TypedAction::Delete => ClauseAction::Delete,
        TypedAction::UpdateAll => ClauseAction::UpdateAll,
        TypedAction::InsertAll => ClauseAction::InsertAll,
        TypedAction::Update(assignments) => {
            ClauseAction::Update(items.changes(assignments, target)?)
        }
        TypedAction::Insert(assignments) => {
            let changes = items.changes(assignments, target)?;
            ClauseAction::Insert(inserted(&changes, target.target.found.table.schema())?)
        }
    };
    Ok(Clause::of_call(kind, condition, action))
}

/// What is done with rows of the target.
#[derive(Debug, Clone)]
#[must_use = "a clause without an action does nothing"]
pub struct MatchedClause {
    merge: MergeBuilder,
    kind: MergeKind,
    condition: Option<Expr>,
}

impl MatchedClause {
    fn new(merge: MergeBuilder, kind: MergeKind) -> Self {
        Self {
            merge,
            kind,
            condition: None,
        }
    }

    /// The clause is for rows for which this is true.
    pub fn and(mut self, condition: Expr) -> Self {
        self.condition = Some(condition);
        self
    }

    /// Removes the rows.
    pub fn delete(self) -> MergeBuilder {
        self.merge
            .with(self.kind, self.condition, TypedAction::Delete)
    }

    /// Gives columns, or fields of structs (`"s.f"`), new values.
    pub fn update<'a>(self, values: impl IntoIterator<Item = (&'a str, Expr)>) -> MergeBuilder {
        let action = TypedAction::Update(owned(values));
        self.merge.with(self.kind, self.condition, action)
    }

    /// Gives every column the value that the source has under its name.
    pub fn update_all(self) -> MergeBuilder {
        self.merge
            .with(self.kind, self.condition, TypedAction::UpdateAll)
    }
}

/// What is done with rows of the source that are new.
#[derive(Debug, Clone)]
#[must_use = "a clause without an action does nothing"]
pub struct NotMatchedClause {
    merge: MergeBuilder,
    condition: Option<Expr>,
}

impl NotMatchedClause {
    /// The clause is for rows for which this is true.
    pub fn and(mut self, condition: Expr) -> Self {
        self.condition = Some(condition);
        self
    }

    /// Adds a row with these values; other columns get their defaults, or NULL.
    pub fn insert<'a>(self, values: impl IntoIterator<Item = (&'a str, Expr)>) -> MergeBuilder {
        let action = TypedAction::Insert(owned(values));
        self.merge
            .with(MergeKind::NotMatched, self.condition, action)
    }

    /// Adds a row with the values that the source has under the columns' names.
    pub fn insert_all(self) -> MergeBuilder {
        let (merge, condition) = (self.merge, self.condition);
        merge.with(MergeKind::NotMatched, condition, TypedAction::InsertAll)
    }
}

fn owned<'a>(values: impl IntoIterator<Item = (&'a str, Expr)>) -> Assignments {
    let values = values.into_iter();
    values
        .map(|(column, value)| (column.to_owned(), value))
        .collect()
}
