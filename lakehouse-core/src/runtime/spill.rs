//! The private, bounded folder that a process spills to.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};

/// The name every spill folder begins with; what follows is an identifier.
const PREFIX: &str = "lakehouse-spill-";
/// The file inside whose lock says that the owner lives.
const LOCK: &str = "owner.lock";
/// How often a new folder may be met by processes that start at the same moment.
const ATTEMPTS_MAX: usize = 100;

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
    /// When `parent` cannot be written to or its file system has no locks.
    pub fn create(parent: Option<&Path>) -> Result<Self> {
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
        for _ in 0..ATTEMPTS_MAX {
            if let Some(folder) = Self::try_create(&parent).map_err(failed)? {
                return Ok(folder);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "other processes took every new spill folder for a dead one; try again",
        )
        .with_context("folder", parent.display()))
    }

    /// Makes one folder; `None` when another process met it before its lock was held.
    fn try_create(parent: &Path) -> io::Result<Option<Self>> {
        // Other processes share the place, so its names are the machine's, whoever's clock the
        // lake has.
        let name = format!("{PREFIX}{}", SystemClock.new_uuid().simple());
        let path = parent.join(name);
        create_private(&path)?;
        let lock_path = path.join(LOCK);
        let lock = match File::create_new(&lock_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            created => created?,
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            locked => locked?,
        }
        // Who locks a folder removes it before it lets go: either it is gone, or it stays.
        Ok(lock_path.try_exists()?.then(|| Self { path, _lock: lock }))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that it is in, as the settings name it.
    pub(super) fn parent(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "spill folder not removed");
        }
    }
}

/// What to do where the system takes no more bytes for spill folders in `parent`.
pub(super) fn without_room(parent: &Path, error: Error) -> Error {
    Error::new(
        ErrorKind::ResourcesExhausted,
        "the spill folder takes no more; make room in it, or set spill.folder (or TMPDIR, which it \
         is by default) to another",
    )
    .with_context("folder", parent.display())
    .with_source(error)
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
        let lock = match File::open(entry.path().join(LOCK)) {
            Ok(lock) => lock,
            Err(error) => {
                // Its maker died before the lock was made. Only an empty folder goes this way.
                if error.kind() == io::ErrorKind::NotFound {
                    let _is_not_empty = fs::remove_dir(entry.path());
                }
                continue;
            }
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
    use std::thread;

    use super::*;

    #[test]
    fn a_dead_process_leaves_nothing_and_a_living_one_keeps_its_folder() {
        let parent = tempfile::tempdir().unwrap();
        let living = SpillFolder::create(Some(parent.path())).unwrap();
        let dead = parent.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        File::create(dead.join(LOCK)).unwrap();
        let without_lock = parent.path().join(format!("{PREFIX}without-lock"));
        fs::create_dir(&without_lock).unwrap();

        let second = SpillFolder::create(Some(parent.path())).unwrap();
        assert!(!dead.exists());
        assert!(!without_lock.exists());
        assert!(living.path().exists());
        let second_path = second.path().to_path_buf();
        drop(second);
        assert!(!second_path.exists());
    }

    #[test]
    fn who_starts_at_the_same_moment_keeps_a_folder_too() {
        let parent = tempfile::tempdir().unwrap();
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..500 {
                        let folder = SpillFolder::create(Some(parent.path())).unwrap();
                        fs::write(folder.path().join("spilled"), "rows").unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
