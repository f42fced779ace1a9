//! Settings from a file, JSON or TOML by its extension.

use std::path::Path;

use crate::{Error, Result, Settings};

/// Reads settings from a `.json` or `.toml` file.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("lake.toml");
/// std::fs::write(&file, "memory_budget_bytes = 268435456\n[catalogs.lake]\ntype = \"memory\"\n")?;
/// let settings = lakehouse::read_settings(&file)?;
/// assert_eq!(settings.memory_budget_bytes, Some(256 << 20));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`crate::ErrorKind::NotFound`] for a missing file; [`crate::ErrorKind::InvalidInput`] for one
/// that is no such file or has unknown keys, with the place.
pub fn read_settings(path: impl AsRef<Path>) -> Result<Settings> {
    let path = path.as_ref();
    let at = |error: Error| error.with_context("settings file", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| at(error.into()))?;
    let invalid = |error: &dyn std::fmt::Display| at(Error::invalid(error.to_string()));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => serde_json::from_str(&text).map_err(|error| invalid(&error)),
        Some("toml") => toml::from_str(&text).map_err(|error| invalid(&error)),
        _ => Err(at(Error::invalid(
            "expected a settings file named *.json or *.toml",
        ))),
    }
}
