//! Paths of the local file system as people write them, made fit to be recorded.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::location::{Location, Scheme};
use crate::error::{Error, ErrorKind, Result};

/// `path` from the root on, without `.` and `..`, which no location in an Iceberg file may hold.
///
/// Links keep their names, but for one that a `..` stands behind: the way then goes up from where
/// the link leads, as it does for the operating system. A folder that is missing is no link.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for an empty path, and what the operating system says of a way that
/// cannot be gone.
pub fn absolute_path(path: &Path) -> Result<PathBuf> {
    let failed = |error: io::Error| {
        let error = Error::from(error);
        Error::new(error.kind(), "the path cannot be followed")
            .with_context("path", path.display())
            .with_source(error)
    };
    let mut found = PathBuf::new();
    for part in std::path::absolute(path).map_err(failed)?.components() {
        if part != Component::ParentDir {
            found.push(part);
            continue;
        }
        let is_link = match fs::symlink_metadata(&found) {
            Ok(folder) => folder.is_symlink(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed(error)),
        };
        if is_link {
            found = found.canonicalize().map_err(failed)?;
        }
        found.pop();
    }
    Ok(found)
}

/// A location as settings state it, a path or a URL, as it can be recorded: a relative path is one
/// below the working directory, see [`absolute_path`]. What says the same everywhere is kept byte
/// for byte.
///
/// # Errors
/// As [`absolute_path`].
pub fn absolute_location(text: &str) -> Result<String> {
    let path = match Location::parse(text) {
        Ok(location) if location.scheme() == Scheme::File => location.file_path(),
        Ok(_) => return Ok(text.to_owned()),
        // Another kind of store: refused by name where it is asked for.
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(text.to_owned()),
        Err(_) => PathBuf::from(text),
    };
    let is_dots = |part: &[u8]| part == b"." || part == b"..";
    let bytes = path.as_os_str().as_encoded_bytes();
    if path.is_absolute() && !bytes.split(|byte| *byte == b'/').any(is_dots) {
        return Ok(text.to_owned());
    }
    folder_location(&absolute_path(&path)?)
}

/// The location of a folder of the local file system.
///
/// A `file:` URL, which every engine reads, unless the path holds characters at which readers of
/// URLs cut or decode; then the path as it is.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a name that is not UTF-8.
pub(crate) fn folder_location(folder: &Path) -> Result<String> {
    let text = folder.to_str().ok_or_else(|| {
        Error::invalid("the lake's folder has a name that is not UTF-8; rename it")
            .with_context("folder", folder.display())
    })?;
    Ok(if text.contains(['%', '#', '?']) {
        text.to_owned()
    } else {
        format!("file://{text}")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn two_dots_go_up_and_links_without_them_keep_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("far/inner")).unwrap();
        fs::create_dir(root.join("plain")).unwrap();
        symlink(root.join("far/inner"), root.join("link")).unwrap();
        for (path, expected) in [
            ("plain/../lake", "lake"),
            ("plain/./lake/", "plain/lake"),
            ("missing/../lake", "lake"),
            ("link/lake", "link/lake"),
            ("link/missing/../lake", "link/lake"),
            ("link/../lake", "far/lake"),
            ("link/../../lake", "lake"),
        ] {
            let found = absolute_path(&root.join(path)).unwrap();
            assert_eq!(found, root.join(expected), "{path}");
        }
        assert_eq!(
            absolute_path(Path::new("/../../a")).unwrap(),
            Path::new("/a")
        );
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            absolute_path(Path::new("../a")).unwrap(),
            here.parent().unwrap().join("a")
        );
        symlink(root.join("nowhere"), root.join("dangling")).unwrap();
        let error = absolute_path(&root.join("dangling/../lake")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(absolute_path(Path::new("")).is_err());
    }

    #[test]
    fn stated_locations_say_the_same_everywhere() {
        for text in [
            "/a/b",
            "/a//b/",
            "file:///a/b",
            "memory:///x/../y",
            "s3://bucket/x",
            "gs://bucket/x",
        ] {
            assert_eq!(absolute_location(text).unwrap(), text);
        }
        let parent = std::env::current_dir().unwrap();
        let parent = parent.parent().unwrap().to_str().unwrap();
        for (text, expected) in [
            ("/a/../b", "file:///b".to_owned()),
            ("file:///a/./b", "file:///a/b".to_owned()),
            ("file:../wh", format!("file://{parent}/wh")),
            ("../w:h", format!("file://{parent}/w:h")),
            ("../50%", format!("{parent}/50%")),
            ("../ wh ", format!("file://{parent}/ wh ")),
        ] {
            assert_eq!(absolute_location(text).unwrap(), expected);
        }
        assert!(absolute_location("").is_err());
    }
}
