//! Puts local files and the folders that name them on the disk.
//!
//! The object store's local part never syncs, so a power cut after a commit could leave a pointer
//! to files the disk never saw.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Syncs each file once, then each folder above them that may be new.
pub(super) async fn sync_files(files: Vec<PathBuf>) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    crate::runtime::blocking(move || sync_files_now(&files)).await?
}

fn sync_files_now(files: &[PathBuf]) -> Result<()> {
    let mut folders = BTreeSet::new();
    for file in files {
        sync_path(file)?;
        // A folder made by this write is named by its parent: three levels cover
        // table/data/partition, and an old folder costs one cheap call.
        folders.extend(file.ancestors().skip(1).take(4).map(Path::to_path_buf));
    }
    for folder in folders
        .iter()
        .rev()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        match sync_path(folder) {
            // A folder above the lake may not be ours to open.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

fn sync_path(path: &Path) -> Result<()> {
    let synced: io::Result<()> = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| {
        let error = Error::from(error);
        Error::new(
            error.kind(),
            "a file could not be put on the disk, so nothing was committed",
        )
        .with_context("file", path.display())
        .with_source(error)
    })
}
