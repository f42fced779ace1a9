//! Settings as a JSON or TOML file.

use std::path::Path;

use lakehouse::{Error, Result, Settings};

/// Reads settings from a file whose name ends in `.json` or `.toml`.
///
/// # Errors
/// When the file cannot be read, is neither JSON nor TOML by its name, or holds something that is
/// no setting; each names the file.
pub(crate) fn read_settings(path: &Path) -> Result<Settings> {
    read(path).map_err(|error| error.with_context("settings file", path.display()))
}

fn read(path: &Path) -> Result<Settings> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let form = extension.map(str::to_ascii_lowercase);
    let parse: fn(&str) -> Result<Settings> = match form.as_deref() {
        Some("json") => from_json,
        Some("toml") => from_toml,
        _ => {
            return Err(Error::invalid(
                "a settings file is called something.json or something.toml",
            ));
        }
    };
    parse(&std::fs::read_to_string(path)?)
}

fn from_json(text: &str) -> Result<Settings> {
    serde_json::from_str(text)
        .map_err(|error| Error::invalid(format!("invalid settings: {error}")).with_source(error))
}

fn from_toml(text: &str) -> Result<Settings> {
    toml::from_str(text).map_err(|error| {
        // The whole message draws the line in question over several lines.
        let line = error.span().map_or(1, |span| {
            text[..span.start.min(text.len())].matches('\n').count() + 1
        });
        Error::invalid(format!(
            "invalid settings: {} (line {line})",
            error.message()
        ))
    })
}
