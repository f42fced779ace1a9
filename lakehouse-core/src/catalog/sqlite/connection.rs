//! Connections to a catalog file: opening, waiting for other processes, transactions.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::queue::Queue;
use crate::error::{Error, ErrorKind, Result};
use crate::settings::Durability;

/// Connections kept for the next call.
const IDLE_MAX: usize = 8;
/// The mean of a wait for another process's lock, in milliseconds.
const WAIT_MS_MEAN: u64 = 5;

/// How a catalog file is opened.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) path: PathBuf,
    pub(super) read_only: bool,
    pub(super) durability: Durability,
    /// How long a lock of another process is waited for, in milliseconds.
    pub(super) lock_wait_ms_max: u64,
    pub(super) end: End,
}

/// How a transaction is ended: by `COMMIT`. A test puts a call in its place whose answer is lost.
#[derive(Clone)]
pub(crate) struct End(Arc<EndCall>);

type EndCall = dyn Fn(&Connection) -> rusqlite::Result<()> + Send + Sync;

impl End {
    fn call(&self, connection: &Connection) -> rusqlite::Result<()> {
        (self.0)(connection)
    }

    /// Ends by another call than `COMMIT`.
    #[cfg(test)]
    pub(crate) fn by(
        call: impl Fn(&Connection) -> rusqlite::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(call))
    }
}

impl Default for End {
    fn default() -> Self {
        Self(Arc::new(|connection| connection.execute_batch("COMMIT")))
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("End")
    }
}

impl Access {
    /// Where processes queue to write the file. Half of the time is for the queue: the rest is for
    /// the file's own lock, which those who do not queue may hold.
    fn queue(&self) -> Queue {
        Queue::new(&self.path, None, self.lock_wait_ms_max / 2)
    }

    /// Where processes queue to change one table, from reading its pointer to moving it.
    pub(super) fn table_queue(&self, namespace: &str, table: &str) -> Queue {
        Queue::new(
            &self.path,
            Some((namespace, table)),
            self.lock_wait_ms_max / 2,
        )
    }
}

/// Connections of one process to one catalog file.
///
/// Calls block: they run through [`crate::runtime::blocking`]. The file must never be opened other
/// than by SQLite while connections live: closing such a handle would drop SQLite's locks.
#[derive(Debug)]
pub(super) struct Connections {
    access: Access,
    idle: Mutex<Vec<Connection>>,
    identity: FileIdentity,
}

impl Connections {
    pub(super) fn new(access: Access) -> Result<Self> {
        let identity = FileIdentity::of(&access.path)?;
        Ok(Self {
            access,
            idle: Mutex::default(),
            identity,
        })
    }

    #[cfg(test)]
    pub(super) fn end_by(&mut self, end: End) {
        self.access.end = end;
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Runs `work` on a connection of its own.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
        // A connection to a file that was deleted works on, on a file nobody else will ever see.
        let identity = FileIdentity::of(&self.access.path).map_err(|error| self.gone(error))?;
        if identity != self.identity {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the catalog file was replaced while it was open; open the lake again",
            )
            .with_context("file", self.access.path.display()));
        }
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open(&self.access).map_err(|error| self.gone(error))?,
        };
        let result = work(&Session::over(&connection, &self.access));
        // A transaction left open by an error must not meet the next user of the connection.
        if connection.is_autocommit() {
            let mut idle = self.idle();
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        }
        result
    }

    /// A catalog file that was there: that it cannot be found says nothing of its tables.
    fn gone(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        Error::new(
            ErrorKind::Unavailable,
            "the catalog file was moved or removed while it was open; bring it back or open \
             another lake",
        )
        .with_context("file", self.access.path.display())
        .with_source(error)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the file as `access` says; nothing is written, not even its journal mode.
pub(super) fn open(access: &Access) -> Result<Connection> {
    let mode = if access.read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    open_with(access, mode)
}

/// As [`open`], making an empty file when there is none.
pub(super) fn open_or_create(access: &Access) -> Result<Connection> {
    open_with(
        access,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )
}

fn open_with(access: &Access, mode: OpenFlags) -> Result<Connection> {
    let opened = || {
        let connection =
            Connection::open_with_flags(&access.path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        // Waiting is ours: SQLite's own gives those who came last the best chances.
        connection.busy_timeout(Duration::ZERO)?;
        // In rollback mode FULL may lose the last commit in a power cut, because the folder that
        // forgets the journal is not synced; EXTRA does that.
        let synchronous = match access.durability {
            Durability::Full => "EXTRA",
            Durability::None => "OFF",
        };
        // These read the file, so they may have to wait for another process.
        connection.pragma_update(None, "synchronous", synchronous)?;
        if access.durability == Durability::Full {
            connection.pragma_update(None, "fullfsync", true)?;
        }
        Ok(connection)
    };
    waiting(access, 0, opened)
}

/// One caller's use of a connection.
pub(super) struct Session<'a> {
    connection: &'a Connection,
    access: &'a Access,
}

/// How a transaction ended that did not fail before its end.
#[derive(Debug)]
pub(super) enum Ended<T> {
    /// It is on the disk.
    Committed(T),
    /// The end itself failed: it may be on the disk or not.
    Unknown(Error),
}

impl<T> Ended<T> {
    /// The value, with an unknown end as an error of kind [`ErrorKind::Unknown`].
    pub(super) fn known(self) -> Result<T> {
        match self {
            Self::Committed(value) => Ok(value),
            Self::Unknown(error) => Err(error),
        }
    }
}

impl<'a> Session<'a> {
    pub(super) fn over(connection: &'a Connection, access: &'a Access) -> Self {
        Self { connection, access }
    }

    /// Reads, waiting while another process is just ending a commit.
    pub(super) fn read<T>(&self, query: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        waiting(self.access, 0, || query(self.connection))
    }

    /// Runs `work` in a transaction that no other writer can come between, when it is this process's
    /// turn; an error of either kind undoes what it did.
    ///
    /// # Errors
    /// Nothing was changed: [`ErrorKind::PermissionDenied`] for a file that can only be read,
    /// [`ErrorKind::Unavailable`] when other processes held the lock all the time.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Result<T>>,
    ) -> Result<Ended<T>> {
        let read_only = self
            .connection
            .is_readonly("main")
            .map_err(|error| self.at(error))?;
        if read_only {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "the lake can only be read: there is no permission to write its catalog file",
            )
            .with_context("file", self.access.path.display()));
        }
        let turn = self.access.queue().enter();
        waiting(self.access, turn.waited_ms(), || {
            self.connection.execute_batch("BEGIN IMMEDIATE")
        })?;
        let done = work(self.connection).unwrap_or_else(|error| Err(self.at(error)));
        let value = match done {
            Ok(value) => value,
            Err(error) => {
                self.roll_back();
                return Err(error);
            }
        };
        let committed = waiting(self.access, 0, || self.access.end.call(self.connection));
        let Err(error) = committed else {
            return Ok(Ended::Committed(value));
        };
        self.roll_back();
        // A commit that waited in vain or found no room has not begun to be one.
        let not_begun = matches!(
            error.kind(),
            ErrorKind::ResourcesExhausted | ErrorKind::PermissionDenied
        ) || is_busy(&error);
        if not_begun {
            return Err(error);
        }
        Ok(Ended::Unknown(
            Error::new(
                ErrorKind::Unknown,
                "it is not known whether the catalog file took the change; read it again",
            )
            .with_context("file", self.access.path.display())
            .with_source(error),
        ))
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(file = %self.access.path.display(), %error, "rollback failed");
        }
    }

    pub(super) fn at(&self, error: rusqlite::Error) -> Error {
        at(&self.access.path, error)
    }
}

/// Repeats `call` while another process holds the lock, up to the stated time, of which
/// `waited_ms` is over.
fn waiting<T>(
    access: &Access,
    mut waited_ms: u64,
    call: impl Fn() -> rusqlite::Result<T>,
) -> Result<T> {
    let mut jitter = Jitter::new();
    loop {
        match call() {
            Err(error) if is_lock(&error) => {
                if waited_ms >= access.lock_wait_ms_max {
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        format!(
                            "other processes held the catalog file for {waited_ms} ms; \
                             try again later"
                        ),
                    )
                    .with_context("file", access.path.display())
                    .with_source(error));
                }
                let wait_ms = jitter.next_wait_ms();
                thread::sleep(Duration::from_millis(wait_ms));
                waited_ms += wait_ms;
            }
            other => return other.map_err(|error| at(&access.path, error)),
        }
    }
}

fn is_lock(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Whether the cause of one of our errors was a lock of another process.
fn is_busy(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<rusqlite::Error>())
        .is_some_and(is_lock)
}

/// Waits of different lengths, so that processes that met once do not meet each time. They do not
/// grow: who has waited long must not ask less often than who came just now.
struct Jitter(u64);

impl Jitter {
    fn new() -> Self {
        Self(u64::from(std::process::id()) << 1 | 1)
    }

    fn next_wait_ms(&mut self) -> u64 {
        // xorshift: timing only, no result depends on it.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        1 + self.0 % (2 * WAIT_MS_MEAN - 1)
    }
}

/// SQLite's error with the file it is about and what to do.
pub(super) fn at(path: &Path, error: rusqlite::Error) -> Error {
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::Corrupt,
            "the file is no SQLite file, so it is no catalog; name another or restore it"
                .to_owned(),
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            ErrorKind::Corrupt,
            "the catalog file is damaged; restore it from a backup".to_owned(),
        ),
        Some(ErrorCode::CannotOpen) => cannot_open(path),
        Some(ErrorCode::ReadOnly) => (
            ErrorKind::PermissionDenied,
            "the catalog file or its folder cannot be written".to_owned(),
        ),
        _ => {
            let general = Error::from(error);
            return Error::new(general.kind(), general.message().to_owned())
                .with_context("file", path.display())
                .with_source(general);
        }
    };
    Error::new(kind, message)
        .with_context("file", path.display())
        .with_source(error)
}

/// Why SQLite could not open a file; it does not say.
fn cannot_open(path: &Path) -> (ErrorKind, String) {
    match fs::metadata(path) {
        Err(error) => {
            let cause = Error::from(error);
            (
                cause.kind(),
                format!("the catalog file cannot be opened: {}", cause.message()),
            )
        }
        Ok(metadata) if metadata.is_dir() => (
            ErrorKind::InvalidInput,
            "the catalog file is a folder; expected a file".to_owned(),
        ),
        Ok(_) => (
            ErrorKind::PermissionDenied,
            "there is no permission to open the catalog file or to write beside it".to_owned(),
        ),
    }
}

/// What tells a file from another one that later stands under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    fn of(path: &Path) -> Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path).map_err(|error| {
            let error = Error::from(error);
            Error::new(error.kind(), "the catalog file cannot be reached")
                .with_context("file", path.display())
                .with_source(error)
        })?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}
