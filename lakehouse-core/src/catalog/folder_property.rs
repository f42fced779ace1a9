//! Table properties that name the folders of new files.

use std::collections::HashMap;

use iceberg::spec::TableMetadata;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Location, join};

const METADATA_PATH: &str = "write.metadata.path";
/// All properties that name a folder.
const FOLDERS: [&str; 4] = [
    METADATA_PATH,
    "write.data.path",
    "write.object-storage.path",
    "write.folder-storage.path",
];

/// The folder of a table's metadata files: `write.metadata.path`, else `metadata` in its folder.
///
/// # Errors
/// As [`stated_folder`].
pub(crate) fn metadata_folder(metadata: &TableMetadata) -> Result<String> {
    match metadata.properties().get(METADATA_PATH) {
        Some(text) => stated_folder(METADATA_PATH, text).map(str::to_owned),
        None => Ok(join(metadata.location(), "metadata")),
    }
}

/// The folder that a property names. Taken as it is, an empty one would be the root of the file
/// system.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a text that is no absolute location.
pub(crate) fn stated_folder<'a>(key: &str, text: &'a str) -> Result<&'a str> {
    let text = text.trim();
    let parsed = Location::parse(text).and_then(|location| location.path());
    match parsed {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Err(Error::invalid(format!(
            "table property {key:?} must be an absolute path or URL of a folder, it is {text:?}; \
             set it to one or unset it"
        ))
        .with_source(error)),
        // Other kinds of store are refused by name where a file is written.
        _ => Ok(text),
    }
}

/// Refuses properties that name no folder, before a table has them.
///
/// # Errors
/// As [`stated_folder`].
pub(crate) fn check_folders(properties: &HashMap<String, String>) -> Result<()> {
    for key in FOLDERS {
        if let Some(text) = properties.get(key) {
            stated_folder(key, text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_an_absolute_location() {
        for text in [
            "/a/b",
            " /a ",
            "file:///a",
            "memory:///a",
            "s3://b/a",
            "gs://b/a",
        ] {
            assert_eq!(stated_folder("k", text).unwrap(), text.trim());
        }
        for text in ["", "  ", "a/b", "../a", "/a/../b", "s3://"] {
            let error = stated_folder("k", text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text:?}");
            assert!(error.message().contains("table property \"k\""), "{error}");
        }
    }
}
