//! Plain, serialisable numbers and switches of a lake; no parts, nothing read from the environment.

mod glue;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use glue::{GlueSettings, S3PrefixSettings};

use crate::error::{Error, Result};

/// Everything a lake can be told as data, the form of a JSON or TOML file.
///
/// Each field has a default, so an empty file is a valid one. Unknown keys are refused, because a
/// misspelt setting that does nothing is worse than an error.
///
/// ```
/// use lakehouse_core::settings::Settings;
///
/// let settings: Settings = serde_json::from_str(
///     r#"{ "memory_budget_bytes": 268435456, "default_catalog": "lake" }"#,
/// )?;
/// assert_eq!(settings.memory_budget_bytes, Some(256 << 20));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Named catalogs; a lake opened by its folder adds one.
    pub catalogs: BTreeMap<String, CatalogSettings>,
    /// The catalog of unqualified names; the only one when unset.
    pub default_catalog: Option<String>,
    /// Memory for query execution, in bytes; no bound when unset.
    pub memory_budget_bytes: Option<u64>,
    /// Spilling to disk.
    pub spill: SpillSettings,
    /// Partitions a query is executed in, from 1 to [`PARALLELISM_MAX`]; unset takes the number of
    /// cores.
    pub parallelism: Option<usize>,
    /// Caches that sessions share.
    pub caches: CacheSettings,
    /// Whether a commit waits until its files are on the disk.
    pub durability: Durability,
    /// Rows per batch of query execution, from 1 to [`BATCH_ROWS_MAX`].
    pub batch_size: Option<usize>,
}

/// The most rows per batch: operators make room for a batch before they have its rows.
pub const BATCH_ROWS_MAX: usize = 1 << 20;

/// The most partitions that a query is executed in: each has tasks and buffers of its own.
pub const PARALLELISM_MAX: usize = 1 << 12;

/// What columns may take in memory where nothing is said about memory.
const COLUMN_CACHE_BYTES: u64 = 1 << 30;

impl Settings {
    /// Refuses numbers that nothing can be executed with.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] with key, value and range.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("batch_size", self.batch_size, BATCH_ROWS_MAX),
            ("parallelism", self.parallelism, PARALLELISM_MAX),
        ];
        for (key, count, max) in counts {
            if let Some(count) = count
                && !(1..=max).contains(&count)
            {
                return Err(Error::invalid(format!(
                    "the setting {key} must be from 1 to {max}, it is {count}"
                )));
            }
        }
        Ok(())
    }

    /// The most that decoded columns of data files may take in memory, in bytes.
    #[must_use]
    pub fn column_cache_bytes(&self) -> u64 {
        let usual = match self.memory_budget_bytes {
            Some(_) => 0,
            None => COLUMN_CACHE_BYTES,
        };
        self.caches.column_bytes_max.unwrap_or(usual)
    }
}

/// How one named catalog is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CatalogSettings {
    /// A SQLite file in the layout of PyIceberg's `SqlCatalog`.
    Sqlite {
        /// The catalog file; a relative path is one below the working directory.
        file: PathBuf,
        /// The root of new tables' folders, as a path, which may be relative as that of the file,
        /// or a URL; the folder of the file when unset.
        #[serde(default)]
        warehouse: Option<String>,
        /// The catalog's name inside the file, when it holds several.
        #[serde(default)]
        catalog_name: Option<String>,
    },
    /// A catalog that ends with the process.
    Memory {
        /// The root of the tables' folders, as a path or URL; `memory:///` when unset.
        #[serde(default)]
        warehouse: Option<String>,
    },
    /// An AWS Glue data catalog; needs the feature `aws` of the library.
    Glue(Box<GlueSettings>),
}

/// Where and how much a query may spill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpillSettings {
    /// The folder below which each process makes a private one; the system's temporary folder when
    /// unset.
    pub folder: Option<PathBuf>,
    /// The most a process keeps spilled, in bytes.
    pub bytes_max: u64,
}

impl Default for SpillSettings {
    fn default() -> Self {
        Self {
            folder: None,
            bytes_max: 100 << 30,
        }
    }
}

/// Sizes of the caches that sessions share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// Decoded table metadata files, in bytes of their JSON.
    pub metadata_bytes_max: u64,
    /// Decoded manifests and manifest lists, in bytes.
    pub manifest_bytes_max: u64,
    /// Parquet footers, in bytes.
    pub footer_bytes_max: u64,
    /// Decoded columns of data files, in bytes of memory; with 0 nothing is kept.
    ///
    /// A column of a row group is kept once it was asked for twice. When unset, 1 GiB without a
    /// memory budget and nothing with one; what is set is taken from the memory budget.
    pub column_bytes_max: Option<u64>,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            metadata_bytes_max: 64 << 20,
            manifest_bytes_max: 128 << 20,
            footer_bytes_max: 128 << 20,
            column_bytes_max: None,
        }
    }
}

/// Whether a commit on a local disk waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Data, manifests, metadata and their folders are synced before the pointer moves.
    #[default]
    Full,
    /// The operating system writes when it likes; a power cut may lose or damage commits.
    None,
}
