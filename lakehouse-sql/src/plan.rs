//! From a governed statement to a plan: what the engine can resolve is only what was governed.

mod context;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::planner::SqlToRel;
use lakehouse_core::error::{Error, Result};

pub(crate) use context::{FunctionsOnly, GovernedContext, GovernedTables, parser_options};

use crate::govern::Governed;
use crate::resolve::{Command, Intent};

/// What is executed: rows of a logical plan, or a command of ours.
#[derive(Debug)]
pub struct Plan {
    pub(crate) work: Work,
}

/// The two kinds of work.
#[derive(Debug)]
pub(crate) enum Work {
    /// A query, an insert or an explanation.
    Rows(Box<LogicalPlan>),
    /// A change of definitions, refs or the session; a lookup of names.
    Command {
        /// What to do.
        command: Box<Command>,
        /// The rows a new table begins with.
        source: Option<Box<LogicalPlan>>,
    },
}

/// Plans a governed statement.
///
/// # Errors
/// Names and types that do not fit, with their place in the SQL where the engine tells it.
pub(crate) fn plan(governed: Governed, state: &SessionState) -> Result<Plan> {
    let (intent, tables) = governed.into_parts();
    let context = GovernedContext::new(state, tables);
    let planner = SqlToRel::new_with_options(&context, parser_options(state));
    let work = match intent {
        Intent::Rows(statement) => {
            let planned = planner.statement_to_plan(*statement).map_err(planning_error)?;
            Work::Rows(Box::new(planned))
        }
        Intent::Command { command, source } => {
            let source = match source {
                Some(query) => {
                    let query = datafusion::sql::sqlparser::ast::Statement::Query(query);
                    let planned =
                        planner.sql_statement_to_plan(query).map_err(planning_error)?;
                    Some(Box::new(planned))
                }
                None => None,
            };
            Work::Command { command, source }
        }
    };
    Ok(Plan { work })
}

/// The engine's planning error with the place it names, when it does.
fn planning_error(error: datafusion::error::DataFusionError) -> Error {
    let place = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let error = Error::from(error);
    match place {
        Some(span) => error.with_context("line", span.start.line).with_context("column", span.start.column),
        None => error,
    }
}
