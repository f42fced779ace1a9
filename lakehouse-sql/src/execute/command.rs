//! Commands of ours: definitions, procedures, variables.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use iceberg::NamespaceIdent;
use lakehouse_core::catalog::Catalog;
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::lake::{DEFAULT_NAMESPACE, dotted};
use lakehouse_core::name::quote;
use lakehouse_core::procedure::{Arguments, CallContext, ParameterKind, Procedures};

use super::{QueryResult, alter, create, show};
use crate::constant::Constants;
use crate::environment::Environment;
use crate::resolve::{Command, NamespaceTarget, SessionTable, SettingValue, TableTarget};
use crate::statement::CreateNamespace;

/// Runs a command.
pub(super) async fn run(
    command: Command,
    source: Option<LogicalPlan>,
    session: &Environment,
    state: &SessionState,
) -> Result<QueryResult> {
    match command {
        Command::Nothing => {}
        Command::CreateNamespace {
            catalog,
            namespace,
            definition,
        } => {
            create_namespace(&catalog, &namespace, definition).await?;
        }
        Command::DropNamespaces {
            namespaces,
            if_exists,
        } => drop_namespaces(namespaces, if_exists).await?,
        Command::CreateTable { target, definition } => {
            return create::create_table(target, *definition, source, session, state).await;
        }
        Command::ReplaceTable { table, definition } => {
            return create::replace_table(&table, *definition, source, session, state).await;
        }
        Command::DropTables {
            tables,
            own,
            purge,
            if_exists,
        } => {
            own.iter().try_for_each(SessionTable::remove)?;
            for found in tables {
                let dropped = drop_table(session, &found, purge).await;
                unless_gone(dropped, if_exists, &found).await?;
            }
        }
        Command::AlterTable {
            table,
            action,
            if_exists,
        } => {
            let altered = alter::alter_table(&table, action, session, state).await;
            unless_gone(altered, if_exists, &TableTarget::of(&table)).await?;
        }
        Command::RenameTable {
            table,
            to,
            if_exists,
        } => {
            let from = TableTarget::of(&table);
            let renamed = table.catalog.rename_table(&from.ident, &to.ident).await;
            unless_gone(renamed, if_exists, &from).await?;
        }
        Command::Call {
            catalog_name,
            procedure,
            arguments,
        } => {
            return call(catalog_name, &procedure, arguments, session, state).await;
        }
        Command::Show(target) => return show::show(target, session).await,
        Command::Set { name, value } => set(session, &name, value)?,
        Command::Use {
            catalog_name,
            namespace,
        } => session.use_namespace(catalog_name, namespace),
    }
    Ok(QueryResult::empty())
}

fn set(session: &Environment, name: &str, value: Option<SettingValue>) -> Result<()> {
    match value {
        Some(SettingValue::TimeMs(ms)) => {
            session.set_as_of(Some(ms));
            Ok(())
        }
        Some(SettingValue::Constant(value)) => {
            let text = match value.try_as_str().flatten() {
                Some(text) => text.to_owned(),
                None => value.to_string(),
            };
            session.set(name, Some(text))
        }
        None => session.set(name, None),
    }
}

async fn create_namespace(
    catalog: &Arc<dyn Catalog>,
    namespace: &NamespaceIdent,
    definition: CreateNamespace,
) -> Result<()> {
    let mut properties: HashMap<_, _> = definition.properties.into_iter().collect();
    if let Some(comment) = definition.comment {
        properties.insert("comment".to_owned(), comment);
    }
    if let Some(location) = definition.location {
        properties.insert("location".to_owned(), location);
    }
    match catalog.create_namespace(namespace, properties).await {
        Err(error) if definition.if_not_exists => match error.kind() {
            // Somebody else made it since it was looked for.
            ErrorKind::AlreadyExists => Ok(()),
            ErrorKind::Unknown if catalog.namespace_properties(namespace).await.is_ok() => Ok(()),
            _ => Err(error),
        },
        ended => ended,
    }
}

/// How a statement about a table ended; with `IF EXISTS` one that others have dropped or renamed
/// since it was looked for is no error.
async fn unless_gone(ended: Result<()>, if_exists: bool, table: &TableTarget) -> Result<()> {
    match ended {
        Err(error)
            if if_exists && error.kind() == ErrorKind::NotFound && table.is_free().await? =>
        {
            Ok(())
        }
        ended => ended,
    }
}

/// Drops all namespaces, or none when one of them holds more than the others.
async fn drop_namespaces(mut namespaces: Vec<NamespaceTarget>, if_exists: bool) -> Result<()> {
    // Somebody else dropped it since it was looked for.
    let unless_gone = |ended: Result<()>| match ended {
        Err(error) if if_exists && error.kind() == ErrorKind::NotFound => Ok(()),
        ended => ended,
    };
    // A namespace inside of another goes first.
    namespaces.sort_by_key(|target| std::cmp::Reverse(target.namespace.len()));
    if namespaces.len() > 1 {
        for target in &namespaces {
            unless_gone(refuse_full_namespace(target, &namespaces).await)?;
        }
    }
    for target in &namespaces {
        unless_gone(target.catalog.drop_namespace(&target.namespace).await)?;
    }
    Ok(())
}

async fn refuse_full_namespace(target: &NamespaceTarget, others: &[NamespaceTarget]) -> Result<()> {
    let NamespaceTarget {
        catalog_name,
        catalog,
        namespace,
    } = target;
    let stays = |inner: &NamespaceIdent| {
        inner.len() > namespace.len()
            && inner.as_ref().starts_with(namespace.as_ref())
            && !others
                .iter()
                .any(|other| other.catalog_name == *catalog_name && other.namespace == *inner)
    };
    let content = if !catalog.list_tables(namespace).await?.is_empty() {
        "tables"
    } else if catalog.list_namespaces().await?.iter().any(stays) {
        "namespaces"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!(
        "namespace {} still has {content}, so none of the namespaces was dropped",
        quote(&dotted(namespace))
    )))
}

async fn drop_table(session: &Environment, found: &TableTarget, purge: bool) -> Result<()> {
    if !purge {
        return found.catalog.drop_table(&found.ident).await;
    }
    let commits = session.access().lake().commits();
    let purged = commits.purge(&found.catalog, &found.ident).await?;
    if purged.failed_files > 0 {
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "the table was dropped, but {} of its files could not be deleted; the log names them",
                purged.failed_files
            ),
        ));
    }
    Ok(())
}

async fn call(
    catalog_name: Option<String>,
    name: &str,
    given: Vec<(Option<String>, ScalarValue)>,
    session: &Environment,
    state: &SessionState,
) -> Result<QueryResult> {
    let procedures = Procedures::of_core();
    let procedure = procedures.get(name)?;
    let instant = state
        .execution_props()
        .query_execution_start_time
        .unwrap_or_default();
    let constants = Constants::try_new(state, instant, None)?;
    let parameters = procedure.parameters();
    let mut arguments = Vec::with_capacity(given.len());
    for (position, (name, value)) in given.into_iter().enumerate() {
        let parameter = match &name {
            Some(name) => parameters.iter().find(|parameter| parameter.name == name),
            None => parameters.get(position),
        };
        // Times are read here, because they depend on the session's zone.
        let is_time = parameter.is_some_and(|parameter| parameter.kind == ParameterKind::Timestamp);
        let value = match is_time && !value.is_null() {
            true => ScalarValue::Int64(Some(constants.timestamp_ms(&value)?)),
            false => value,
        };
        arguments.push((name, value));
    }
    let arguments = Arguments::try_new(procedure.as_ref(), arguments)?;
    let current = session.variables();
    let (catalog, namespace) = match catalog_name {
        // The session's namespace is one of the session's catalog.
        Some(other) if other != current.catalog => {
            (other, NamespaceIdent::new(DEFAULT_NAMESPACE.to_owned()))
        }
        _ => (current.catalog, current.namespace),
    };
    let context = CallContext {
        access: session.access(),
        catalog,
        namespace,
    };
    let rows = procedure.call(&context, arguments).await?;
    Ok(QueryResult::of_batches(rows.schema(), vec![rows], false))
}
