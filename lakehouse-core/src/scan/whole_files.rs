//! Whether a condition selects whole files, so that rows can be deleted without reading them.

use iceberg::spec::ManifestContentType;

use super::file_filter::{Matched, manifest_may_match, matched_rows};
use super::manifest::{MANIFEST_READS_MAX, read_list, read_manifests};
use super::manifest_cache::ManifestCache;
use super::placed_file::placed_files;
use super::predicate::Predicate;
use crate::error::Result;
use crate::table::Table;

/// Whether each file of the table's snapshot surely holds matching rows only, or none, by its
/// partition and its columns' bounds. `predicate` must be the condition itself, not one that is good
/// enough for pruning.
///
/// # Errors
/// [`crate::error::ErrorKind::NotFound`] and [`crate::error::ErrorKind::Corrupt`] for a missing or
/// damaged manifest.
pub async fn selects_whole_files(
    table: &Table,
    predicate: &Predicate,
    manifests: &ManifestCache,
) -> Result<bool> {
    let Some(snapshot) = table.snapshot() else {
        return Ok(true);
    };
    let list = read_list(table.storage(), snapshot, manifests).await?;
    let wanted: Vec<_> = list
        .iter()
        .filter(|file| file.content == ManifestContentType::Data)
        .filter(|file| file.has_added_files() || file.has_existing_files())
        .filter(|file| manifest_may_match(predicate, file, table.metadata()))
        .collect();
    for chunk in wanted.chunks(MANIFEST_READS_MAX) {
        let chunk = chunk.iter().map(|file| (*file).clone()).collect();
        for read in read_manifests(table.storage(), chunk, manifests).await? {
            let is_partly = placed_files(&read)?
                .iter()
                .any(|file| file.is_alive() && matched_rows(predicate, file) == Matched::Unknown);
            if is_partly {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
