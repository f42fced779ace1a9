//! Where a lake stands: a folder or memory.

use std::path::{Path, PathBuf};

use lakehouse_core::storage::{absolute_path, scheme_of};

use crate::{Error, Result};

/// What the text given to [`crate::Lakehouse::open`] names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LakeLocation {
    /// A folder of the local file system, absolute.
    Folder(PathBuf),
    /// The program's memory.
    Memory,
}

impl LakeLocation {
    /// Reads a path, a `file:` URL or a `memory:` URL.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        // Blanks around a folder's name are part of it.
        if text.trim().is_empty() {
            return Err(Error::invalid(
                "the lake's location is empty; give a folder or \"memory:\"",
            ));
        }
        let path = match scheme_of(text) {
            None if scheme_of(text.trim_start()).is_some() => {
                return Err(Error::invalid(
                    "blanks stand before the lake's URL; leave them out, or write ./ before them \
                     if they begin a folder's name",
                )
                .with_context("location", text));
            }
            None => text,
            Some("memory") => return Ok(Self::Memory),
            Some("file") => {
                let rest = &text["file:".len()..];
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if rest.starts_with("//") && !path.starts_with('/') {
                    return Err(Error::unsupported("a file: URL with a host is not offered")
                        .with_context("location", text));
                }
                path
            }
            Some(other) => {
                return Err(Error::unsupported(format!(
                    "a lake at \"{other}:\" is not offered; expected a path, a file: or a memory: URL"
                ))
                .with_context("location", text));
            }
        };
        Ok(Self::Folder(absolute_path(Path::new(path))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_are_told_apart() {
        let folder = |path: &str| LakeLocation::Folder(PathBuf::from(path));
        assert_eq!(LakeLocation::parse("/a/b").unwrap(), folder("/a/b"));
        assert_eq!(LakeLocation::parse("file:///a/b").unwrap(), folder("/a/b"));
        assert_eq!(LakeLocation::parse("file:/a/b").unwrap(), folder("/a/b"));
        assert_eq!(
            LakeLocation::parse("memory:").unwrap(),
            LakeLocation::Memory
        );
        assert!(
            LakeLocation::parse("s3://bucket")
                .unwrap_err()
                .to_string()
                .contains("\"s3:\"")
        );
        assert_eq!(LakeLocation::parse("/a/../ b ").unwrap(), folder("/ b "));
        assert!(LakeLocation::parse("").is_err());
        assert!(LakeLocation::parse(" ").is_err());
        assert!(LakeLocation::parse(" memory:").is_err());
        assert!(LakeLocation::parse("file://host/a").is_err());
    }
}
