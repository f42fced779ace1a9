//! MERGE: one join of target and source, which is read once, and for each of its rows the first
//! clause that is true.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Join, LogicalPlan, LogicalPlanBuilder, when};
use datafusion::prelude::{Expr, lit};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::{Name, quote};
use lakehouse_core::provider::RowAction;
use lakehouse_core::scan::MetadataColumn;

use super::change::{Assigner, ChangedColumns, Found, Planned, code, named_value, place, project};
use super::conflict::Condition;
use super::update::by_column;
use crate::correlation::outer_columns;
use crate::exact_cast::assigned;
use crate::parse::invalid_at;
use crate::resolve::{Clause, ClauseAction, Value};
use crate::statement::MergeKind;

/// The column that is true for rows of the source, and NULL where there is none.
const SOURCE_ROW: &str = "(source row)";
/// The column with the number of the clause that is taken.
const CLAUSE: &str = "(clause)";

/// Plans the changes of a merge.
pub(super) fn plan_merge(
    clauses: &[Clause],
    found: &Found,
    assigner: &Assigner<'_>,
) -> Result<Planned> {
    clauses
        .iter()
        .try_for_each(|clause| refuse_absent_side(clause, found))?;
    let joined = with_source_rows(found.input.clone())?;
    let condition = match needs(clauses, MergeKind::NotMatchedBySource) {
        // Every row of the target is looked at.
        true => Condition::all(),
        false => Condition::of_join(&joined),
    };
    let numbered = number(joined, clauses, found)?;
    let columns = changed_columns(clauses, assigner);
    let action = action(clauses)?;
    let mut values = Vec::new();
    for column in columns.written(assigner.fields.len()) {
        let value = value(clauses, column, &columns, found, assigner)?;
        values.push(named_value(value, &assigner.fields[column]));
    }
    let matched = clauses
        .iter()
        .filter(|clause| clause.kind == MergeKind::Matched);
    // One row of the target may meet several of the source where nothing depends on which.
    let repeats = matched
        .clone()
        .all(|clause| matches!(clause.action, ClauseAction::Delete) && clause.condition.is_none());
    Ok(Planned {
        rows: project(numbered, action, place(found)?, values)?,
        columns,
        condition,
        repeats,
    })
}

fn needs(clauses: &[Clause], kind: MergeKind) -> bool {
    clauses.iter().any(|clause| clause.kind == kind)
}

/// Refuses a clause that names a column of the side which its rows do not have: it would be NULL.
fn refuse_absent_side(clause: &Clause, found: &Found) -> Result<()> {
    let (absent, what) = match clause.kind {
        MergeKind::Matched => return Ok(()),
        MergeKind::NotMatched => (found.target(), "the target"),
        MergeKind::NotMatchedBySource => (found.others(), "the source"),
    };
    let takes_source_row = matches!(
        clause.action,
        ClauseAction::UpdateAll | ClauseAction::InsertAll
    );
    if clause.kind == MergeKind::NotMatchedBySource && takes_source_row {
        let message =
            "UPDATE SET * takes a row of the source, and the rows of this clause have none";
        return Err(invalid_at(clause.place, message));
    }
    let absent: HashSet<Column> = absent.into_iter().collect();
    for item in items_of(clause) {
        let item = found.item(item)?;
        let mut named: Vec<Column> = item.column_refs().into_iter().cloned().collect();
        named.extend(outer_columns(item)?);
        if let Some(column) = named.into_iter().find(|column| absent.contains(column)) {
            let message = format!(
                "column {} belongs to {what}, of which the rows of this clause have none",
                quote(&column.name)
            );
            return Err(invalid_at(clause.place, message));
        }
    }
    Ok(())
}

/// The expressions of a clause.
fn items_of(clause: &Clause) -> Vec<usize> {
    let item = |value| match value {
        Value::Item(item) => Some(item),
        Value::Default => None,
    };
    let mut items: Vec<usize> = clause.condition.into_iter().collect();
    match &clause.action {
        ClauseAction::Update(changes) => {
            items.extend(changes.iter().filter_map(|change| item(change.value)));
        }
        ClauseAction::Insert(values) => items.extend(values.iter().copied().filter_map(item)),
        ClauseAction::Delete | ClauseAction::UpdateAll | ClauseAction::InsertAll => {}
    }
    items
}

/// The join with a column of its source that says whether there is a row of it.
fn with_source_rows(joined: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Join(join) = joined else {
        return Err(Error::internal("a merge that is no join"));
    };
    let Join {
        left,
        right,
        on,
        filter,
        join_type,
        join_constraint,
        null_equality,
        null_aware,
        ..
    } = join;
    let mut columns: Vec<Expr> = right
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    columns.push(lit(true).alias(SOURCE_ROW));
    let right = LogicalPlanBuilder::from(right).project(columns)?.build()?;
    Ok(LogicalPlan::Join(Join::try_new(
        left,
        Arc::new(right),
        on,
        filter,
        join_type,
        join_constraint,
        null_equality,
        null_aware,
    )?))
}

/// The joined rows with the number of the first clause that is true, those without one left out.
fn number(joined: LogicalPlan, clauses: &[Clause], found: &Found) -> Result<LogicalPlan> {
    let target_row = || found.metadata(MetadataColumn::File);
    let source_row = Expr::Column(Column::new_unqualified(SOURCE_ROW));
    let mut branches = Vec::with_capacity(clauses.len());
    for (index, clause) in clauses.iter().enumerate() {
        let applies = match clause.kind {
            MergeKind::Matched => target_row()?
                .is_not_null()
                .and(source_row.clone().is_not_null()),
            MergeKind::NotMatched => target_row()?.is_null(),
            MergeKind::NotMatchedBySource => source_row.clone().is_null(),
        };
        let applies = match clause.condition {
            Some(condition) => applies.and(found.item(condition)?.clone()),
            None => applies,
        };
        branches.push((applies, number_of(index)?));
    }
    let number = case(branches, None)?;
    let mut columns: Vec<Expr> = joined
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    columns.push(number.alias(CLAUSE));
    let taken = Expr::Column(Column::new_unqualified(CLAUSE)).is_not_null();
    Ok(LogicalPlanBuilder::from(joined)
        .project(columns)?
        .filter(taken)?
        .build()?)
}

fn number_of(clause: usize) -> Result<Expr> {
    let number = i32::try_from(clause);
    let number = number.map_err(|_| Error::unsupported("a merge has too many clauses"))?;
    Ok(lit(number))
}

fn is_taken(clause: usize) -> Result<Expr> {
    Ok(Expr::Column(Column::new_unqualified(CLAUSE)).eq(number_of(clause)?))
}

/// What becomes of a row.
fn action(clauses: &[Clause]) -> Result<Expr> {
    // Rows without a clause are left out before, so that the last one needs no look.
    let Some((last, others)) = clauses.split_last() else {
        return Err(Error::internal("a merge without clauses"));
    };
    let last = code(action_of(last));
    let mut branches = Vec::with_capacity(others.len());
    for (index, clause) in others.iter().enumerate() {
        branches.push((is_taken(index)?, code(action_of(clause))));
    }
    match branches.is_empty() {
        true => Ok(last),
        false => case(branches, Some(last)),
    }
}

/// What the clause that is taken gives a column, or NULL.
fn value(
    clauses: &[Clause],
    column: usize,
    columns: &ChangedColumns,
    found: &Found,
    assigner: &Assigner<'_>,
) -> Result<Expr> {
    let mut branches = Vec::new();
    for (index, clause) in clauses.iter().enumerate() {
        if let Some(value) = value_of(clause, column, columns, found, assigner)? {
            branches.push((is_taken(index)?, value));
        }
    }
    let none = ScalarValue::try_from(assigner.data_type(column)?)?;
    let none = Expr::Literal(none, None);
    match branches.is_empty() {
        true => Ok(none),
        false => case(branches, Some(none)),
    }
}

fn case(branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Result<Expr> {
    let mut branches = branches.into_iter();
    let (condition, value) = branches
        .next()
        .ok_or_else(|| Error::internal("a merge without clauses"))?;
    let mut builder = when(condition, value);
    for (condition, value) in branches {
        builder = builder.when(condition, value);
    }
    Ok(match otherwise {
        Some(otherwise) => builder.otherwise(otherwise)?,
        None => builder.end()?,
    })
}

fn action_of(clause: &Clause) -> RowAction {
    let by_source = clause.kind == MergeKind::NotMatchedBySource;
    match clause.action {
        ClauseAction::Delete if by_source => RowAction::DeleteBySource,
        ClauseAction::Delete => RowAction::Delete,
        ClauseAction::Update(_) | ClauseAction::UpdateAll if by_source => RowAction::UpdateBySource,
        ClauseAction::Update(_) | ClauseAction::UpdateAll => RowAction::Update,
        ClauseAction::Insert(_) | ClauseAction::InsertAll => RowAction::Insert,
    }
}

fn changed_columns(clauses: &[Clause], assigner: &Assigner<'_>) -> ChangedColumns {
    let mut columns = ChangedColumns::default();
    for clause in clauses {
        match &clause.action {
            ClauseAction::Delete => {}
            ClauseAction::Update(changes) => {
                let changed: BTreeSet<usize> = changes.iter().map(|change| change.column).collect();
                columns.updated.extend(changed);
            }
            ClauseAction::UpdateAll => columns.updated.extend(0..assigner.fields.len()),
            ClauseAction::Insert(_) | ClauseAction::InsertAll => columns.inserts = true,
        }
    }
    columns
}

/// What a clause gives a column: a new value, the one it has, or nothing.
fn value_of(
    clause: &Clause,
    column: usize,
    columns: &ChangedColumns,
    found: &Found,
    assigner: &Assigner<'_>,
) -> Result<Option<Expr>> {
    let data_type = assigner.data_type(column)?;
    let value = match &clause.action {
        ClauseAction::Delete => return Ok(None),
        ClauseAction::InsertAll | ClauseAction::UpdateAll => {
            let source = source_column(clause, column, found, assigner)?;
            assigned(source, data_type, &assigner.fields[column])
        }
        ClauseAction::Insert(values) => {
            let value = values.get(column);
            let value = value.ok_or_else(|| Error::internal("an inserted row is too short"))?;
            assigner.value(column, *value)?
        }
        ClauseAction::Update(_) if !columns.updated.contains(&column) => return Ok(None),
        ClauseAction::Update(changes) => match by_column(changes).get(&column) {
            Some(changes) => assigner.changed(column, changes)?,
            // Another clause changes it; here it stays.
            None => {
                let own = found.target();
                let own = own.get(column).cloned();
                let own = own.ok_or_else(|| Error::internal("an update of no column"))?;
                assigned(Expr::Column(own), data_type, &assigner.fields[column])
            }
        },
    };
    Ok(Some(value))
}

/// The column of the source that has the name of one of the target's.
fn source_column(
    clause: &Clause,
    column: usize,
    found: &Found,
    assigner: &Assigner<'_>,
) -> Result<Expr> {
    let others = found.others();
    let find = |index: usize| -> Result<Option<&Column>> {
        let wanted = Name::quoted(&assigner.fields[index].name);
        let named = others.iter().filter(|other| other.name == wanted.as_str());
        if named.count() > 1 {
            return Err(invalid_at(
                clause.place,
                format!(
                    "`*` is ambiguous: the source has several columns {}",
                    quote(wanted.as_str())
                ),
            ));
        }
        wanted.find(&others, |other| &other.name)
    };
    if let Some(source) = find(column)? {
        return Ok(Expr::Column(source.clone()));
    }
    let mut missing = Vec::new();
    for (index, field) in assigner.fields.iter().enumerate() {
        if find(index)?.is_none() {
            missing.push(quote(&field.name));
        }
    }
    let message = format!(
        "`*` takes every column of the table from the source, which has no {}; name the columns, or \
         add them to the source",
        missing.join(", ")
    );
    Err(invalid_at(clause.place, message))
}
