//! `PARTITION_BY` of a `COPY … TO`: the names of the folders as columns, which the files leave out.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::{Name, hint, quote};
use uuid::Uuid;

use crate::hive_text::{hive_text, hive_texts};
use crate::statement::PARTITION_COLUMN;

/// The option of the engine by which files have the columns of their folders' names, too.
const KEEP_COLUMNS: &str = "execution.keep_partition_by_columns";

/// Takes the columns that the statement names off the options, as the rows have them.
pub(super) fn take_columns(copy: &mut CopyTo) -> Result<Vec<String>> {
    let fields = copy.input.schema().fields();
    let mut columns = Vec::new();
    while let Some(name) = copy
        .options
        .remove(&format!("{PARTITION_COLUMN}{}", columns.len()))
    {
        let found = Name::quoted(&name).find(fields, |field| field.name())?;
        let Some(found) = found else {
            let names = fields.iter().map(|field| field.name().as_str());
            return Err(Error::not_found(format!(
                "there is no column {} to partition by{}",
                quote(&name),
                hint(&name, names)
            )));
        };
        if columns.contains(found.name()) {
            return Err(Error::invalid(format!(
                "PARTITION_BY names {} twice",
                quote(&name)
            )));
        }
        columns.push(found.name().clone());
    }
    Ok(columns)
}

/// Gives the rows a text for each column of the folders' names, because the engine takes NULLs for
/// what stands in their places. The names of the new columns begin with `id`, so that no others
/// have them.
pub(super) fn name_folders(copy: &mut CopyTo, id: Uuid, state: &SessionState) -> Result<()> {
    if copy.partition_by.is_empty() {
        return Ok(());
    }
    let keep = keeps_columns(copy, state)?;
    let schema = copy.input.schema();
    let is_named = |name: &String| copy.partition_by.contains(name);
    let kept = schema
        .iter()
        .filter(|(_, field)| keep || !is_named(field.name()));
    let mut columns: Vec<Expr> = kept.map(Expr::from).collect();
    if columns.is_empty() {
        return Err(Error::invalid(
            "PARTITION_BY names every column, so that none is left for the files; leave one out",
        ));
    }
    let mut names = Vec::new();
    for name in &copy.partition_by {
        let mut found = schema.iter().filter(|(_, field)| field.name() == name);
        let (Some(column), None) = (found.next(), found.next()) else {
            return Err(Error::invalid(format!(
                "PARTITION_BY names {}, which two columns are called; rename one with AS",
                quote(name)
            )));
        };
        let data_type = column.1.data_type();
        if data_type.is_nested() {
            return Err(Error::unsupported(format!(
                "column {} is a {data_type}, which no folder is named by; leave it out of \
                 PARTITION_BY",
                quote(name)
            )));
        }
        let folder = format!("{id}.{}", hive_text(name));
        columns.push(hive_texts(name, Expr::from(column)).alias(&folder));
        names.push(folder);
    }
    let rows = LogicalPlanBuilder::from(LogicalPlan::clone(&copy.input)).project(columns)?;
    copy.input = Arc::new(rows.build()?);
    copy.partition_by = names;
    Ok(())
}

/// Whether the files have the columns. The engine leaves all of the new ones out.
fn keeps_columns(copy: &mut CopyTo, state: &SessionState) -> Result<bool> {
    let asked = copy
        .options
        .insert(KEEP_COLUMNS.to_owned(), "false".to_owned());
    match asked.as_deref().map(str::trim) {
        None => Ok(state.config_options().execution.keep_partition_by_columns),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(Error::invalid(format!(
            "{KEEP_COLUMNS} is true or false, found '{other}'"
        ))),
    }
}
