//! Refuses pipes, devices and the like, whose bytes can be read once and have no size.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::runtime;

/// Refuses a path of the local file system that leads to what is no regular file: stores answer
/// that it has no bytes, or wait for a writer without end. What is missing is left to who reads it.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`], with what it is.
pub async fn refuse_special_file(path: PathBuf) -> Result<()> {
    let what = runtime::blocking(move || special(&path)).await?;
    match what {
        Some(what) => Err(Error::unsupported(format!(
            "this is {what}, and only regular files are read: write its bytes to a file first"
        ))),
        None => Ok(()),
    }
}

/// What stands at `path` if it is neither a regular file nor a folder.
fn special(path: &Path) -> Option<&'static str> {
    let metadata = fs::metadata(path).ok()?;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        return Some("a pipe");
    }
    if kind.is_socket() {
        return Some("a socket");
    }
    if kind.is_char_device() || kind.is_block_device() {
        return Some("a device");
    }
    // The kernel's own files (/proc, /sys) say that they are empty.
    let says_empty = kind.is_file() && metadata.len() == 0;
    let is_filled = says_empty && matches!(File::open(path).ok()?.read(&mut [0]), Ok(1..));
    is_filled.then_some("a file without a size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn devices_and_files_without_a_size_are_refused_by_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        let missing = folder.path().join("missing");
        for path in [folder.path().to_owned(), empty, missing] {
            refuse_special_file(path).await.unwrap();
        }
        let error = refuse_special_file("/dev/null".into()).await.unwrap_err();
        assert!(error.message().contains("a device"), "{error}");
        if Path::new("/proc/self/status").exists() {
            let error = refuse_special_file("/proc/self/status".into()).await;
            let error = error.unwrap_err();
            assert!(error.message().contains("without a size"), "{error}");
        }
    }
}
