//! An embedded lakehouse: Apache Iceberg tables, SQL and time travel on Apache DataFusion.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> lakehouse::Result<()> {
//! use lakehouse::{Lakehouse, datafusion};
//!
//! let lake = Lakehouse::open("memory:").await?;
//! let session = lake.session()?;
//! session.sql("CREATE TABLE trips (id BIGINT, city VARCHAR) PARTITIONED BY (city)").await?;
//! session.sql("INSERT INTO trips VALUES (1, 'Oslo'), (2, 'Lima')").await?;
//! session.sql("ALTER TABLE trips CREATE TAG first_load").await?;
//! session.sql("INSERT INTO trips VALUES (3, 'Pune')").await?;
//!
//! let now = session.sql("SELECT count(*) FROM trips").await?.to_table().await?;
//! assert!(now.contains("| 3"));
//! let before = "SELECT count(*) FROM trips FOR VERSION AS OF 'first_load'";
//! assert!(session.sql(before).await?.to_table().await?.contains("| 2"));
//!
//! // Values from outside are parameters: `$1`, `$2` … or `$name`.
//! let city = vec![datafusion::common::ScalarValue::from("Lima")];
//! let found = session.sql_with("SELECT id FROM trips WHERE city = $1", city).await?;
//! assert!(found.to_table().await?.contains("| 2"));
//! # Ok(())
//! # }
//! ```
//!
//! [`Lakehouse`] opens a lake; [`Session`] runs SQL on it; [`Table`] is a table at one version.
//! [`Lakehouse::register`] puts a lake into a program's own DataFusion context. The oldest Rust it
//! needs is 1.94.

mod builder;
mod location;
mod open;
mod settings_file;

use std::sync::Arc;
use std::time::Duration;

use datafusion::prelude::SessionContext;

pub use arrow;
pub use datafusion;
pub use lakehouse_core as core;

pub use builder::LakehouseBuilder;
pub use lakehouse_core::clock::{Clock, SystemClock};
pub use lakehouse_core::error::{Error, ErrorKind, Result};
pub use lakehouse_core::settings::{GlueSettings, Settings};
pub use lakehouse_core::table::{Table, Version};
pub use lakehouse_sql::{ChangeCounts, QueryResult, Session};
pub use settings_file::read_settings;

use lakehouse_core::catalog::Catalog;
use lakehouse_core::governance::Principal;
use lakehouse_core::lake::{DEFAULT_NAMESPACE, Lake, Selector};
use lakehouse_core::name::{Name, NamespaceIdent, parse_name};

/// SQL text and statements, for programs that run several statements of one text.
pub mod sql {
    pub use lakehouse_sql::statement;
    pub use lakehouse_sql::{
        ChangeCounts, MatchedClause, MergeBuilder, NotMatchedClause, QueryResult, Session,
        Statement, TableChange, UpdateBuilder, parse,
    };
}

/// The way of a Glue catalog to AWS, examined step by step.
#[cfg(feature = "aws")]
pub mod doctor {
    pub use lakehouse_aws::{Check, Diagnosis, Examination, Finding, Step, examine, examine_with};
}

/// A lake: catalogs of Iceberg tables, and everything that sessions on them share.
///
/// Cheap to clone, `Send` and `Sync`; any number of sessions may be at work at once.
#[derive(Debug, Clone)]
pub struct Lakehouse {
    lake: Lake,
}

impl Lakehouse {
    /// Opens the lake of a folder (a path or a `file:` URL), or makes one in a missing or empty
    /// folder, or to its end where that was interrupted; `memory:` makes one that ends with the
    /// program.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a folder that holds something else, so that a typo makes
    /// nothing, and for a lake that was moved; [`ErrorKind::Unsupported`] for other URLs, by name.
    pub async fn open(location: impl AsRef<str>) -> Result<Self> {
        Self::builder().location(location.as_ref()).build().await
    }

    /// A lake of parts and settings of the program's choice.
    pub fn builder() -> LakehouseBuilder {
        LakehouseBuilder::default()
    }

    /// The lake that a settings file describes; a SQLite catalog whose file does not exist yet is
    /// made.
    ///
    /// # Errors
    /// As [`Self::open`]; also when the settings name no catalog.
    pub async fn from_settings(settings: Settings) -> Result<Self> {
        Self::builder().settings(settings).build().await
    }

    /// A session of the lake's owner.
    ///
    /// # Errors
    /// When the engine refuses the lake's settings.
    pub fn session(&self) -> Result<Session> {
        Session::try_new(self.lake.clone(), Principal::owner())
    }

    /// Waits, at most so long, for writes and commits that are under way, and for the deletion of
    /// what statements that failed or were cancelled have written; false when some of it goes on.
    ///
    /// To be called before a program ends its tokio runtime: what is cut off then leaves files that
    /// no table names.
    pub async fn work_ended(&self, at_most: Duration) -> bool {
        self.lake.work_ended(at_most).await
    }

    /// Puts the lake's catalogs into a program's own context, with version clauses under every
    /// dialect that has them; see [`lakehouse_sql::register`] for what such a context refuses.
    ///
    /// # Errors
    /// When the lake's names cannot be read, or the context has a catalog of the same name.
    pub async fn register(&self, context: &SessionContext) -> Result<()> {
        lakehouse_sql::register(&self.lake, context).await
    }

    /// A table by its name, `"t"`, `"namespace.t"` or `"catalog.namespace.t"`, as it is now; a name
    /// may select a version (`"t.tag_x"`). Parts that hold dots are quoted: `"\"a.b\".t"`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with the nearest names.
    pub async fn table(&self, name: &str) -> Result<Table> {
        let parts = parse_name(name)?;
        let namespace = NamespaceIdent::new(DEFAULT_NAMESPACE.to_owned());
        let catalog = self.lake.default_catalog();
        let found = self.lake.find_table(&parts, catalog, &namespace).await?;
        match found.selector {
            None => Ok(found.table),
            Some(Selector::Version(version)) => found.table.at(version),
            Some(Selector::Metadata(kind)) => Err(Error::invalid(format!(
                "{name:?} names the metadata table {:?}; query it with SQL",
                kind.name()
            ))),
        }
    }

    /// A catalog by its name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with the nearest names.
    pub fn catalog(&self, name: &str) -> Result<&Arc<dyn Catalog>> {
        Ok(self.lake.catalog(&Name::new(name))?.1)
    }

    /// The name of the catalog of unqualified names.
    pub fn default_catalog(&self) -> &str {
        self.lake.default_catalog()
    }

    /// The settings the lake was opened with.
    pub fn settings(&self) -> &Settings {
        self.lake.settings()
    }

    /// The parts behind the lake, for programs that go below SQL.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }
}

/// Holds the README's example to what compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
