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

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};
    use lakehouse_core::error::ErrorKind;

    use super::{Condition, Found, plan_delete};

    /// A form whose conditions are not looked for must not count as one without: that would delete
    /// every row.
    #[test]
    fn a_delete_of_an_unknown_form_is_refused() {
        let rows = || LogicalPlanBuilder::values(vec![vec![lit(1)]]).unwrap();
        let known = [
            rows().alias("t").unwrap(),
            rows().filter(col("column1").gt(lit(0))).unwrap(),
            rows().project([col("column1")]).unwrap(),
        ];
        for known in known {
            assert!(Condition::is_known(&known.build().unwrap()));
        }
        let unknown = [
            rows().limit(0, Some(1)).unwrap(),
            rows().distinct().unwrap(),
            rows().sort([col("column1").sort(true, true)]).unwrap(),
            rows().filter(lit(true)).unwrap().limit(0, Some(1)).unwrap(),
        ];
        for unknown in unknown {
            let found = Found::of(unknown.build().unwrap(), Vec::new(), 1).unwrap();
            let error = plan_delete(&found).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert!(error.to_string().contains("unknown form"), "{error}");
        }
    }
}
