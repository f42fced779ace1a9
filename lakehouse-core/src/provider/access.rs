//! Who reads a lake through the engine, and the only way from a found table to a provider.

use std::sync::Arc;

use datafusion::catalog::TableProvider;

use super::metadata_table::MetadataTableProvider;
use super::table::LakeTable;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::{Decision, Principal, Privilege};
use crate::lake::{FoundTable, Lake, Selector};
use crate::name::quote;

/// A lake as one principal may see it.
#[derive(Debug, Clone)]
pub struct Access {
    lake: Lake,
    principal: Principal,
}

impl Access {
    /// The lake as `principal` may see it.
    pub fn new(lake: Lake, principal: Principal) -> Self {
        Self { lake, principal }
    }

    /// The lake.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Asks the lake's policies.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] when they deny or cannot answer.
    pub fn check(&self, privilege: Privilege, found: &FoundTable) -> Result<()> {
        let ident = found.table.ident();
        let policies = self.lake.policies();
        match policies.decide(&self.principal, privilege, &found.catalog_name, ident)? {
            Decision::Admit => Ok(()),
            Decision::Deny(_) => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("{} may not do this with table {}", self.principal.name(), quote(ident.name())),
            )),
        }
    }

    /// The provider of a table that may be read, at the version its name selects.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`]; a version that does not exist.
    pub fn open(&self, found: FoundTable) -> Result<Arc<dyn TableProvider>> {
        self.check(Privilege::Select, &found)?;
        Ok(match found.selector.clone() {
            None => Arc::new(LakeTable::writable(self.lake.clone(), found)?),
            Some(Selector::Version(version)) => {
                let table = found.table.at(version)?;
                Arc::new(LakeTable::pinned(self.lake.clone(), FoundTable { table, ..found })?)
            }
            Some(Selector::Metadata(kind)) => {
                Arc::new(MetadataTableProvider::new(&self.lake, found.table, kind)?)
            }
        })
    }
}
