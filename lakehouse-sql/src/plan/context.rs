//! What the engine's planner may look up: the governed tables of one statement, and functions.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::config::ConfigOptions;
use datafusion::common::file_options::file_type::FileType;
use datafusion::common::{TableReference, plan_datafusion_err};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, RelationPlanner, TypePlanner,
};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::prelude::Expr;

use crate::functions::FunctionsOnly;
use crate::govern::GovernedTables;

/// The planner's view of one statement: its governed tables and nothing else.
pub(crate) struct GovernedContext<'a> {
    functions: FunctionsOnly<'a>,
    tables: GovernedTables,
}

impl<'a> GovernedContext<'a> {
    pub(crate) fn new(state: &'a SessionState, tables: GovernedTables) -> Self {
        Self {
            functions: FunctionsOnly::new(state),
            tables,
        }
    }

    pub(super) fn state(&self) -> &SessionState {
        self.functions.state()
    }
}

impl ContextProvider for GovernedContext<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        self.tables
            .get(&name)
            .map(Arc::clone)
            .ok_or_else(|| plan_datafusion_err!("there is no table {name}"))
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.functions.relation_planners()
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> Result<Arc<dyn TableSource>> {
        self.functions.table_function(name, args)
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(
            name, schema,
        ))))
    }

    fn get_file_type(&self, extension: &str) -> Result<Arc<dyn FileType>> {
        self.functions.get_file_type(extension)
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.functions.get_expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        self.functions.get_type_planner()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.get_function_meta(name)
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.get_aggregate_meta(name)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.get_window_meta(name)
    }

    fn get_variable_type(&self, names: &[String]) -> Option<DataType> {
        self.functions.get_variable_type(names)
    }

    fn options(&self) -> &ConfigOptions {
        self.functions.options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions.udf_names()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.functions.udaf_names()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.functions.udwf_names()
    }
}
