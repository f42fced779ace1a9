//! What a change wrote: its files, seen in the table's folder, and what its snapshot says of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lakehouse::{Error, Result};
use serde_json::Value;

/// Path and size of every file in a folder.
#[derive(Debug)]
pub(super) struct Listing(BTreeMap<PathBuf, u64>);

/// What one statement wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// New data and delete files, those that nothing refers to included.
    pub(super) bytes: u64,
    pub(super) metadata_bytes: u64,
    pub(super) data_files: u64,
    pub(super) delete_files: u64,
    pub(super) removed_data_files: u64,
}

impl Listing {
    /// What is there now.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let mut found = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                let kind = entry.metadata()?;
                match kind.is_dir() {
                    true => folders.push(entry.path()),
                    false => {
                        found.insert(entry.path(), kind.len());
                    }
                }
            }
        }
        Ok(Self(found))
    }

    /// The files that are here and were not in `before`.
    fn new_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a Path, u64)> {
        let new = self
            .0
            .iter()
            .filter(|(path, _)| !before.0.contains_key(*path));
        new.map(|(path, size)| (path.as_path(), *size))
    }

    /// Removes what was not in `before`.
    pub(super) fn remove_new_since(&self, before: &Self) -> Result<()> {
        for (path, _) in self.new_since(before) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// What was written between two listings, `metadata` being the table's metadata file afterwards.
pub(super) fn between(before: &Listing, after: &Listing, metadata: &Path) -> Result<Written> {
    let mut written = Written::default();
    for (path, size) in after.new_since(before) {
        let name = path.file_name().and_then(|name| name.to_str());
        // Hadoop's checksums stand beside each file it writes.
        if name.is_none_or(|name| name.ends_with(".crc")) {
            continue;
        }
        let is_metadata = path
            .parent()
            .is_some_and(|folder| folder.ends_with("metadata"));
        match is_metadata {
            true => written.metadata_bytes += size,
            false => written.bytes += size,
        }
    }
    let metadata: Value = serde_json::from_slice(&std::fs::read(metadata)?)?;
    let current = &metadata["current-snapshot-id"];
    let snapshots = metadata["snapshots"].as_array();
    let snapshot = snapshots.and_then(|all| all.iter().find(|one| one["snapshot-id"] == *current));
    let snapshot = snapshot.ok_or_else(|| Error::not_found("the table has no snapshot"))?;
    let count = |key: &str| {
        let value = snapshot["summary"][key].as_str();
        value.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    written.data_files = count("added-data-files");
    written.delete_files = count("added-delete-files");
    written.removed_data_files = count("deleted-data-files");
    Ok(written)
}
