//! The private, bounded folder that a process spills to.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// The name every spill folder begins with; what follows is an identifier.
const PREFIX: &str = "lakehouse-spill-";
/// The file inside whose lock says that the owner lives.
const LOCK: &str = "owner.lock";

/// A folder of this process alone, removed when dropped.
///
/// The operating system frees the lock of a process that died, so the next process to make a
/// folder at the same place removes what the dead one left.
#[derive(Debug)]
pub struct SpillFolder {
    path: PathBuf,
    _lock: File,
}

impl SpillFolder {
    /// Makes a private folder below `parent`, or below the system's temporary folder, and removes
    /// the folders of processes that died.
    ///
    /// # Errors
    /// When `parent` cannot be written to.
    pub fn create(parent: Option<&Path>, clock: &dyn Clock) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let failed = |error: io::Error| {
            let error = Error::from(error);
            Error::new(
                error.kind(),
                "the spill folder cannot be made; set spill.folder to another",
            )
            .with_context("folder", parent.display())
            .with_source(error)
        };
        fs::create_dir_all(&parent).map_err(failed)?;
        remove_dead(&parent);
        let path = parent.join(format!("{PREFIX}{}", clock.new_uuid().simple()));
        create_private(&path).map_err(failed)?;
        let lock = File::create_new(path.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                "the new spill folder is already in use",
            )
            .with_context("folder", path.display())
            .with_source(error)
        })?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "spill folder not removed");
        }
    }
}

/// A folder only its owner can read: spilled rows are table data.
fn create_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Removes spill folders whose lock nobody holds. What cannot be removed is left: it is another
/// user's or was removed by somebody else meanwhile.
fn remove_dead(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!(folder = %entry.path().display(), %error, "dead spill folder kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_dead_process_leaves_nothing_and_a_living_one_keeps_its_folder() {
        let parent = tempfile::tempdir().unwrap();
        let living = SpillFolder::create(Some(parent.path()), &SystemClock).unwrap();
        let dead = parent.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        File::create(dead.join(LOCK)).unwrap();

        let second = SpillFolder::create(Some(parent.path()), &SystemClock).unwrap();
        assert!(!dead.exists());
        assert!(living.path().exists());
        let second_path = second.path().to_path_buf();
        drop(second);
        assert!(!second_path.exists());
    }
}
