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
    /// A bucket of S3 or of a store that speaks its protocol.
    S3,
}

impl Scheme {
    const fn segment(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
            Self::S3 => "s3",
        }
    }
}

/// How locations in S3 begin; the older two are what Hadoop's connectors write.
const S3_PREFIXES: [&str; 3] = ["s3://", "s3a://", "s3n://"];

/// A location taken apart: `prefix` + `key` is the location byte for byte. The prefix of one in S3
/// ends with its bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    scheme: Scheme,
    prefix: String,
    key: String,
}

impl Location {
    /// Takes apart an absolute path, a `file:` URL, a `memory:` URL, or an `s3:` URL with its
    /// bucket; `s3a:` and `s3n:` mean the same.
    ///
    /// The path of a URL is taken as it stands, without percent decoding: that is how Iceberg
    /// engines read and write their locations.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for other schemes and hosts, by name.
    pub fn parse(location: &str) -> Result<Self> {
        let s3 = S3_PREFIXES
            .iter()
            .find_map(|prefix| Some((*prefix, location.strip_prefix(prefix)?)));
        if let Some((prefix, rest)) = s3 {
            return Self::in_bucket(location, prefix.len(), rest);
        }
        let (scheme, rest) = if location.starts_with('/') {
            (Scheme::File, location)
        } else if let Some(rest) = location.strip_prefix("file:") {
            (Scheme::File, rest)
        } else if let Some(rest) = location.strip_prefix("memory:") {
            (Scheme::Memory, rest)
        } else {
            return Err(match scheme_of(location) {
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

    fn in_bucket(location: &str, bucket_at: usize, rest: &str) -> Result<Self> {
        let bucket = rest.split('/').next().unwrap_or_default();
        if bucket.is_empty() {
            return Err(
                Error::invalid("the location names no bucket; expected s3://bucket/key")
                    .with_context("location", location),
            );
        }
        let (prefix, key) = location.split_at(bucket_at + bucket.len());
        Ok(Self {
            scheme: Scheme::S3,
            prefix: prefix.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The location of a path inside [`super::Storage::routing_store`]; `None` when its first
    /// segment names no kind of store.
    pub(super) fn routed(path: &Path) -> Option<Self> {
        let (segment, rest) = path.as_ref().split_once('/').unwrap_or((path.as_ref(), ""));
        let (scheme, prefix, key) = match segment {
            "file" => (Scheme::File, String::new(), rest),
            "memory" => (Scheme::Memory, String::new(), rest),
            "s3" => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                return Path::parse(key).ok().map(|key| Self::of_key(bucket, &key));
            }
            _ => return None,
        };
        Some(Self {
            scheme,
            prefix,
            key: format!("/{key}"),
        })
    }

    /// The location of an object in S3.
    pub(super) fn of_key(bucket: &str, key: &Path) -> Self {
        Self {
            scheme: Scheme::S3,
            prefix: format!("s3://{bucket}"),
            key: format!("/{key}"),
        }
    }

    /// The bucket of a location in S3; empty for others.
    pub fn bucket(&self) -> &str {
        match self.scheme {
            Scheme::S3 => self.prefix.rsplit('/').next().unwrap_or_default(),
            Scheme::File | Scheme::Memory => "",
        }
    }

    /// Which kind of store holds the file.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The path inside the store.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] for a path with `.` or `..` segments, and outside
    /// of the local file system for one with an empty segment, which the store cannot express.
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
            // In a bucket `//` and a slash at the end are parts of a key: a folder may end in one.
            Scheme::S3 => {
                let key = self.key.strip_prefix('/').unwrap_or(&self.key);
                key.strip_suffix('/').unwrap_or(key).to_owned()
            }
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
        let mut store = self.scheme.segment().to_owned();
        if self.scheme == Scheme::S3 {
            store = format!("{store}/{}", self.bucket());
        }
        Path::parse(format!("{store}/{path}"))
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

/// The scheme of a URL; `None` for a path, which may hold a colon too.
///
/// ```
/// use lakehouse_core::storage::scheme_of;
///
/// assert_eq!(scheme_of("s3://bucket/key"), Some("s3"));
/// assert_eq!(scheme_of("../a:b"), None);
/// ```
pub fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    // One letter is a drive of Windows.
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then_some(scheme)
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
    fn buckets_are_told_from_keys() {
        for (text, key, routed) in [
            ("s3://b/a/b%20c", "a/b%20c", "s3/b/a/b%20c"),
            ("s3a://b/a/", "a", "s3/b/a"),
            ("s3n://b", "", "s3/b"),
        ] {
            let location = Location::parse(text).unwrap();
            assert_eq!(location.to_string(), text);
            assert_eq!(location.bucket(), "b");
            assert_eq!(location.path().unwrap().as_ref(), key);
            let path = location.routing_path().unwrap();
            assert_eq!(path.as_ref(), routed);
            let back = Location::routed(&path).unwrap();
            assert_eq!((back.bucket(), back.path().unwrap().as_ref()), ("b", key));
        }
        let folder = Location::parse("s3a://b/x").unwrap();
        assert_eq!(folder.sibling(&Path::from("x/y")), "s3a://b/x/y");
        assert!(Location::parse("s3://").is_err());
        assert!(Location::parse("s3:///k").is_err());
        assert!(Location::parse("s3://b/a//c").unwrap().path().is_err());
    }

    #[test]
    fn other_schemes_and_relative_paths_are_refused_by_name() {
        assert!(
            Location::parse("gs://b/k")
                .unwrap_err()
                .to_string()
                .contains("\"gs:\"")
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
