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
    // Editors put the mark of UTF-8 before a text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let parsed = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("json") if text.trim().is_empty() => Ok(Settings::default()),
        Some("json") => serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("invalid settings: {error}"))),
        Some("toml") => toml::from_str(text).map_err(|error| invalid_toml(text, &error)),
        _ => Err(Error::invalid(
            "expected a settings file named *.json or *.toml",
        )),
    };
    parsed.map_err(at)
}

/// One line of what the library draws over several.
fn invalid_toml(text: &str, error: &toml::de::Error) -> Error {
    let before = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text[..before].matches('\n').count() + 1;
    Error::invalid(format!(
        "invalid settings: {} (line {line})",
        error.message()
    ))
}
