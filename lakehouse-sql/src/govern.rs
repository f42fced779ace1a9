//! Privileges checked: the only maker of what may be planned.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::TableReference;
use datafusion::logical_expr::TableSource;
use lakehouse_core::error::Result;
use lakehouse_core::governance::Privilege;
use lakehouse_core::provider::Access;

use crate::resolve::{Intent, Resolved, TableOrigin};
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

/// Asks the policies about every table of a statement; what is read is in the session's `zone`.
///
/// # Errors
/// [`lakehouse_core::error::ErrorKind::PermissionDenied`] when one access is denied; a policy
/// source that cannot answer denies.
pub(crate) fn govern(resolved: Resolved, access: &Access, zone: &Arc<str>) -> Result<Governed> {
    let (intent, resolved_tables) = resolved.into_parts();
    let mut tables: GovernedTables = HashMap::with_capacity(resolved_tables.len());
    for table in resolved_tables {
        let provider = match table.source {
            TableOrigin::Context(provider) => provider,
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
            TableOrigin::Lake { found, .. } => access.target(*found)?,
        };
        tables.insert(table.key, provider_as_source(Arc::clone(&provider)));
    }
    if let Intent::Changes(changes) = &intent {
        for privilege in changes.privileges() {
            access.check(privilege, &changes.target)?;
        }
    }
    if let Intent::Command { command, .. } = &intent {
        for (privilege, target) in command.accesses() {
            access.check_ident(privilege, &target.catalog_name, &target.ident)?;
        }
    }
    Ok(Governed { intent, tables })
}
