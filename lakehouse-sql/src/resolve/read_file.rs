//! Which files outside of the lake a statement reads.

use datafusion::datasource::listing::ListingTableUrl;
use lakehouse_core::error::Result;
use lakehouse_core::storage::refuse_special_file;

/// Refuses a file as it is written in a statement, as [`refuse_special`] does.
pub(super) async fn refuse_special_at(location: &str) -> Result<()> {
    match ListingTableUrl::parse(location) {
        Ok(url) => refuse_special(&url)
            .await
            .map_err(|error| error.with_context("file", location)),
        // The engine says what is wrong with it, or takes it for a name.
        Err(_) => Ok(()),
    }
}

/// Refuses pipes, devices and the like: the engine opens a file several times and believes its
/// size, so it would find no rows in one, or wait without end.
///
/// # Errors
/// [`lakehouse_core::error::ErrorKind::Unsupported`] with what it is.
pub(super) async fn refuse_special(url: &ListingTableUrl) -> Result<()> {
    if url.scheme() != "file" || url.get_glob().is_some() {
        return Ok(());
    }
    match url.get_url().to_file_path() {
        Ok(path) => refuse_special_file(path).await,
        Err(()) => Ok(()),
    }
}
