//! A catalog in one SQLite file, in the layout of PyIceberg's `SqlCatalog`.

mod connection;
mod layout;
mod pointers;
mod queue;
mod root;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};

use super::CatalogParts;
use super::pointer::PointerCatalog;
use crate::error::{Error, Result};
use crate::runtime;
use crate::settings::Durability;
use crate::storage::absolute_path;
pub(crate) use connection::End;
use connection::{Access, Connections};
use layout::Layout;
pub use pointers::SqlitePointers;

/// The name of the catalog file in a lake's folder.
pub const CATALOG_FILE: &str = "catalog.db";
/// The name that a new file's rows carry; PyIceberg opens it by this name.
pub const CATALOG_NAME: &str = "lake";

/// A catalog in one SQLite file that PyIceberg, Java's JDBC catalog and several processes of this
/// library can use at the same time.
///
/// The file is used in the layout it has, with or without `iceberg_type`, and nothing of it is ever
/// altered: no columns, no journal mode, no tables of others. Views are left alone. Since the
/// layout joins a namespace's parts by dots, a part cannot hold one.
///
/// Processes that write queue in hidden folders beside the file, which are there only meanwhile.
/// Others, such as PyIceberg, need not: SQLite's lock decides, the queue keeps the order.
pub type SqliteCatalog = PointerCatalog<SqlitePointers>;

/// How a catalog file is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOptions {
    /// Makes the file, and its folder, when there is none, and a catalog of a file that is empty.
    pub create: bool,
    /// Opens for reading even what could be written.
    pub read_only: bool,
    /// The catalog's name inside the file; the only one found there when unset, and
    /// [`CATALOG_NAME`] in a file without rows.
    pub catalog_name: Option<String>,
    /// The root of new tables, as a path or URL; the folder of the file when unset. The file itself
    /// does not record it. A relative path is one below the working directory.
    pub warehouse: Option<String>,
    /// The namespace that a file has from its beginning when it is made.
    pub first_namespace: Option<String>,
    /// How long a change waits for other processes before it fails with
    /// [`crate::error::ErrorKind::Unavailable`], in milliseconds. Half of it at most is spent in the
    /// queue of processes, which is first come, first served; who waited longer goes on without.
    pub lock_wait_ms_max: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: false,
            read_only: false,
            catalog_name: None,
            warehouse: None,
            first_namespace: None,
            lock_wait_ms_max: 60_000,
        }
    }
}

impl SqliteCatalog {
    /// Opens the catalog in `file`, which statements address as `name`, or by its name inside the
    /// file when there is none.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] when there is no file and none is to be made;
    /// [`crate::error::ErrorKind::Corrupt`] when it is no SQLite file;
    /// [`crate::error::ErrorKind::InvalidInput`] when it holds no catalog, several of them and none
    /// was chosen, or when the lake was moved (the message names both places);
    /// [`crate::error::ErrorKind::PermissionDenied`] when it may not be opened.
    pub async fn open(
        name: Option<String>,
        file: impl Into<PathBuf>,
        options: OpenOptions,
        parts: CatalogParts,
    ) -> Result<Self> {
        let file = file.into();
        let durability = parts.storage.durability();
        let opened = runtime::blocking(move || open_now(&file, options, durability)).await??;
        let name = name.unwrap_or_else(|| opened.pointers.catalog_name().to_owned());
        Ok(Self::over(opened.pointers, name, opened.warehouse, parts))
    }

    /// Ends transactions in another way than by `COMMIT`.
    #[cfg(test)]
    pub(crate) fn end_by(&mut self, end: End) {
        self.pointers.end_by(end);
    }

    /// The catalog's name inside the file, under which PyIceberg opens it.
    pub fn catalog_name(&self) -> &str {
        self.pointers.catalog_name()
    }
}

struct Opened {
    pointers: SqlitePointers,
    warehouse: String,
}

fn open_now(file: &Path, options: OpenOptions, durability: Durability) -> Result<Opened> {
    let path = absolute_path(file)?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    let warehouse = root::warehouse(options.warehouse.as_deref(), &folder)?;
    let access = Access {
        path,
        read_only: options.read_only,
        durability,
        lock_wait_ms_max: options.lock_wait_ms_max,
        end: End::default(),
    };
    if options.create && !options.read_only {
        create(&access, &folder, &options)?;
    } else if !access.path.try_exists().unwrap_or(true) {
        return Err(Error::not_found(
            "there is no catalog file here; open it with `create` (--create) to have one made, or \
             check the path",
        )
        .with_context("file", access.path.display()));
    }
    let path = access.path.clone();
    let connections = Connections::new(access)?;
    let (layout, catalog_name, recorded) = connections.with(|session| {
        let layout = Layout::of(session, &path)?;
        let names = session.read(rows::catalog_names)?;
        let name = choose_name(names, options.catalog_name.as_deref(), &path)?;
        let recorded = session.read(|connection| {
            rows::Rows {
                connection,
                catalog: &name,
                layout,
            }
            .locations()
        })?;
        Ok((layout, name, recorded))
    })?;
    // Tables may stand beside the catalog file or below a warehouse that was named.
    if let Some(root) = root::local_folder(&warehouse) {
        root::check(&root, &recorded, options.warehouse.is_some())?;
    }
    Ok(Opened {
        pointers: SqlitePointers::new(connections, layout, catalog_name),
        warehouse,
    })
}

fn create(access: &Access, folder: &Path, options: &OpenOptions) -> Result<()> {
    let is_new = !access.path.exists();
    fs::create_dir_all(folder).map_err(|error| in_folder(error, folder))?;
    let catalog = options.catalog_name.as_deref().unwrap_or(CATALOG_NAME);
    layout::create(access, catalog, options.first_namespace.as_deref())?;
    if is_new && access.durability == Durability::Full {
        // The names of the file and of its folder must be on the disk as well.
        for named in [Some(folder), folder.parent()].into_iter().flatten() {
            match fs::File::open(named).and_then(|opened| opened.sync_all()) {
                // The folder above may be nobody's to open.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                other => other.map_err(|error| in_folder(error, named))?,
            }
        }
    }
    Ok(())
}

fn in_folder(error: std::io::Error, folder: &Path) -> Error {
    let error = Error::from(error);
    Error::new(error.kind(), "the lake's folder cannot be made or written")
        .with_context("folder", folder.display())
        .with_source(error)
}

fn choose_name(found: Vec<String>, wanted: Option<&str>, file: &Path) -> Result<String> {
    if let Some(wanted) = wanted {
        return Ok(wanted.to_owned());
    }
    match found.as_slice() {
        [] => Ok(CATALOG_NAME.to_owned()),
        [only] => Ok(only.clone()),
        several => Err(Error::invalid(format!(
            "the catalog file holds several catalogs, {several:?}; say which one with the setting \
             catalog_name"
        ))
        .with_context("file", file.display())),
    }
}

/// The catalog file of a lake's folder: [`CATALOG_FILE`], else the only SQLite file in it with a
/// catalog's tables, else `None`.
///
/// # Errors
/// [`crate::error::ErrorKind::InvalidInput`], naming them, when there are several;
/// [`crate::error::ErrorKind::NotFound`] or [`crate::error::ErrorKind::PermissionDenied`] when the
/// folder cannot be listed.
pub async fn find_catalog_file(folder: impl Into<PathBuf>) -> Result<Option<PathBuf>> {
    let folder = folder.into();
    runtime::blocking(move || find_now(&folder)).await?
}

fn find_now(folder: &Path) -> Result<Option<PathBuf>> {
    let unlisted = |error: std::io::Error| {
        let error = Error::from(error);
        Error::new(error.kind(), "the lake's folder cannot be listed")
            .with_context("folder", folder.display())
            .with_source(error)
    };
    let usual = folder.join(CATALOG_FILE);
    if usual.is_file() {
        return Ok(Some(usual));
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unlisted)? {
        let path = entry.map_err(unlisted)?.path();
        let access = Access {
            path,
            read_only: true,
            durability: Durability::None,
            lock_wait_ms_max: OpenOptions::default().lock_wait_ms_max,
            end: End::default(),
        };
        if access.path.is_file() && layout::is_catalog_file(&access) {
            found.push(access.path);
        }
    }
    found.sort();
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => {
            let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
            Err(Error::invalid(format!(
                "the folder holds several catalog files, {names:?}; \
                 name one in the settings or call it {CATALOG_FILE:?}"
            ))
            .with_context("folder", folder.display()))
        }
    }
}
