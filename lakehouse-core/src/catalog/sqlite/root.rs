//! Where a lake stands: the root of new tables, and whether its tables still stand there.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::storage::{Location, Scheme, absolute_location, folder_location};

/// Recorded files that are looked for at most; a lake is moved whole, so a few tell.
const LOOKED_FOR_MAX: usize = 16;

/// The root of new tables in a lake whose catalog file stands in `folder`, unless one is stated.
///
/// # Errors
/// [`crate::error::ErrorKind::InvalidInput`] for a folder below which no file can be named.
pub(super) fn warehouse(stated: Option<&str>, folder: &Path) -> Result<String> {
    let warehouse = match stated {
        Some(stated) => absolute_location(stated)?,
        None => folder_location(folder)?,
    };
    if local_folder(&warehouse).is_some() && Location::parse(&warehouse)?.path().is_err() {
        return Err(Error::invalid(format!(
            "the path {warehouse:?} holds a control character, such as a line feed, which \
             locations of tables cannot hold; rename the folder"
        )));
    }
    Ok(warehouse)
}

/// The folder that a warehouse location names, when it is a local one.
pub(super) fn local_folder(warehouse: &str) -> Option<PathBuf> {
    let location = Location::parse(warehouse).ok()?;
    (location.scheme() == Scheme::File).then(|| location.file_path())
}

/// Refuses a lake whose tables were recorded under another root and are not to be found there, or
/// are to be found here as well: written to, it would change the files of the lake it came from.
///
/// `stated` says that the caller named the root; missing tables are then the tables' matter.
pub(super) fn check(root: &Path, recorded: &[String], stated: bool) -> Result<()> {
    let files: Vec<PathBuf> = recorded
        .iter()
        .filter_map(|location| local_folder(location))
        .collect();
    // One table that stands here says that the lake lives here; others may stand where they like.
    if files.is_empty() || files.iter().any(|file| is_below(file, root)) {
        return Ok(());
    }
    let looked_for = &files[..files.len().min(LOOKED_FOR_MAX)];
    if let Some(old_root) = looked_for.iter().find_map(|file| old_root(file, root)) {
        return Err(moved(&old_root, root));
    }
    if !stated && looked_for.iter().all(|file| !file.exists()) {
        return Err(moved(&common_root(&files), root));
    }
    Ok(())
}

fn moved(old_root: &Path, root: &Path) -> Error {
    Error::invalid(
        "the lake was moved or copied: its tables were recorded under another folder than the one \
         it stands in, and Iceberg files name each other by full path; move it back, or make a new \
         lake and copy the tables into it",
    )
    .with_context("recorded under", old_root.display())
    .with_context("stands in", root.display())
}

/// Whether `file` lies below `root`, whatever links lead to either.
fn is_below(file: &Path, root: &Path) -> bool {
    if file.starts_with(root) {
        return true;
    }
    let real_root = root.canonicalize();
    let real_file = file.canonicalize();
    match (real_file, real_root) {
        (Ok(real_file), Ok(real_root)) => real_file.starts_with(real_root),
        // A file that is gone may still lie in a folder that is a link to this one.
        (Err(_), Ok(real_root)) => file
            .ancestors()
            .find_map(|folder| folder.canonicalize().ok())
            .is_some_and(|folder| folder.starts_with(real_root)),
        _ => false,
    }
}

/// The folder that takes the place of `root` in `file`'s path, if the rest of the path is to be
/// found below `root`.
fn old_root(file: &Path, root: &Path) -> Option<PathBuf> {
    let parts: Vec<Component<'_>> = file.components().collect();
    // At least table folder, `metadata` and file: less would be chance.
    (1..parts.len().saturating_sub(2)).find_map(|length| {
        let rest: PathBuf = parts[length..].iter().collect();
        root.join(rest)
            .exists()
            .then(|| parts[..length].iter().collect())
    })
}

/// The folder that all files lie below.
fn common_root(files: &[PathBuf]) -> PathBuf {
    let mut shared: Vec<Component<'_>> = files
        .first()
        .and_then(|file| file.parent())
        .map(|folder| folder.components().collect())
        .unwrap_or_default();
    for file in files {
        let same = shared
            .iter()
            .zip(file.components())
            .take_while(|(left, right)| **left == *right)
            .count();
        shared.truncate(same);
    }
    shared.iter().collect()
}
