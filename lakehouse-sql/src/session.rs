//! A session: one principal's way through a lake, with its variables.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use datafusion::catalog::MemTable;
use datafusion::common::ParamValues;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use iceberg::NamespaceIdent;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::governance::Principal;
use lakehouse_core::lake::{DEFAULT_NAMESPACE, Lake, dotted};
use lakehouse_core::name::{Name, hint};
use lakehouse_core::provider::{Access, LakeCatalog};
use tracing::Instrument;

use crate::constant::parse_zone;
use crate::execute::{QueryResult, execute};
use crate::govern::govern;
use crate::parse::parse;
use crate::plan::plan;
use crate::resolve::{Scope, SettingValue, resolve};
use crate::statement::Statement;

/// The variable that fixes every table of a session at one time.
pub(crate) const AS_OF: &str = "lakehouse.as_of";
/// The variable of `SET TIME ZONE`.
const TIME_ZONE: &str = "time zone";
/// The engine's name of the session's time zone.
const ENGINE_TIME_ZONE: &str = "datafusion.execution.time_zone";

/// One principal's way through a lake: SQL, DataFrames, and variables of its own.
///
/// Cheap to clone; clones are the same session. Statements of one session may run at once; each
/// sees the variables as they are when it begins.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    access: Access,
    context: SessionContext,
    local: Arc<LakeCatalog>,
    variables: Mutex<Variables>,
}

/// What `SET` and `USE` change.
#[derive(Debug, Clone)]
struct Variables {
    catalog: String,
    namespace: NamespaceIdent,
    as_of_ms: Option<i64>,
}

impl Session {
    /// A session of `principal` on a lake.
    ///
    /// # Errors
    /// When the engine refuses the lake's settings.
    pub fn try_new(lake: Lake, principal: Principal) -> Result<Self> {
        let catalog = lake.default_catalog().to_owned();
        let namespace = NamespaceIdent::new(DEFAULT_NAMESPACE.to_owned());
        let state = SessionStateBuilder::new()
            .with_config(session_config(&lake, &catalog))
            .with_runtime_env(Arc::clone(lake.runtime().env()))
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state).enable_url_table();
        let access = Access::new(lake, principal);
        let local = crate::register::register_catalogs(&access, &context)?;
        let variables = Mutex::new(Variables {
            catalog,
            namespace,
            as_of_ms: None,
        });
        Ok(Self {
            inner: Arc::new(Inner {
                access,
                context,
                local,
                variables,
            }),
        })
    }

    /// Runs one SQL statement.
    ///
    /// # Errors
    /// One clear error: where, what was expected, what to do. Nothing is changed by a statement
    /// that fails, except when its kind is [`lakehouse_core::error::ErrorKind::Unknown`].
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
        let lake = self.inner.access.lake();
        let query_id = lake.clock().new_uuid();
        let span = tracing::info_span!("statement", %query_id, kind = statement.kind());
        Box::pin(self.stages(statement, parameters))
            .instrument(span)
            .await
    }

    /// The way of a statement, on one screen.
    async fn stages(
        &self,
        statement: Statement,
        parameters: Option<ParamValues>,
    ) -> Result<QueryResult> {
        let access = &self.inner.access;
        let instant = instant(access.lake());
        let mut state = self.inner.context.state();
        state.execution_props_mut().query_execution_start_time = Some(instant);

        let variables = self.variables();
        let scope = Scope {
            lake: access.lake(),
            state: &state,
            local: &self.inner.local,
            catalog: variables.catalog,
            namespace: variables.namespace,
            as_of_ms: variables.as_of_ms,
            instant,
            parameters: parameters.as_ref(),
        };
        let resolved = resolve(statement, &scope).await?;
        let governed = govern(resolved, access)?;
        let planned = plan(governed, &state)?;
        execute(planned, self, state, parameters).await
    }

    /// The engine's context: DataFrames, functions and tables of the session's own.
    ///
    /// Its catalogs hold the lake's tables as the session's principal may see them.
    pub fn context(&self) -> &SessionContext {
        &self.inner.context
    }

    /// A table of the lake as a DataFrame: `"t"`, `"namespace.t"` or `"catalog.namespace.t"`,
    /// with everything that a name may select (`"t.branch_x"`, `"t.snapshots"`).
    ///
    /// # Errors
    /// Unknown names, denied access.
    pub async fn table(&self, name: &str) -> Result<DataFrame> {
        let parts: Vec<Name> = name.split('.').map(Name::new).collect();
        let variables = self.variables();
        let lake = self.inner.access.lake();
        let found = lake
            .find_table(&parts, &variables.catalog, &variables.namespace)
            .await?;
        Ok(self
            .inner
            .context
            .read_table(self.inner.access.open(found)?)?)
    }

    /// Makes rows a table of this session alone, which wins over the lake's of that name.
    ///
    /// # Errors
    /// When the batches have different schemas, or there is none to tell the schema.
    pub async fn register_batches(&self, name: &str, batches: Vec<RecordBatch>) -> Result<()> {
        let schema = batches.first().map(RecordBatch::schema).ok_or_else(|| {
            Error::invalid("a table needs one batch at least to tell its schema; it may be empty")
        })?;
        let table = MemTable::try_new(schema, vec![batches])?;
        self.inner
            .local
            .register(&dotted(&self.variables().namespace), name, Arc::new(table));
        Ok(())
    }

    /// Names of namespaces, tables and columns, for the completion of what a person types.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn names(&self) -> Result<Vec<String>> {
        let variables = self.variables();
        let lake = self.inner.access.lake();
        let (_, catalog) = lake.catalog(&Name::quoted(variables.catalog))?;
        let mut names = Vec::new();
        for namespace in catalog.list_namespaces().await? {
            names.push(dotted(&namespace));
            for ident in catalog.list_tables(&namespace).await? {
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

    pub(crate) fn access(&self) -> &Access {
        &self.inner.access
    }

    /// The current catalog and namespace.
    pub(crate) fn current_namespace(&self) -> (String, NamespaceIdent) {
        let variables = self.variables();
        (variables.catalog, variables.namespace)
    }

    /// Makes a namespace the current one.
    pub(crate) fn use_namespace(&self, catalog: String, namespace: NamespaceIdent) {
        {
            let mut variables = self
                .inner
                .variables
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            variables.catalog.clone_from(&catalog);
            variables.namespace = namespace.clone();
        }
        let state = self.inner.context.state_ref();
        let mut state = state.write();
        let options = state.config_mut().options_mut();
        options.catalog.default_catalog = catalog;
        options.catalog.default_schema = dotted(&namespace);
    }

    /// Sets a variable, or takes it back to its value at the session's start.
    ///
    /// # Errors
    /// Unknown variables with the nearest names; values that do not fit.
    pub(crate) fn set(&self, name: &str, value: Option<SettingValue>) -> Result<()> {
        match (name, value) {
            (AS_OF, value) => {
                let as_of_ms = match value {
                    Some(SettingValue::TimeMs(ms)) => Some(ms),
                    Some(SettingValue::Constant(other)) => {
                        return Err(Error::invalid(format!("{AS_OF} takes a time, not {other}")));
                    }
                    None => None,
                };
                let mut variables = self
                    .inner
                    .variables
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                variables.as_of_ms = as_of_ms;
                Ok(())
            }
            (TIME_ZONE, value) => {
                let zone = value.map_or_else(|| "UTC".to_owned(), |value| value.text());
                parse_zone(&zone)?;
                self.set_engine_option(ENGINE_TIME_ZONE, &zone)
            }
            (engine, Some(value)) if engine.starts_with("datafusion.") => {
                self.set_engine_option(engine, &value.text())
            }
            (engine, None) if engine.starts_with("datafusion.") => self.reset_engine_option(engine),
            (other, _) => Err(Error::invalid(format!(
                "there is no variable {other:?}{}",
                hint(other, [AS_OF, TIME_ZONE])
            ))),
        }
    }

    fn set_engine_option(&self, name: &str, value: &str) -> Result<()> {
        let state = self.inner.context.state_ref();
        let mut state = state.write();
        Ok(state.config_mut().options_mut().set(name, value)?)
    }

    fn reset_engine_option(&self, name: &str) -> Result<()> {
        let lake = self.inner.access.lake();
        let defaults = session_config(lake, lake.default_catalog());
        let entries = defaults.options().entries();
        let entry = entries
            .iter()
            .find(|entry| entry.key == name)
            .ok_or_else(|| {
                let names = entries.iter().map(|entry| entry.key.as_str());
                Error::invalid(format!(
                    "there is no variable {name:?}{}",
                    hint(name, names)
                ))
            })?;
        match &entry.value {
            Some(value) => self.set_engine_option(name, value),
            None => Err(Error::unsupported(format!(
                "{name} has no default to go back to"
            ))),
        }
    }

    fn variables(&self) -> Variables {
        self.inner
            .variables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("variables", &self.variables())
            .finish_non_exhaustive()
    }
}

/// The engine's settings of a session that nobody has changed yet.
fn session_config(lake: &Lake, catalog: &str) -> SessionConfig {
    let settings = lake.settings();
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(catalog, DEFAULT_NAMESPACE);
    if let Some(partitions) = settings.parallelism {
        config = config.with_target_partitions(partitions);
    }
    if let Some(rows) = settings.batch_size {
        config = config.with_batch_size(rows);
    }
    let options = config.options_mut();
    // Places of names in errors, and `||`, `->` and the like as the most dialects read them.
    options.sql_parser.collect_spans = true;
    options.execution.time_zone = Some("UTC".to_owned());
    config
}

/// What `current_timestamp` answers to one statement: whole microseconds, which every table holds.
pub(crate) fn instant(lake: &Lake) -> DateTime<Utc> {
    let ns = lake.clock().now_ns();
    DateTime::from_timestamp_nanos(ns - ns.rem_euclid(1_000))
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
