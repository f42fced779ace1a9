//! Deleting files that nothing names, without letting a failure hide what is being told.

use futures::StreamExt;

use crate::storage::Storage;

/// Deletions under way at a time.
const DELETIONS_MAX: usize = 16;

/// Deletes files, a missing one counts as deleted; returns how many could not be, which is also
/// logged: they are left for orphan removal.
pub(super) async fn delete_all<'a>(
    storage: &Storage,
    locations: impl Iterator<Item = &'a str>,
) -> u64 {
    let owned: Vec<String> = locations.map(str::to_owned).collect();
    futures::stream::iter(owned)
        .map(|location| {
            let storage = storage.clone();
            async move {
                storage.delete(&location).await.map_err(|error| {
                    tracing::warn!(%error, file = location, "a file could not be deleted");
                })
            }
        })
        .buffer_unordered(DELETIONS_MAX)
        .filter(|deleted| std::future::ready(deleted.is_err()))
        .count()
        .await as u64
}
