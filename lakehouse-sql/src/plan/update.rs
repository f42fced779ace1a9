//! UPDATE: the rows for which the condition is true, with their new values.

use std::collections::BTreeMap;

use lakehouse_core::error::{Error, Result};
use lakehouse_core::provider::RowAction;

use super::change::{Assigner, ChangedColumns, Found, Planned, code, named_value, place, project};
use super::conflict::Condition;
use crate::resolve::ColumnChange;

/// Assignments by the columns that they are about.
pub(super) fn by_column(changes: &[ColumnChange]) -> BTreeMap<usize, Vec<&ColumnChange>> {
    let mut columns: BTreeMap<usize, Vec<&ColumnChange>> = BTreeMap::new();
    for change in changes {
        columns.entry(change.column).or_default().push(change);
    }
    columns
}

/// Plans the rows that change.
pub(super) fn plan_update(
    changes: &[ColumnChange],
    found: &Found,
    assigner: &Assigner<'_>,
) -> Result<Planned> {
    let columns = by_column(changes);
    let mut values = Vec::with_capacity(columns.len());
    for (column, changes) in &columns {
        let field = assigner.fields.get(*column);
        let field = field.ok_or_else(|| Error::internal("an update of no column"))?;
        values.push(named_value(assigner.changed(*column, changes)?, field));
    }
    let rows = project(
        found.input.clone(),
        code(RowAction::Update),
        place(found)?,
        values,
    )?;
    Ok(Planned {
        rows,
        columns: ChangedColumns {
            updated: columns.into_keys().collect(),
            inserts: false,
        },
        condition: Condition::of_filter(&found.input),
        repeats: false,
    })
}
