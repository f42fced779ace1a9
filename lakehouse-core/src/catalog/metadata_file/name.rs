//! Names of metadata files: what they tell and how new ones are made.

use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};

/// The highest version a metadata file may have; names count in five digits and go on after them.
const VERSION_MAX: u32 = i32::MAX as u32;

/// What a metadata file's name tells: `00003-<uuid>`, `v3`, each plain or gzip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::catalog) struct MetadataName {
    version: u32,
    /// What follows the number and a dash.
    suffix: Option<String>,
}

impl MetadataName {
    /// Reads the last segment of a location; `None` when it is no metadata file's name.
    pub(in crate::catalog) fn parse(location: &str) -> Option<Self> {
        let stem = stem(location)?;
        let (number, suffix) = match stem.split_once('-') {
            Some((number, suffix)) => (number, Some(suffix.to_owned())),
            None => (stem.strip_prefix('v').unwrap_or(stem), None),
        };
        // `parse` would take a sign too.
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let version = number.parse().ok().filter(|_| digits)?;
        (version <= VERSION_MAX).then_some(Self { version, suffix })
    }

    /// The number, by which files are ordered: 10 comes after 9.
    pub(in crate::catalog) fn version(&self) -> u32 {
        self.version
    }

    /// Whether the name holds an identifier, so that no other file ever has it.
    pub(in crate::catalog) fn is_unique(&self) -> bool {
        self.suffix
            .as_deref()
            .is_some_and(|suffix| Uuid::try_parse(suffix).is_ok())
    }
}

/// A metadata file's name without folder and ending; `None` when it does not end as one.
pub(in crate::catalog) fn stem(location: &str) -> Option<&str> {
    let name = location.rsplit('/').next()?;
    [".gz.metadata.json", ".metadata.json.gz", ".metadata.json"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .filter(|stem| !stem.is_empty())
}

/// The name of the file that follows `predecessor`, or of a table's first one.
///
/// A predecessor whose name tells no version (another engine may name files as it likes) is
/// followed by version 1.
///
/// # Errors
/// [`ErrorKind::ResourcesExhausted`] when there is no next version.
pub(in crate::catalog) fn metadata_file_name(
    predecessor: Option<&str>,
    id: Uuid,
    gzip: bool,
) -> Result<String> {
    let version = match predecessor {
        None => 0,
        Some(location) => MetadataName::parse(location).map_or(1, |name| name.version + 1),
    };
    if version > VERSION_MAX {
        return Err(Error::new(
            ErrorKind::ResourcesExhausted,
            "the table's metadata files have used up all version numbers; \
             register the table anew under a file with a lower one",
        ));
    }
    let ending = if gzip {
        ".gz.metadata.json"
    } else {
        ".metadata.json"
    };
    Ok(format!("{version:05}-{id}{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9c12d441-03fe-4693-9a96-a0705ddf69c1";

    fn version(location: &str) -> Option<u32> {
        MetadataName::parse(location).map(|name| name.version())
    }

    #[test]
    fn versions_are_read_from_every_engines_names() {
        assert_eq!(
            version(&format!("/t/metadata/00003-{ID}.metadata.json")),
            Some(3)
        );
        assert_eq!(version(&format!("00012-{ID}.gz.metadata.json")), Some(12));
        assert_eq!(version(&format!("00012-{ID}.metadata.json.gz")), Some(12));
        assert_eq!(version("file:/t/v3.metadata.json"), Some(3));
        assert_eq!(version("v10.gz.metadata.json"), Some(10));
        for other in [
            "v.metadata.json",
            "x-1.metadata.json",
            "+3-a.metadata.json",
            "v1.json",
        ] {
            assert_eq!(version(other), None, "{other}");
        }
        assert_eq!(version("99999999999-a.metadata.json"), None);
    }

    #[test]
    fn only_names_with_an_identifier_are_unique() {
        let unique = |name: &str| MetadataName::parse(name).is_some_and(|name| name.is_unique());
        assert!(unique(&format!("00003-{ID}.metadata.json")));
        assert!(!unique("v3.metadata.json"));
        assert!(!unique("00003-copy.metadata.json"));
    }

    #[test]
    fn the_next_name_counts_on() {
        let id = Uuid::parse_str(ID).unwrap();
        let next = |before| metadata_file_name(before, id, false).unwrap();
        assert_eq!(next(None), format!("00000-{ID}.metadata.json"));
        assert_eq!(
            next(Some("/t/v9.metadata.json")),
            format!("00010-{ID}.metadata.json")
        );
        assert_eq!(
            next(Some("/t/odd.metadata.json")),
            format!("00001-{ID}.metadata.json")
        );
        let last = format!("/t/{VERSION_MAX}-{ID}.metadata.json");
        assert!(metadata_file_name(Some(&last), id, true).is_err());
    }
}
