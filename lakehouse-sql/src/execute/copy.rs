//! `COPY … TO`: files appear when they are complete, and what was there stays until then.

mod csv_text;
mod json_text;
mod partition;
mod text_sink;

use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::object_store::ObjectStore;
use datafusion::prelude::Expr;
use futures::TryStreamExt;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::lake::Lake;
use lakehouse_core::storage::{Export, ExportForm, ExportTarget};

use self::text_sink::with_own_texts;
use super::{QueryResult, plan_rows, start};
use crate::json_number::{has_floats, json_numbers};

/// The option of `COPY` that says whether one file is written or a folder of them.
const SINGLE_FILE: &str = "single_file_output";

/// Writes the rows of a copy.
///
/// # Errors
/// What the rows and the target's store meet; what is at the target is then as it was before.
pub(super) async fn copy(
    mut copy: CopyTo,
    lake: &Lake,
    state: &SessionState,
) -> Result<QueryResult> {
    let id = lake.clock().new_uuid();
    let env = state.runtime_env();
    let target = ExportTarget::parse(&copy.output_url)?;
    let store = env
        .object_store_registry
        .get_store(&target.store_url()?)
        .map_err(|_| {
            Error::unsupported(format!(
                "COPY to {} is not offered: there is no store of this kind",
                copy.output_url
            ))
        })?;
    if copy.file_type.get_ext() == "json" {
        copy.input = Arc::new(with_json_numbers(&copy.input)?);
    }
    copy.partition_by = partition::take_columns(&mut copy)?;
    let form = take_form(&mut copy, &target)?;
    partition::name_folders(&mut copy, id, state)?;

    let work = lake.storage().begin_work();
    let export = Export::begin(target, form, id, store, work).await?;
    let sink = Registered::new(env, &format!("export://{id}/"), export.sink())?;
    copy.output_url = match form {
        ExportForm::File => format!("{}file", sink.url.as_str()),
        ExportForm::Folder => sink.url.as_str().to_owned(),
    };
    match run(copy, state).await {
        Ok(answer) => {
            export.complete().await?;
            Ok(answer)
        }
        Err(error) => Err(export.give_up(error).await),
    }
}

/// Whether a file or a folder is written; the engine is told the same.
fn take_form(copy: &mut CopyTo, target: &ExportTarget) -> Result<ExportForm> {
    let given = copy.options.keys().find(|key| key.ends_with(SINGLE_FILE));
    let asked = given.cloned().and_then(|key| copy.options.remove(&key));
    let is_one = match asked.as_deref().map(str::trim) {
        None | Some("true") => true,
        Some("false") => false,
        Some(other) => {
            return Err(Error::invalid(format!(
                "{SINGLE_FILE} is true or false, found '{other}'"
            )));
        }
    };
    let is_file = is_one && copy.partition_by.is_empty() && !target.is_folder();
    copy.options
        .insert(SINGLE_FILE.to_owned(), is_file.to_string());
    Ok(match is_file {
        true => ExportForm::File,
        false => ExportForm::Folder,
    })
}

/// A store that the engine knows by a URL of its own while a statement runs.
struct Registered<'a> {
    env: &'a RuntimeEnv,
    url: ObjectStoreUrl,
}

impl<'a> Registered<'a> {
    fn new(env: &'a RuntimeEnv, url: &str, store: Arc<dyn ObjectStore>) -> Result<Self> {
        let url = ObjectStoreUrl::parse(url)?;
        env.register_object_store(url.as_ref(), store);
        Ok(Self { env, url })
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let _is_known = self.env.deregister_object_store(self.url.as_ref());
    }
}

async fn run(copy: CopyTo, state: &SessionState) -> Result<QueryResult> {
    let plan = with_own_texts(plan_rows(&LogicalPlan::Copy(copy), state).await?);
    let stream = start(plan, state)?;
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
