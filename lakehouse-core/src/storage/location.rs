//! Locations as Iceberg metadata holds them: parsed to find the store, never rewritten.

use std::path::PathBuf;

use object_store::path::Path;

use crate::error::{Error, Result};

/// The kinds of store a location may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// The local file system.
    File,
    /// The memory of one [`super::Storage`].
    Memory,
}

impl Scheme {
    const fn segment(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

/// A location taken apart: `prefix` + `key` is the location byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    scheme: Scheme,
    prefix: String,
    key: String,
}

impl Location {
    /// Takes apart an absolute path, a `file:` URL or a `memory:` URL.
    ///
    /// The path of a URL is taken as it stands, without percent decoding: that is how Iceberg
    /// engines read and write their locations.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for other schemes and hosts, by name.
    pub fn parse(location: &str) -> Result<Self> {
        let (scheme, rest) = if location.starts_with('/') {
            (Scheme::File, location)
        } else if let Some(rest) = location.strip_prefix("file:") {
            (Scheme::File, rest)
        } else if let Some(rest) = location.strip_prefix("memory:") {
            (Scheme::Memory, rest)
        } else {
            let scheme = location
                .split(':')
                .next()
                .filter(|name| name.len() < location.len());
            return Err(match scheme {
                Some(scheme) => Error::unsupported(format!(
                    "locations of scheme \"{scheme}:\" are not offered; expected an absolute path, \
                     a file: or a memory: URL"
                )),
                None => Error::invalid(
                    "the location is relative; expected an absolute path, a file: or a memory: URL",
                ),
            }
            .with_context("location", location));
        };
        let path = rest.strip_prefix("//").unwrap_or(rest);
        // `//host/path` names another machine; `///path` has an empty host.
        if rest.starts_with("//") && !path.starts_with('/') && scheme == Scheme::File {
            return Err(Error::unsupported("a file: URL with a host is not offered")
                .with_context("location", location));
        }
        let prefix = location.len() - path.len();
        Ok(Self {
            scheme,
            prefix: location[..prefix].to_owned(),
            key: path.to_owned(),
        })
    }

    /// Which kind of store holds the file.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The path inside the store.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] for a path with `.` or `..` segments, and for a
    /// memory path with an empty segment, which the store cannot express.
    pub fn path(&self) -> Result<Path> {
        let key = match self.scheme {
            // The operating system reads `a//b` as `a/b`.
            Scheme::File => self
                .key
                .split('/')
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("/"),
            Scheme::Memory => self.key.trim_matches('/').to_owned(),
        };
        Path::parse(&key).map_err(|error| {
            Error::invalid("the store cannot express this location")
                .with_context("location", self)
                .with_source(error)
        })
    }

    /// The path inside [`super::Storage::routing_store`], whose first segment names the store.
    ///
    /// # Errors
    /// As [`Self::path`].
    pub fn routing_path(&self) -> Result<Path> {
        let path = self.path()?;
        Path::parse(format!("{}/{path}", self.scheme.segment()))
            .map_err(|error| Error::internal("a routed path must parse").with_source(error))
    }

    /// The path in the local file system.
    pub(crate) fn file_path(&self) -> PathBuf {
        PathBuf::from(&self.key)
    }

    /// The location of another path of the same store, written in this location's form.
    pub(super) fn sibling(&self, path: &Path) -> String {
        format!("{}/{path}", self.prefix)
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.prefix, self.key)
    }
}

/// `folder` and `name` with exactly one slash between, the folder otherwise unchanged.
///
/// ```
/// use lakehouse_core::storage::join;
///
/// assert_eq!(join("/lake/orders", "metadata"), "/lake/orders/metadata");
/// assert_eq!(join("/lake/orders/", "metadata"), "/lake/orders/metadata");
/// ```
pub fn join(folder: &str, name: &str) -> String {
    let slash = if folder.ends_with('/') { "" } else { "/" };
    format!("{folder}{slash}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t15_locations_are_kept_byte_for_byte() {
        for location in [
            "/a/b",
            "/a//b/",
            "file:/a/b",
            "file:///a//b",
            "memory:///x/y#z?%20 ä",
        ] {
            assert_eq!(Location::parse(location).unwrap().to_string(), location);
        }
    }

    #[test]
    fn t14_special_characters_stay_in_the_path() {
        let location = Location::parse("file:///l/p=a%2Fb#c?d e/ö.parquet").unwrap();
        assert_eq!(
            location.path().unwrap().as_ref(),
            "l/p=a%2Fb#c?d e/ö.parquet"
        );
        assert_eq!(
            location.routing_path().unwrap().as_ref(),
            "file/l/p=a%2Fb#c?d e/ö.parquet"
        );
    }

    #[test]
    fn other_schemes_and_relative_paths_are_refused_by_name() {
        assert!(
            Location::parse("s3://b/k")
                .unwrap_err()
                .to_string()
                .contains("\"s3:\"")
        );
        assert!(
            Location::parse("a/b")
                .unwrap_err()
                .to_string()
                .contains("relative")
        );
        assert!(Location::parse("file://host/b").is_err());
        assert!(Location::parse("memory:///a//b").unwrap().path().is_err());
    }
}
