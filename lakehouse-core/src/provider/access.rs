//! Who reads a lake through the engine, and the only way from a found table to a provider.

use std::sync::Arc;

use datafusion::catalog::TableProvider;

use super::metadata_table::MetadataTableProvider;
use super::table::LakeTable;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::{Decision, Principal, Privilege};
use crate::lake::{FoundTable, Lake, Selector};
use crate::name::{TableIdent, quote};
use crate::scan::MetadataColumn;

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
        self.check_ident(privilege, &found.catalog_name, found.table.ident())
    }

    /// As [`Self::check`], for a table that may not exist yet.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_ident(
        &self,
        privilege: Privilege,
        catalog_name: &str,
        ident: &TableIdent,
    ) -> Result<()> {
        let policies = self.lake.policies();
        match policies.decide(&self.principal, privilege, catalog_name, ident)? {
            Decision::Admit => Ok(()),
            Decision::Deny(_) => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "{} may not do this with table {}",
                    self.principal.name(),
                    quote(ident.name())
                ),
            )),
        }
    }

    /// Whether a table may stand in a list of names.
    pub fn may_list(&self, catalog_name: &str, ident: &TableIdent) -> bool {
        self.check_ident(Privilege::Describe, catalog_name, ident)
            .is_ok()
    }

    /// The provider of a table that may be written to.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`].
    pub fn target(&self, found: FoundTable) -> Result<Arc<dyn TableProvider>> {
        self.check(Privilege::Insert, &found)?;
        self.writable(found)
    }

    fn writable(&self, found: FoundTable) -> Result<Arc<dyn TableProvider>> {
        let table = self.lake_table(&found)?;
        Ok(Arc::new(table.with_insert(self.lake.clone(), found)))
    }

    fn lake_table(&self, found: &FoundTable) -> Result<LakeTable> {
        LakeTable::new(found.table.clone(), self.lake.scans().clone())
    }

    /// As [`Self::open`], with metadata columns behind the table's own; the provider can only be
    /// read. Metadata tables have none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_metadata_columns(
        &self,
        found: FoundTable,
        columns: &[MetadataColumn],
    ) -> Result<Arc<dyn TableProvider>> {
        self.check(Privilege::Select, &found)?;
        let table = match &found.selector {
            None => self.lake_table(&found)?,
            Some(Selector::Version(version)) => self.lake_table(&found)?.at(version.clone())?,
            Some(Selector::Metadata(_)) => return self.open(found),
        };
        Ok(Arc::new(table.with_metadata_columns(columns)?))
    }

    /// The provider of a table that may be read, at the version its name selects.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`]; a version that does not exist.
    pub fn open(&self, found: FoundTable) -> Result<Arc<dyn TableProvider>> {
        self.check(Privilege::Select, &found)?;
        match found.selector.clone() {
            // What was pinned to a version can only be read.
            None if found.table.version().is_some() => Ok(Arc::new(self.lake_table(&found)?)),
            None => self.writable(found),
            Some(Selector::Version(version)) => {
                let table = found.table.at(version)?;
                Ok(Arc::new(LakeTable::new(table, self.lake.scans().clone())?))
            }
            Some(Selector::Metadata(kind)) => {
                let manifests = self.lake.scans().manifests().clone();
                Ok(Arc::new(MetadataTableProvider::try_new(
                    found.table,
                    kind,
                    manifests,
                )?))
            }
        }
    }
}
