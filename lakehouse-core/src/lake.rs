//! One lake: its catalogs, budgets and clock, and how names find tables in it.

mod lookup;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iceberg::NamespaceIdent;

pub use lookup::{FoundName, FoundTable, Selector};

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::commit::Commits;
use crate::error::{Error, Result};
use crate::governance::PolicySource;
use crate::name::{Name, hint};
use crate::runtime::Runtime;
use crate::scan::ScanContext;
use crate::settings::Settings;
use crate::storage::Storage;

/// The namespace of unqualified names, present in every new lake.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The parts a lake is wired of; everything that sessions share.
///
/// Cheap to clone; clones are the same lake.
#[derive(Debug, Clone)]
pub struct Lake {
    parts: Arc<LakeParts>,
}

/// What a [`Lake`] is made of.
#[derive(Debug)]
pub struct LakeParts {
    /// Numbers and switches.
    pub settings: Settings,
    /// Time and identifiers.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub storage: Storage,
    /// Memory, spill folder, tasks.
    pub runtime: Runtime,
    /// Catalogs by the names statements address them with.
    pub catalogs: BTreeMap<String, Arc<dyn Catalog>>,
    /// The catalog of names that do not name one.
    pub default_catalog: String,
    /// Commits, grouped by table.
    pub commits: Commits,
    /// Caches that scans share.
    pub scans: ScanContext,
    /// Who may do what.
    pub policies: Arc<dyn PolicySource>,
}

impl Lake {
    /// Puts the parts together.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] when the default catalog is none of the catalogs.
    pub fn new(parts: LakeParts) -> Result<Self> {
        if !parts.catalogs.contains_key(&parts.default_catalog) {
            let names = parts.catalogs.keys().map(String::as_str);
            return Err(Error::invalid(format!(
                "the default catalog {:?} is none of the lake's catalogs{}",
                parts.default_catalog,
                hint(&parts.default_catalog, names)
            )));
        }
        Ok(Self {
            parts: Arc::new(parts),
        })
    }

    /// Numbers and switches.
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// Time and identifiers.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// Files.
    pub fn storage(&self) -> &Storage {
        &self.parts.storage
    }

    /// Memory, spill folder, tasks.
    pub fn runtime(&self) -> &Runtime {
        &self.parts.runtime
    }

    /// Waits, at most so long, for the end of what works on files, see [`Storage::work_ended`];
    /// false when some of it goes on.
    pub async fn work_ended(&self, at_most: Duration) -> bool {
        let late = self.clock().sleep(at_most);
        let ended = async {
            self.storage().work_ended().await;
            for catalog in self.catalogs().values() {
                catalog.storage().work_ended().await;
            }
        };
        tokio::select! {
            biased;
            () = ended => true,
            () = late => false,
        }
    }

    /// Commits, grouped by table.
    pub fn commits(&self) -> &Commits {
        &self.parts.commits
    }

    /// Caches that scans share.
    pub fn scans(&self) -> &ScanContext {
        &self.parts.scans
    }

    /// Who may do what.
    pub fn policies(&self) -> &Arc<dyn PolicySource> {
        &self.parts.policies
    }

    /// Catalogs by name.
    pub fn catalogs(&self) -> &BTreeMap<String, Arc<dyn Catalog>> {
        &self.parts.catalogs
    }

    /// The catalog of names that do not name one.
    pub fn default_catalog(&self) -> &str {
        &self.parts.default_catalog
    }

    /// The catalog of a name, matched without regard to case.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] with the nearest names; ambiguity.
    pub fn catalog(&self, name: &Name) -> Result<(&str, &Arc<dyn Catalog>)> {
        self.find_catalog(name)?.ok_or_else(|| {
            let names = self.parts.catalogs.keys().map(String::as_str);
            Error::not_found(format!(
                "there is no catalog {name}{}",
                hint(name.as_str(), names)
            ))
        })
    }

    fn find_catalog(&self, name: &Name) -> Result<Option<(&str, &Arc<dyn Catalog>)>> {
        let catalogs: Vec<_> = self.parts.catalogs.iter().collect();
        let found = name.find(&catalogs, |(key, _)| key.as_str())?;
        Ok(found.map(|(key, catalog)| (key.as_str(), *catalog)))
    }
}

/// A namespace in the notation of one name: parts joined by dots.
pub fn dotted(namespace: &NamespaceIdent) -> String {
    namespace.as_ref().join(".")
}
