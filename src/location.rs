//! Where a lake stands: a folder or memory.

use std::path::PathBuf;

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
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::invalid(
                "the lake's location is empty; give a folder or \"memory:\"",
            ));
        }
        let scheme = text
            .split_once(':')
            .map(|(scheme, _)| scheme)
            .filter(|scheme| is_scheme(scheme));
        let path = match scheme {
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
        let folder = std::path::absolute(path).map_err(Error::from)?;
        Ok(Self::Folder(folder))
    }
}

/// Whether the text before a colon is a URL's scheme and not a part of a path.
fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
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
        assert!(LakeLocation::parse("").is_err());
        assert!(LakeLocation::parse("file://host/a").is_err());
    }
}
