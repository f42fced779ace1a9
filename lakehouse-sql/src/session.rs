//! A session: one principal's way through a lake.

mod change;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::MemTable;
use datafusion::common::ParamValues;
use datafusion::prelude::{DataFrame, SessionContext};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::governance::Principal;
use lakehouse_core::lake::{FoundTable, Lake, dotted};
use lakehouse_core::name::{Name, parse_name};
use lakehouse_core::runtime::{engine_call, engine_change, engine_future};
use lakehouse_core::scan::MetadataColumn;
use tracing::Instrument;

pub use change::{
    ChangeCounts, MatchedClause, MergeBuilder, NotMatchedClause, TableChange, UpdateBuilder,
};

use crate::constant::instant;
use crate::environment::Environment;
use crate::execute::{QueryResult, execute, is_overtaken};
use crate::govern::govern;
use crate::one_nan::batch_with_one_nan;
use crate::parse::parse;
use crate::plan::plan;
use crate::resolve::{Scope, audit_view, pin, resolve};
use crate::session_zone::session_zone;
use crate::statement::Statement;

/// How often a statement begins at most.
const BEGINNINGS_MAX: usize = 10;

/// One principal's way through a lake: SQL, DataFrames, and variables of its own.
///
/// Cheap to clone; clones are the same session. Statements of one session may run at once; each
/// sees the variables as they are when it begins.
#[derive(Clone)]
pub struct Session {
    environment: Arc<Environment>,
}

impl Session {
    /// A session of `principal` on a lake.
    ///
    /// # Errors
    /// When the engine refuses the lake's settings.
    pub fn try_new(lake: Lake, principal: Principal) -> Result<Self> {
        let environment = Environment::try_new(lake, principal)?;
        Ok(Self {
            environment: Arc::new(environment),
        })
    }

    /// Runs one SQL statement.
    ///
    /// # Errors
    /// One clear error: where, what was expected, what to do. Nothing is changed by a statement
    /// that fails, except when its kind is [`lakehouse_core::error::ErrorKind::Unknown`], and by a
    /// `DROP` of several names that can all be dropped when the catalog fails between two of them.
    pub async fn sql(&self, text: &str) -> Result<QueryResult> {
        self.execute(single(text)?).await
    }

    /// As [`Self::sql`], with values for its parameters `$1`, `$2` … or `$name`.
    ///
    /// # Errors
    /// As [`Self::sql`]; also when a parameter has no value.
    pub async fn sql_with(
        &self,
        text: &str,
        parameters: impl Into<ParamValues>,
    ) -> Result<QueryResult> {
        self.run(single(text)?, Some(parameters.into())).await
    }

    /// Runs one statement that was parsed before.
    ///
    /// # Errors
    /// As [`Self::sql`].
    pub async fn execute(&self, statement: Statement) -> Result<QueryResult> {
        self.run(statement, None).await
    }

    async fn run(
        &self,
        statement: Statement,
        parameters: Option<ParamValues>,
    ) -> Result<QueryResult> {
        let lake = self.environment.access().lake();
        let query_id = lake.clock().new_uuid();
        let span = tracing::info_span!("statement", %query_id, kind = statement.kind());
        let is_query = matches!(statement, Statement::Query(_) | Statement::Explain(_));
        let stages = self.run_stages(statement, parameters).instrument(span);
        let answer = match is_query {
            true => engine_future(stages).await,
            false => engine_change(stages).await,
        };
        answer.map_err(|error| lake.runtime().with_spill_folder(error))
    }

    /// The way of a statement, begun anew where others made or dropped its table meanwhile.
    async fn run_stages(
        &self,
        statement: Statement,
        parameters: Option<ParamValues>,
    ) -> Result<QueryResult> {
        if let Statement::CreateTable(_) = &statement {
            for _ in 1..BEGINNINGS_MAX {
                let stages = self.stages(statement.clone(), parameters.clone());
                match Box::pin(stages).await {
                    Err(error) if is_overtaken(&error) => {}
                    ended => return ended,
                }
            }
        }
        self.stages(statement, parameters).await
    }

    /// The way of a statement, on one screen.
    async fn stages(
        &self,
        statement: Statement,
        parameters: Option<ParamValues>,
    ) -> Result<QueryResult> {
        let access = self.environment.access();
        let began = access.lake().clock().instant();
        let instant = instant(access.lake());
        let mut state = self.environment.context().state();
        state.execution_props_mut().query_execution_start_time = Some(instant);

        let variables = self.environment.variables();
        let scope = Scope {
            lake: access.lake(),
            state: &state,
            local: self.environment.local(),
            catalog: variables.catalog,
            namespace: variables.namespace,
            as_of_ms: variables.as_of_ms,
            overwrite_mode: variables.overwrite_mode,
            wap: variables.wap,
            write: variables.write,
            instant,
            parameters: parameters.as_ref(),
        };
        let resolved = resolve(statement, &scope).await?;
        let governed = govern(resolved, access, &session_zone(state.config_options()))?;
        let planned = engine_call(|| plan(governed, access.lake(), &state))?;
        execute(planned, &self.environment, state, parameters, began).await
    }

    /// The engine's context: DataFrames, functions and tables of the session's own.
    ///
    /// Its catalogs hold the lake's tables as the session's principal may see them, in their current
    /// state: `lakehouse.as_of` is read by [`Self::sql`] and [`Self::table`] only.
    pub fn context(&self) -> &SessionContext {
        self.environment.context()
    }

    /// A table of the lake as a DataFrame: `"t"`, `"namespace.t"` or `"catalog.namespace.t"`,
    /// with everything that a name may select (`"t.branch_x"`, `"t.snapshots"`). Parts that hold
    /// dots are quoted: `"\"a.b\".t"`. A table without a version of its own is read as of
    /// `lakehouse.as_of`, as in a statement. Times with zone are in UTC, whatever zone the session
    /// has.
    ///
    /// # Errors
    /// Unknown names, denied access.
    pub async fn table(&self, name: &str) -> Result<DataFrame> {
        let found = self.find(name).await?;
        Ok(self
            .environment
            .context()
            .read_table(self.environment.access().open(found)?)?)
    }

    /// As [`Self::table`], with all metadata columns ([`MetadataColumn`]) that the table has behind
    /// its own.
    ///
    /// # Errors
    /// As [`Self::table`].
    pub async fn table_with_metadata_columns(&self, name: &str) -> Result<DataFrame> {
        let found = self.find(name).await?;
        let access = self.environment.access();
        let table = access.open_with_metadata_columns(found, &MetadataColumn::ALL)?;
        Ok(self.environment.context().read_table(table)?)
    }

    async fn find(&self, name: &str) -> Result<FoundTable> {
        let parts = parse_name(name)?;
        let variables = self.environment.variables();
        let lake = self.environment.access().lake();
        let found = lake
            .find_table(&parts, &variables.catalog, &variables.namespace)
            .await?;
        let found = match variables.as_of_ms {
            None => audit_view(found, &variables.wap)?,
            Some(_) => found,
        };
        pin(found, None, variables.as_of_ms)
    }

    /// Makes rows a table of this session alone, which wins over the lake's of that name.
    ///
    /// # Errors
    /// When the batches have different schemas, or there is none to tell the schema.
    pub async fn register_batches(&self, name: &str, batches: Vec<RecordBatch>) -> Result<()> {
        let schema = batches.first().map(RecordBatch::schema).ok_or_else(|| {
            Error::invalid("a table needs one batch at least to tell its schema; it may be empty")
        })?;
        let batches = batches.iter().map(batch_with_one_nan);
        let batches = batches.collect::<datafusion::error::Result<_>>()?;
        let table = MemTable::try_new(schema, vec![batches])?;
        let variables = self.environment.variables();
        let catalogs = self.environment.local();
        let catalog = catalogs
            .get(&variables.catalog)
            .ok_or_else(|| Error::internal("a session without its current catalog"))?;
        catalog.register(&dotted(&variables.namespace), name, Arc::new(table));
        Ok(())
    }

    /// Names of namespaces, tables and columns, for the completion of what a person types.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn names(&self) -> Result<Vec<String>> {
        let variables = self.environment.variables();
        let lake = self.environment.access().lake();
        let (catalog_name, catalog) = lake.catalog(&Name::quoted(variables.catalog))?;
        let mut names = Vec::new();
        for namespace in catalog.list_namespaces().await? {
            names.push(dotted(&namespace));
            for ident in catalog.list_tables(&namespace).await? {
                if !self.environment.access().may_list(catalog_name, &ident) {
                    continue;
                }
                names.push(ident.name().to_owned());
                // A table that cannot be read has no columns to complete, and is no error here.
                let Ok(pointer) = catalog.load_table(&ident).await else {
                    continue;
                };
                let fields = pointer.metadata.current_schema().as_struct().fields();
                names.extend(fields.iter().map(|field| field.name.clone()));
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("variables", &self.environment.variables())
            .finish_non_exhaustive()
    }
}

/// The only statement of a text.
fn single(text: &str) -> Result<Statement> {
    let mut statements = parse(text)?;
    match (statements.pop(), statements.len()) {
        (Some(statement), 0) => Ok(statement),
        (None, _) => Err(Error::invalid("expected a statement, found none")),
        (Some(_), others) => Err(Error::invalid(format!(
            "expected one statement, found {}; run them one after the other with `parse` and \
             `Session::execute`",
            others + 1
        ))),
    }
}
