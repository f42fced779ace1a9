//! A lake inside a program's own engine context.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::catalog::{Session as EngineSession, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{TableReference, plan_datafusion_err};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result as EngineResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    Expr as LogicalExpr, LogicalPlan, LogicalPlanBuilder, TableType, WriteOp,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Expr, TableFactor, TableVersion};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::governance::Principal;
use lakehouse_core::lake::Lake;
use lakehouse_core::provider::{Access, LakeCatalog, LakeTable, RowChangeNode};
use parking_lot::RwLock;

use crate::column_alias::ColumnAliasPlanner;
use crate::constant::{Constants, instant};
use crate::exact_cast::{exact_assignments, exact_casts};
use crate::lossy_cast::LossyCastRule;
use crate::parse::VersionClause;

/// Installs a lake's catalogs, object store and version clauses in a program's own context.
///
/// What a foreign context cannot run (ALTER, CALL, UPDATE, DELETE, the AS OF spellings that only
/// our parser knows) is refused with a hint to `Session::sql`; a version clause works or is an
/// error under every dialect, and never reads current data.
///
/// # Errors
/// When the lake's names cannot be read, or a catalog of the context has the name of one of the
/// lake's.
pub async fn register(lake: &Lake, context: &SessionContext) -> Result<()> {
    for name in lake.catalogs().keys() {
        if context.catalog(name).is_some() {
            return Err(Error::invalid(format!(
                "the context already has a catalog {name:?}; give the lake's another name"
            )));
        }
    }
    let access = Access::new(lake.clone(), Principal::owner());
    let storages = lake.catalogs().values().map(|catalog| catalog.storage());
    for storage in storages.chain([lake.storage()]) {
        context
            .runtime_env()
            .register_object_store(storage.url().as_ref(), storage.routing_store());
    }
    for name in lake.catalogs().keys() {
        let catalog = Arc::new(LakeCatalog::try_new(access.clone(), name)?);
        catalog.refresh().await?;
        context.register_catalog(name, catalog);
    }
    let planner = VersionPlanner::new(lake, context);
    context.register_relation_planner(Arc::new(planner))?;
    context.add_analyzer_rule(Arc::new(WriteRule));
    context.add_analyzer_rule(Arc::new(LossyCastRule));
    Ok(())
}

/// Installs the catalogs of a session of ours; returns them by name. The context wraps them, so that
/// what only they know is asked of them.
pub(crate) fn register_catalogs(
    access: &Access,
    context: &SessionContext,
) -> Result<BTreeMap<String, Arc<LakeCatalog>>> {
    let mut catalogs = BTreeMap::new();
    for name in access.lake().catalogs().keys() {
        let catalog = Arc::new(LakeCatalog::try_new(access.clone(), name)?);
        catalogs.insert(name.clone(), Arc::clone(&catalog));
        context.register_catalog(name, catalog);
    }
    let planner = VersionPlanner::new(access.lake(), context);
    context.register_relation_planner(Arc::new(planner))?;
    context.register_relation_planner(Arc::new(ColumnAliasPlanner))?;
    context.add_analyzer_rule(Arc::new(WriteRule));
    context.add_analyzer_rule(Arc::new(LossyCastRule));
    Ok(catalogs)
}

/// Claims every version clause: pins a lake's table, refuses the rest.
///
/// The engine's own planner ignores a clause that nobody claims and reads current data.
struct VersionPlanner {
    lake: Lake,
    /// Weak, because the context owns its planners.
    state: Weak<RwLock<SessionState>>,
}

impl VersionPlanner {
    fn new(lake: &Lake, context: &SessionContext) -> Self {
        Self {
            lake: lake.clone(),
            state: context.state_weak_ref(),
        }
    }
}

impl fmt::Debug for VersionPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionPlanner").finish_non_exhaustive()
    }
}

impl RelationPlanner for VersionPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> EngineResult<RelationPlanning> {
        let TableFactor::Table {
            name,
            alias,
            version: Some(version),
            args: None,
            ..
        } = &relation
        else {
            return match relation {
                TableFactor::Table {
                    name,
                    version: Some(version),
                    ..
                } => Err(plan_datafusion_err!(
                    "`{version}` behind {name}: a function has no versions"
                )),
                other => Ok(RelationPlanning::Original(Box::new(other))),
            };
        };
        let clause = foreign_clause(version)?;
        let reference = context.object_name_to_table_reference(name.clone())?;
        let source = context
            .context_provider()
            .get_table_source(reference.clone())?;
        let provider = source_as_provider(&source)?;
        let table = provider
            .as_any()
            .downcast_ref::<LakeTable>()
            .ok_or_else(|| {
                Error::unsupported(format!("{name} is no table of a lake and has no versions"))
            })?;
        let state = self
            .state
            .upgrade()
            .ok_or_else(|| Error::internal("a context planned after it was dropped"))?;
        let state = state.read().clone();
        let constants = Constants::try_new(&state, instant(&self.lake), None)?;
        let pinned = table.at(constants.version(&clause)?)?;
        let source = provider_as_source(Arc::new(pinned));
        let plan = LogicalPlanBuilder::scan(reference, source, None)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan,
            alias.clone(),
        ))))
    }
}

/// Watches writes to a lake's tables: refuses what the engine's own planner gets wrong, and loses
/// no fraction of a timestamp on the way in.
///
/// DELETE and UPDATE reach a provider as filters that the engine recovers from an optimised plan; a
/// filter that was optimised away reads there as "all rows".
#[derive(Debug)]
struct WriteRule;

impl AnalyzerRule for WriteRule {
    fn name(&self) -> &str {
        "lakehouse_writes"
    }

    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> EngineResult<LogicalPlan> {
        let mut dml = match plan {
            LogicalPlan::Dml(dml) => dml,
            // `EXPLAIN ANALYZE INSERT` writes too.
            LogicalPlan::Analyze(mut analyze) => {
                let input = self.analyze(Arc::unwrap_or_clone(analyze.input), options)?;
                analyze.input = Arc::new(input);
                return Ok(LogicalPlan::Analyze(analyze));
            }
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<RowChangeNode>() => {
                return exact_assignments(LogicalPlan::Extension(extension), options);
            }
            other => return Ok(other),
        };
        let Ok(provider) = source_as_provider(&dml.target) else {
            return Ok(LogicalPlan::Dml(dml));
        };
        let Some(target) = provider.as_any().downcast_ref::<LakeTable>() else {
            return Ok(LogicalPlan::Dml(dml));
        };
        match dml.op {
            WriteOp::Insert(InsertOp::Append) => {
                let columns = target.table().schema().as_struct().fields();
                let input = Arc::unwrap_or_clone(dml.input);
                dml.input = Arc::new(exact_casts(input, columns, options)?);
                Ok(LogicalPlan::Dml(dml))
            }
            ref other => {
                let refused = RefusedWrite {
                    statement: other.name().to_uppercase(),
                    table: dml.table_name.clone(),
                    schema: Arc::new(dml.output_schema.as_arrow().clone()),
                };
                let source = provider_as_source(Arc::new(refused));
                LogicalPlanBuilder::scan(dml.table_name, source, None)?.build()
            }
        }
    }
}

/// What stands for a write that is refused: its rows cannot be had, and the error says why. An
/// error of a rule or of the engine's way to a write would come with the names of both.
#[derive(Debug)]
struct RefusedWrite {
    statement: String,
    table: TableReference,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for RefusedWrite {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn EngineSession,
        _projection: Option<&Vec<usize>>,
        _filters: &[LogicalExpr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Err(Error::unsupported(format!(
            "{} on table {} cannot run in this context; use `Session::sql`",
            self.statement, self.table
        ))
        .into())
    }
}

/// The clauses that the parser's own dialects know.
fn foreign_clause(version: &TableVersion) -> Result<VersionClause> {
    match version {
        TableVersion::ForSystemTimeAsOf(operand) | TableVersion::TimestampAsOf(operand) => {
            Ok(VersionClause::Timestamp(operand.clone()))
        }
        TableVersion::VersionAsOf(operand) => Ok(VersionClause::Version(operand.clone())),
        TableVersion::Function(Expr::Function(function)) => Err(Error::unsupported(format!(
            "`{function}` after a table is not offered here; use `Session::sql` with \
             `FOR SYSTEM_TIME AS OF` or `FOR VERSION AS OF`"
        ))),
        TableVersion::Function(other) => Err(Error::unsupported(format!(
            "`{other}` after a table is not offered; use `Session::sql`"
        ))),
    }
}
