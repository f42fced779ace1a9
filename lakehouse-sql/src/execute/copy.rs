//! `COPY … TO`: one file appears when it is complete, and what was there stays until then.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::object_store::ObjectStoreExt;
use datafusion::prelude::Expr;
use futures::TryStreamExt;
use lakehouse_core::error::{Error, Result};
use uuid::Uuid;

use super::{QueryResult, run_rows};
use crate::json_number::{has_floats, json_numbers};

/// The option of `COPY` that says whether one file is written or a folder of them.
const SINGLE_FILE: &str = "single_file_output";

/// Writes the rows of a copy. `id` names what is not complete yet.
///
/// # Errors
/// What the rows and the target's store meet; a single target is then as it was before.
pub(super) async fn copy(mut copy: CopyTo, id: Uuid, state: &SessionState) -> Result<QueryResult> {
    let target = ListingTableUrl::parse(&copy.output_url)?;
    let store = state.runtime_env().object_store(&target).map_err(|error| {
        Error::unsupported(format!(
            "COPY to {} is not offered: there is no store of this kind",
            copy.output_url
        ))
        .with_source(Error::from(error))
    })?;
    if copy.file_type.get_ext() == "json" {
        copy.input = Arc::new(with_json_numbers(&copy.input)?);
    }
    // The files of a folder have new names each, so nothing is overwritten there.
    if !is_one_file(&target, &copy.partition_by, &copy.options) {
        return run(copy, state).await;
    }
    copy.output_url = temporary(&copy.output_url, id);
    let temporary = ListingTableUrl::parse(&copy.output_url)?;
    match run(copy, state).await {
        Ok(answer) => {
            let renamed = store.rename(temporary.prefix(), target.prefix()).await;
            renamed.map_err(|error| Error::from(error).with_context("target", target.prefix()))?;
            Ok(answer)
        }
        Err(error) => {
            // The first error says what happened; a file that was never begun is not there.
            let _ = store.delete(temporary.prefix()).await;
            Err(error)
        }
    }
}

async fn run(copy: CopyTo, state: &SessionState) -> Result<QueryResult> {
    let stream = run_rows(&LogicalPlan::Copy(copy), state).await?;
    let schema = stream.schema();
    let batches = stream.map_err(Error::from).try_collect().await?;
    Ok(QueryResult::of_batches(schema, batches, false))
}

/// Rows that JSON can hold, where their columns may have others.
fn with_json_numbers(rows: &LogicalPlan) -> Result<LogicalPlan> {
    let schema = rows.schema();
    if !schema
        .fields()
        .iter()
        .any(|field| has_floats(field.data_type()))
    {
        return Ok(rows.clone());
    }
    let columns = schema.iter().map(|(qualifier, field)| {
        let column = Expr::from((qualifier, field));
        match has_floats(field.data_type()) {
            true => {
                json_numbers(field.name(), column).alias_qualified(qualifier.cloned(), field.name())
            }
            false => column,
        }
    });
    let rows = LogicalPlanBuilder::from(rows.clone()).project(columns)?;
    Ok(rows.build()?)
}

/// Whether the engine writes one file of the target's name.
fn is_one_file(
    target: &ListingTableUrl,
    partition_by: &[String],
    options: &HashMap<String, String>,
) -> bool {
    let is_named = !target.is_collection() && target.file_extension().is_some();
    let is_asked = options.iter().find(|(key, _)| key.ends_with(SINGLE_FILE));
    let is_single = is_asked.map_or(is_named, |(_, value)| value.trim() == "true");
    partition_by.is_empty() && is_single && !target.is_collection() && target.get_glob().is_none()
}

/// A name beside the target's with the same ending, by which the engine knows the format.
fn temporary(target: &str, id: Uuid) -> String {
    let name_begins = target.rfind(std::path::is_separator).map_or(0, |at| at + 1);
    let (folder, name) = target.split_at(name_begins);
    format!("{folder}.{id}.{name}")
}
