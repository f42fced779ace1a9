//! Functions and options of a session as the engine's planner looks them up.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::config::ConfigOptions;
use datafusion::common::file_options::file_type::FileType;
use datafusion::common::{DFSchema, TableReference, plan_datafusion_err};
use datafusion::datasource::file_format::format_as_file_type;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, RelationPlanner, TypePlanner,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::prelude::Expr;
use datafusion::sql::planner::ParserOptions;

use crate::type_planner::TableTypes;

/// Functions and options of a session, without any table: for constant expressions.
pub(crate) struct FunctionsOnly<'a> {
    state: &'a SessionState,
    types: Arc<TableTypes>,
}

impl<'a> FunctionsOnly<'a> {
    pub(crate) fn new(state: &'a SessionState) -> Self {
        let zone = state.config_options().execution.time_zone.clone();
        let types = TableTypes {
            zone: zone.unwrap_or_else(|| "UTC".to_owned()),
        };
        Self {
            state,
            types: Arc::new(types),
        }
    }

    /// The session whose functions these are.
    pub(crate) fn state(&self) -> &SessionState {
        self.state
    }

    /// The session's planners of relations.
    pub(crate) fn relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    /// A table made by a function such as `range(1, 10)`, whose arguments must be constant.
    pub(crate) fn table_function(
        &self,
        name: &str,
        arguments: Vec<Expr>,
    ) -> Result<Arc<dyn TableSource>> {
        let functions = self.state.table_functions();
        let function = functions.get(&name.to_lowercase()).ok_or_else(|| {
            let hint = lakehouse_core::name::hint(name, functions.keys().map(String::as_str));
            plan_datafusion_err!("there is no table function {name}{hint}")
        })?;
        let simplify = SimplifyContext::default()
            .with_config_options(Arc::clone(self.state.config_options()))
            .with_query_execution_start_time(
                self.state.execution_props().query_execution_start_time,
            );
        let simplifier = ExprSimplifier::new(simplify);
        let schema = DFSchema::empty();
        let arguments: Vec<Expr> = arguments
            .into_iter()
            .map(|argument| {
                simplifier
                    .coerce(argument, &schema)
                    .and_then(|expr| simplifier.simplify(expr))
            })
            .collect::<Result<_>>()?;
        Ok(provider_as_source(
            function.create_table_provider(&arguments)?,
        ))
    }
}

/// The parser's options of a session.
pub(crate) fn parser_options(state: &SessionState) -> ParserOptions {
    let options = &state.config_options().sql_parser;
    ParserOptions {
        parse_float_as_decimal: options.parse_float_as_decimal,
        enable_ident_normalization: options.enable_ident_normalization,
        enable_options_value_normalization: options.enable_options_value_normalization,
        support_varchar_with_length: options.support_varchar_with_length,
        map_string_types_to_utf8view: options.map_string_types_to_utf8view,
        collect_spans: options.collect_spans,
        default_null_ordering: options.default_null_ordering.as_str().into(),
    }
}

impl ContextProvider for FunctionsOnly<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        Err(plan_datafusion_err!(
            "table {name} cannot stand in a constant expression"
        ))
    }

    fn get_file_type(&self, extension: &str) -> Result<Arc<dyn FileType>> {
        self.state
            .get_file_format_factory(extension)
            .map(format_as_file_type)
            .ok_or_else(|| plan_datafusion_err!("there is no file format {extension:?}"))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        let types: Arc<TableTypes> = Arc::clone(&self.types);
        Some(types)
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let functions = self.state.scalar_functions();
        if let Some(function) = functions.get(name) {
            return Some(Arc::clone(function));
        }
        // Partition transforms are in the `system` namespace of each catalog.
        let name = name.to_lowercase();
        let (namespace, function) = name.rsplit_once('.')?;
        let is_system = namespace == "system" || namespace.ends_with(".system");
        let known = functions.get(&format!("system.{function}"));
        known.filter(|_| is_system).map(Arc::clone)
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).map(Arc::clone)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).map(Arc::clone)
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
