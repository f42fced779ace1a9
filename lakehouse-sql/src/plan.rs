//! From a governed statement to a plan: what the engine can resolve is only what was governed.

mod change;
mod conflict;
mod context;
mod delete;
mod insert;
mod merge;
mod update;

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::common::format::ExplainFormat;
use datafusion::common::{Column, SchemaError, TableReference, ToDFSchema};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr_rewriter::normalize_col;
use datafusion::logical_expr::planner::ContextProvider;
use datafusion::logical_expr::{self, Analyze, LogicalPlan, PlanType, ToStringifiedPlan};
use datafusion::prelude::Expr;
use datafusion::sql::parser::{ExplainStatement, Statement};
use datafusion::sql::planner::SqlToRel;
use datafusion::sql::sqlparser::ast;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::lake::Lake;
use lakehouse_core::name::{hint, quote};

use context::GovernedContext;

use crate::functions::parser_options;
use crate::govern::Governed;
use crate::resolve::{ChangeKind, Command, Explanation, InsertForm, Intent, NamedTarget};

/// How many columns an error names when none is near the one that was asked for.
const COLUMNS_LISTED: usize = 8;

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
    /// An insert of the rows of a file.
    Copied {
        plan: Box<LogicalPlan>,
        /// The file, as written.
        file: String,
    },
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
pub(crate) fn plan(governed: Governed, lake: &Lake, state: &SessionState) -> Result<Plan> {
    let (intent, tables) = governed.into_parts();
    let tables = match &intent {
        Intent::Rows {
            statement,
            insert: Some(form),
        } => insert::aim(statement, form, tables)?,
        _ => tables,
    };
    let context = GovernedContext::new(state, tables);
    let planner = SqlToRel::new_with_options(&context, parser_options(state));
    let work = match intent {
        Intent::Rows { statement, insert } => {
            let form = insert.unwrap_or_default();
            let rows = plan_rows(*statement, &form, &planner, &context)?;
            let plan = Box::new(match form.overwrite {
                Some(_) => insert::with_reads(rows, state)?,
                None => rows,
            });
            match form.file {
                Some(file) => Work::Copied { plan, file },
                None => Work::Rows(plan),
            }
        }
        Intent::Changes(mut changes) => {
            let explanation = changes.explain.take();
            let plan = change::plan_changes(*changes, lake, &planner, &context, state)?;
            let plan = match explanation {
                Some(explanation) => to_explain(plan, explanation, &context)?,
                None => plan,
            };
            Work::Rows(Box::new(plan))
        }
        Intent::Command { command, source } => {
            let source = match source {
                Some(query) => {
                    let query = ast::Statement::Query(query);
                    let planned = planner
                        .sql_statement_to_plan(query)
                        .map_err(planning_error)?;
                    Some(Box::new(planned))
                }
                None => None,
            };
            Work::Command { command, source }
        }
    };
    Ok(Plan { work })
}

/// Plans a change of rows by a call: `input` has the target's columns first, which is governed, and
/// `items` are the expressions that `kind` names by number.
///
/// # Errors
/// As [`plan`].
pub(crate) fn plan_change(
    target: NamedTarget,
    input: LogicalPlan,
    items: Vec<Expr>,
    kind: ChangeKind,
    lake: &Lake,
    state: &SessionState,
) -> Result<Plan> {
    let items = items
        .into_iter()
        .map(|item| normalize_col(item, &input).map_err(planning_error))
        .collect::<Result<_>>()?;
    let fields = target.found.table.schema().as_struct().fields().len();
    let found = change::Found::of(input, items, fields + target.columns.len())?;
    let plan = change::plan_found(target, kind, &found, lake, state)?;
    Ok(Plan {
        work: Work::Rows(Box::new(plan)),
    })
}

/// Plans what the engine plans, inserts of queries apart.
fn plan_rows(
    statement: Statement,
    form: &InsertForm,
    planner: &SqlToRel<'_, GovernedContext<'_>>,
    context: &GovernedContext<'_>,
) -> Result<LogicalPlan> {
    match statement {
        Statement::Statement(inner) => match *inner {
            ast::Statement::Insert(insert) if !insert::is_engines(&insert, form) => {
                insert::plan_insert(insert, form, planner, context)
            }
            other => planner.sql_statement_to_plan(other).map_err(planning_error),
        },
        Statement::Explain(explain) => plan_explain(explain, form, planner, context),
        other => planner.statement_to_plan(other).map_err(planning_error),
    }
}

/// An explanation of the plan that the statement would have here, which for an insert is not the
/// one of the engine's own planner.
fn plan_explain(
    explain: ExplainStatement,
    form: &InsertForm,
    planner: &SqlToRel<'_, GovernedContext<'_>>,
    context: &GovernedContext<'_>,
) -> Result<LogicalPlan> {
    let ExplainStatement {
        analyze,
        verbose,
        format,
        statement,
    } = explain;
    let format = format.as_deref().map(ExplainFormat::from_str).transpose()?;
    let explanation = Explanation {
        analyze,
        verbose,
        format,
    };
    to_explain(
        plan_rows(*statement, form, planner, context)?,
        explanation,
        context,
    )
}

/// A plan to be explained instead of run.
fn to_explain(
    plan: LogicalPlan,
    explanation: Explanation,
    context: &GovernedContext<'_>,
) -> Result<LogicalPlan> {
    let Explanation {
        analyze,
        verbose,
        format,
    } = explanation;
    if format.is_some() && (analyze || verbose) {
        return Err(Error::unsupported(
            "EXPLAIN takes a FORMAT, or ANALYZE or VERBOSE, not both",
        ));
    }
    let explained = Arc::new(plan);
    let schema = LogicalPlan::explain_schema().to_dfschema_ref()?;
    if analyze {
        return Ok(LogicalPlan::Analyze(Analyze {
            verbose,
            input: explained,
            schema,
        }));
    }
    let format = match format {
        _ if verbose => ExplainFormat::Indent,
        Some(format) => format,
        None => context.options().explain.format.clone(),
    };
    Ok(LogicalPlan::Explain(logical_expr::Explain {
        verbose,
        explain_format: format,
        stringified_plans: vec![explained.to_stringified(PlanType::InitialLogicalPlan)],
        plan: explained,
        schema,
        logical_optimization_succeeded: false,
    }))
}

/// The engine's planning error with the place it names, when it does.
fn planning_error(error: DataFusionError) -> Error {
    let place = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let clearer = unknown_column(&error)
        .or_else(|| repeated_name(&error))
        .or_else(|| outer_field(&error));
    let error = match clearer {
        Some(clearer) => clearer,
        None => Error::from(error),
    };
    match place {
        Some(span) => error
            .with_context("line", span.start.line)
            .with_context("column", span.start.column),
        None => error,
    }
}

/// The engine speaks of its schema, the user has written names.
fn repeated_name(error: &DataFusionError) -> Option<Error> {
    let DataFusionError::SchemaError(schema, _) = error.find_root() else {
        return None;
    };
    let SchemaError::DuplicateQualifiedField { qualifier, .. } = schema.as_ref() else {
        return None;
    };
    Some(Error::invalid(format!(
        "two tables of this query are called {}; give one of them another name with AS",
        quote(qualifier.table())
    )))
}

/// A field of a column of the query around that is written without the table's name.
fn outer_field(error: &DataFusionError) -> Option<Error> {
    const REFUSAL: &str = "Nested identifiers are not yet supported for OuterReferenceColumn ";
    let DataFusionError::NotImplemented(message) = error.find_root() else {
        return None;
    };
    let column = message.strip_prefix(REFUSAL)?;
    Some(Error::unsupported(format!(
        "a field of column {column} of the query around is named with its table here: write \
         {column}.field"
    )))
}

/// The engine lists every column there is; the nearest ones say more.
fn unknown_column(error: &DataFusionError) -> Option<Error> {
    let DataFusionError::SchemaError(schema, _) = error.find_root() else {
        return None;
    };
    let SchemaError::FieldNotFound {
        field,
        valid_fields,
    } = schema.as_ref()
    else {
        return None;
    };
    let known = |table: &TableReference| {
        valid_fields
            .iter()
            .filter_map(|column| column.relation.as_ref())
            .any(|relation| relation.resolved_eq(table) || relation.table() == table.table())
    };
    if let Some(table) = field.relation.as_ref().filter(|table| !known(table)) {
        let tables: BTreeSet<&str> = valid_fields
            .iter()
            .filter_map(|column| column.relation.as_ref())
            .map(TableReference::table)
            .collect();
        let hint = hint(table.table(), tables);
        return Some(Error::not_found(format!(
            "there is no table {} in this query{hint}",
            quote(table.table())
        )));
    }
    let names: Vec<&str> = valid_fields.iter().map(Column::name).collect();
    let hint = match hint(&field.name, names.iter().copied()) {
        hint if hint.is_empty() && names.is_empty() => String::new(),
        hint if hint.is_empty() => {
            let some: Vec<String> = names
                .iter()
                .take(COLUMNS_LISTED)
                .map(|name| quote(name))
                .collect();
            let more = if names.len() > COLUMNS_LISTED {
                ", …"
            } else {
                ""
            };
            format!("; there are {}{more}", some.join(", "))
        }
        hint => hint,
    };
    Some(Error::not_found(format!(
        "there is no column {}{hint}",
        quote(&field.name)
    )))
}
