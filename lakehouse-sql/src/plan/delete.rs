//! DELETE: the rows for which the condition is true.

use lakehouse_core::error::{Error, Result};
use lakehouse_core::provider::RowAction;

use super::change::{ChangedColumns, Found, Planned, code, place, project};
use super::conflict::Condition;

/// Plans the rows that go.
pub(super) fn plan_delete(found: &Found) -> Result<Planned> {
    if !Condition::is_known(&found.input) {
        return Err(Error::internal("a DELETE was planned in an unknown form"));
    }
    let rows = project(
        found.input.clone(),
        code(RowAction::Delete),
        place(found)?,
        Vec::new(),
    )?;
    Ok(Planned {
        rows,
        columns: ChangedColumns::default(),
        condition: Condition::of_filter(&found.input),
        repeats: false,
    })
}
