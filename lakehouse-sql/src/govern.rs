//! Privileges checked: the only maker of what may be planned.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::TableReference;
use datafusion::logical_expr::TableSource;
use lakehouse_core::error::Result;
use lakehouse_core::governance::Privilege;
use lakehouse_core::provider::Access;

use crate::resolve::{InsertForm, Intent, NamedTarget, Resolved, TableOrigin, privileges_of};
use crate::session_zone::in_zone;

/// Tables of one statement by their keys.
pub(crate) type GovernedTables = HashMap<TableReference, Arc<dyn TableSource>>;

/// A statement that the lake's policies admit, with the tables as its principal may see them.
pub struct Governed {
    intent: Intent,
    tables: GovernedTables,
}

impl fmt::Debug for Governed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<String> = self.tables.keys().map(ToString::to_string).collect();
        f.debug_struct("Governed")
            .field("intent", &self.intent)
            .field("tables", &tables)
            .finish()
    }
}

impl Governed {
    pub(crate) fn into_parts(self) -> (Intent, GovernedTables) {
        (self.intent, self.tables)
    }
}

/// The target of a call that changes rows, as the session's `zone` shows it: what [`govern`] is for
/// statements.
///
/// # Errors
/// As [`govern`].
pub(crate) fn govern_target(
    target: &NamedTarget,
    privileges: &[Privilege],
    key: &TableReference,
    access: &Access,
    zone: &Arc<str>,
) -> Result<Arc<dyn TableProvider>> {
    check_changes(access, target, privileges)?;
    let provider = access.open_with_metadata_columns(target.found.clone(), &target.columns)?;
    in_zone(key, provider, zone)
}

fn check_changes(access: &Access, target: &NamedTarget, privileges: &[Privilege]) -> Result<()> {
    privileges
        .iter()
        .try_for_each(|privilege| access.check(*privilege, &target.found))
}

/// Asks the policies about every table of a statement; what is read is in the session's `zone`.
///
/// # Errors
/// [`lakehouse_core::error::ErrorKind::PermissionDenied`] when one access is denied; a policy
/// source that cannot answer denies.
pub(crate) fn govern(resolved: Resolved, access: &Access, zone: &Arc<str>) -> Result<Governed> {
    let (intent, resolved_tables) = resolved.into_parts();
    let mut tables: GovernedTables = HashMap::with_capacity(resolved_tables.len());
    let also = match &intent {
        Intent::Rows { insert, .. } => insert.as_ref().map(InsertForm::privileges),
        _ => None,
    };
    for table in resolved_tables {
        let provider = match table.source {
            TableOrigin::Context {
                provider,
                privilege: Privilege::Select,
            } => in_zone(&table.key, provider, zone)?,
            TableOrigin::Context { provider, .. } => provider,
            TableOrigin::Lake {
                found,
                privilege: Privilege::Select,
                metadata_columns,
            } => {
                let provider = match metadata_columns.is_empty() {
                    true => access.open(*found)?,
                    false => access.open_with_metadata_columns(*found, &metadata_columns)?,
                };
                in_zone(&table.key, provider, zone)?
            }
            TableOrigin::Lake { found, .. } => {
                for privilege in also.iter().flatten() {
                    access.check(*privilege, &found)?;
                }
                access.target(*found)?
            }
        };
        tables.insert(table.key, provider_as_source(Arc::clone(&provider)));
    }
    if let Intent::Changes(changes) = &intent {
        check_changes(access, &changes.target, &privileges_of(&changes.kind))?;
    }
    if let Intent::Command { command, .. } = &intent {
        for (privilege, target) in command.accesses() {
            access.check_ident(privilege, &target.catalog_name, &target.ident)?;
        }
    }
    Ok(Governed { intent, tables })
}
