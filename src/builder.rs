//! A lake put together of settings and parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakehouse_core::catalog::{Catalog, CatalogParts};
use lakehouse_core::clock::check_clock;
use lakehouse_core::commit::Commits;
use lakehouse_core::governance::{AdmitAll, PolicySource};
use lakehouse_core::lake::{Lake, LakeParts};
use lakehouse_core::runtime::Runtime;
use lakehouse_core::scan::ScanContext;
#[cfg(feature = "aws")]
use lakehouse_core::settings::CatalogSettings;
use lakehouse_core::storage::Storage;

#[cfg(feature = "aws")]
use crate::GlueSettings;
use crate::open::{open_catalog, open_location};
use crate::{Clock, Error, Lakehouse, Result, Settings, SystemClock};

/// Puts a [`Lakehouse`] together: settings are data, catalogs and clock are parts.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> lakehouse::Result<()> {
/// use lakehouse::{Lakehouse, Settings};
///
/// let settings = Settings { memory_budget_bytes: Some(256 << 20), ..Settings::default() };
/// let lake = Lakehouse::builder().location("memory:").settings(settings).build().await?;
/// assert_eq!(lake.default_catalog(), "lake");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder makes nothing before `build`"]
pub struct LakehouseBuilder {
    location: Option<String>,
    open_only: bool,
    settings: Settings,
    catalogs: BTreeMap<String, Arc<dyn Catalog>>,
    clock: Option<Arc<dyn Clock>>,
    storage: Option<Storage>,
    policies: Option<Arc<dyn PolicySource>>,
    #[cfg(feature = "aws")]
    glue: Vec<(String, GlueSettings)>,
}

/// The name of a Glue catalog that is given none.
#[cfg(feature = "aws")]
const GLUE_CATALOG: &str = "glue_catalog";

impl LakehouseBuilder {
    /// The lake's own folder or `memory:`, as [`Lakehouse::open`] takes it.
    pub fn location(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// Whether a missing lake is made (the default) or an error.
    pub fn create(mut self, create: bool) -> Self {
        self.open_only = !create;
        self
    }

    /// Numbers and switches, and the catalogs they describe.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// A catalog under a name of the program's choice.
    pub fn catalog(mut self, name: impl Into<String>, catalog: Arc<dyn Catalog>) -> Self {
        self.catalogs.insert(name.into(), catalog);
        self
    }

    /// A Glue data catalog under the name by which statements address it. Region, account and
    /// credentials come from where AWS' own tools take them; [`Self::glue_with`] says the rest.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> lakehouse::Result<()> {
    /// use lakehouse::Lakehouse;
    ///
    /// let lake = Lakehouse::builder().glue("glue_catalog").build().await?;
    /// let query = "SELECT * FROM glue_catalog.silver.transactions \
    ///              FOR SYSTEM_TIME AS OF '2025-01-14 00:00:00' LIMIT 10";
    /// println!("{}", lake.session()?.sql(query).await?.to_table().await?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "aws")]
    pub fn glue(mut self, name: impl Into<String>) -> Self {
        self.glue.push((name.into(), GlueSettings::default()));
        self
    }

    /// How the Glue catalog that was named last is reached; one named `glue_catalog` when none was.
    #[cfg(feature = "aws")]
    pub fn glue_with(mut self, settings: GlueSettings) -> Self {
        match self.glue.last_mut() {
            Some((_, last)) => *last = settings,
            None => self.glue.push((GLUE_CATALOG.to_owned(), settings)),
        }
        self
    }

    /// Where time and identifiers come from; the machine's when unset.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The stores of the lake's own catalogs; local files and a memory of its own when unset.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Who may do what; everybody everything when unset.
    ///
    /// Policies are asked about tables that statements find by their names in a catalog. They do not
    /// guard the rest yet, so a program that lets others write SQL must:
    ///
    /// - files: `SELECT * FROM 'file.parquet'`, `CREATE EXTERNAL TABLE` and `COPY … TO` ask nothing,
    ///   and can reach whatever the process can, the lake's own folder as well;
    /// - `read_iceberg('…')` asks about a table `file.<folder>`, not about the one whose file it is;
    /// - namespaces: they are made, listed and dropped without being asked about.
    ///
    /// Lists of tables hold those that may be described.
    pub fn policies(mut self, policies: Arc<dyn PolicySource>) -> Self {
        self.policies = Some(policies);
        self
    }

    /// Opens the catalogs and puts the lake together.
    ///
    /// # Errors
    /// As [`Lakehouse::open`]; also when there is no catalog, several and no default one, or two of
    /// one name, for settings out of their range, and for a clock that nobody has set.
    pub async fn build(self) -> Result<Lakehouse> {
        #[cfg(feature = "aws")]
        let this = self.with_glue()?;
        #[cfg(not(feature = "aws"))]
        let this = self;
        this.build_all().await
    }

    /// The Glue catalogs as settings like any other.
    #[cfg(feature = "aws")]
    fn with_glue(mut self) -> Result<Self> {
        for (name, settings) in std::mem::take(&mut self.glue) {
            let settings = CatalogSettings::Glue(Box::new(settings));
            if self
                .settings
                .catalogs
                .insert(name.clone(), settings)
                .is_some()
            {
                return Err(two_catalogs(&name));
            }
        }
        Ok(self)
    }

    async fn build_all(self) -> Result<Lakehouse> {
        self.settings.check()?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        check_clock(clock.as_ref())?;
        let storage = match self.storage {
            Some(storage) => storage,
            None => Storage::new(clock.as_ref(), self.settings.durability)?,
        };
        let mut parts = CatalogParts::new(storage.clone(), Arc::clone(&clock));
        parts.metadata_bytes_max = self.settings.caches.metadata_bytes_max;
        let create = !self.open_only;

        let mut catalogs = self.catalogs;
        let mut own = None;
        if let Some(location) = &self.location {
            let catalog = open_location(location, create, parts.clone()).await?;
            own = Some(catalog.name().to_owned());
            add(&mut catalogs, catalog.name().to_owned(), catalog)?;
        }
        for (name, settings) in &self.settings.catalogs {
            let catalog = open_catalog(name, settings, create, parts.clone()).await?;
            add(&mut catalogs, name.clone(), catalog)?;
        }
        let default_catalog = default_catalog(&self.settings, own, &catalogs)?;
        let storage = with_buckets(storage, &default_catalog, &catalogs, clock.as_ref())?;

        let runtime = Runtime::new(&self.settings, &storage)?;
        for catalog in catalogs.values() {
            runtime.register_storage(catalog.storage());
        }
        let scans = ScanContext::new(&self.settings);
        let commits = Commits::new(Arc::clone(&clock));
        let lake = Lake::new(LakeParts {
            commits: commits.with_manifests(scans.manifests().clone()),
            scans,
            policies: self.policies.unwrap_or_else(|| Arc::new(AdmitAll)),
            settings: self.settings,
            clock,
            storage,
            runtime,
            catalogs,
            default_catalog,
        })?;
        Ok(Lakehouse { lake })
    }
}

/// The lake's own storage, which files named by statements are read from, with the buckets of one of
/// its catalogs: the default one, else the first that has any.
fn with_buckets(
    storage: Storage,
    default_catalog: &str,
    catalogs: &BTreeMap<String, Arc<dyn Catalog>>,
    clock: &dyn Clock,
) -> Result<Storage> {
    if storage.remote_stores().is_some() {
        return Ok(storage);
    }
    let first = catalogs.get(default_catalog);
    let remote = first
        .into_iter()
        .chain(catalogs.values())
        .find_map(|catalog| catalog.storage().remote_stores().map(Arc::clone));
    match remote {
        Some(remote) => storage.with_remote_stores(clock, remote),
        None => Ok(storage),
    }
}

fn add(
    catalogs: &mut BTreeMap<String, Arc<dyn Catalog>>,
    name: String,
    catalog: Arc<dyn Catalog>,
) -> Result<()> {
    if catalogs.contains_key(&name) {
        return Err(two_catalogs(&name));
    }
    catalogs.insert(name, catalog);
    Ok(())
}

fn two_catalogs(name: &str) -> Error {
    Error::invalid(format!("there are two catalogs of the name {name:?}"))
}

/// The one that is named, else the location's, else the only one.
fn default_catalog(
    settings: &Settings,
    own: Option<String>,
    catalogs: &BTreeMap<String, Arc<dyn Catalog>>,
) -> Result<String> {
    if let Some(name) = settings.default_catalog.clone().or(own) {
        return Ok(name);
    }
    let mut names = catalogs.keys();
    match (names.next(), names.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(Error::invalid(
            "a lake needs a catalog: give a location, a catalog or settings that describe one",
        )),
        (Some(_), Some(_)) => Err(Error::invalid(
            "the lake has several catalogs; name the default one with `default_catalog`",
        )),
    }
}
