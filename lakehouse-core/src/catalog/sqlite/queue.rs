//! Whose turn it is among processes that want to write: first come, first served.
//!
//! Beside the catalog file stands, while somebody writes, a hidden folder with a numbered ticket for
//! each who waits or writes. Its owner holds a lock on it, which the kernel gives back when the
//! process ends in whatever way, so that a dead process is passed over. Whoever has the lowest
//! number has the turn. SQLite's own lock decides what is right; a turn only keeps the order, so
//! whoever cannot queue, or has waited too long, goes on without one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How often a waiting process looks whether its predecessor is gone, in milliseconds. The order
/// does not depend on it.
const LOOK_MS: u64 = 1;
/// The file whose lock is held while a ticket is drawn or the folder is cleared away.
const DOOR: &str = "door";

/// A queue of processes, by the folder of its tickets.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    folder: PathBuf,
    wait_ms_max: u64,
}

/// A process's place in the queue, whose turn it is unless it waited too long; dropping it lets the
/// next one go on.
#[derive(Debug)]
pub(super) struct Place {
    /// Dropped before the folder is cleared away.
    ticket: Option<Ticket>,
    folder: PathBuf,
    waited_ms: u64,
}

impl Queue {
    /// The queue in which the writers of the catalog file at `path` wait, or the changes of one of
    /// its tables; nobody waits longer than `wait_ms_max` milliseconds.
    pub(super) fn new(path: &Path, table: Option<(&str, &str)>, wait_ms_max: u64) -> Self {
        // Who names the file by a link waits in the same queue.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = match table {
            None => format!(".{name}-queue"),
            Some((namespace, table)) => format!(".{name}-queue-{:016x}", hash(namespace, table)),
        };
        Self {
            folder: path.with_file_name(folder),
            wait_ms_max,
        }
    }

    /// Waits for this process's turn; blocks. Returns in any case: also when there can be no queue
    /// here, or when the wait was too long because somebody who lives holds it up.
    pub(super) fn enter(&self) -> Place {
        let mut patience = Patience {
            left_ms: self.wait_ms_max,
        };
        let ticket = self.draw(&mut patience).and_then(|drawn| {
            if let Some(ticket) = &drawn {
                self.wait(ticket.number, &mut patience)?;
            }
            Ok(drawn)
        });
        let ticket = ticket.unwrap_or_else(|error| {
            tracing::debug!(folder = %self.folder.display(), %error, "no queue of writers here");
            None
        });
        Place {
            ticket,
            folder: self.folder.clone(),
            waited_ms: self.wait_ms_max - patience.left_ms,
        }
    }

    /// Takes a number behind everybody who waits; `None` after too long a wait at the door.
    fn draw(&self, patience: &mut Patience) -> io::Result<Option<Ticket>> {
        let Some(_door) = self.door(patience)? else {
            return Ok(None);
        };
        let last = numbers(&self.folder)?.into_iter().max().unwrap_or(0);
        let number = last.checked_add(1).ok_or(io::ErrorKind::InvalidData)?;
        let path = ticket_path(&self.folder, number);
        let ticket = Ticket {
            file: File::create_new(&path)?,
            path,
            number,
        };
        ticket.file.try_lock()?;
        Ok(Some(ticket))
    }

    /// Opens the door and holds it; `None` after too long a wait.
    fn door(&self, patience: &mut Patience) -> io::Result<Option<File>> {
        let path = self.folder.join(DOOR);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        loop {
            match options.open(&path) {
                Ok(file) => match file.try_lock() {
                    // The one who cleared the folder away may have taken the door along.
                    Ok(()) if is_at(&file, &path)? => return Ok(Some(file)),
                    Ok(()) | Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error)) => return Err(error),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match fs::create_dir(&self.folder) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                            return Err(error);
                        }
                        // Nobody was here: no reason to pause.
                        Ok(()) => continue,
                        Err(_) => {}
                    }
                }
                Err(error) => return Err(error),
            }
            if !patience.pause() {
                return Ok(None);
            }
        }
    }

    /// Waits until nobody with a lower number lives. Numbers below one's own only ever go.
    fn wait(&self, own: u64, patience: &mut Patience) -> io::Result<()> {
        loop {
            let before = numbers(&self.folder)?.into_iter().filter(|n| *n < own);
            let Some(predecessor) = before.max() else {
                return Ok(());
            };
            let path = ticket_path(&self.folder, predecessor);
            let file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            loop {
                match file.try_lock_shared() {
                    Ok(()) => break,
                    Err(TryLockError::WouldBlock) if patience.pause() => {}
                    Err(TryLockError::WouldBlock) => return Ok(()),
                    Err(TryLockError::Error(error)) => return Err(error),
                }
            }
            // Its owner is done, or died and left it; who stood before that one may still be there.
            remove(&path)?;
        }
    }
}

impl Place {
    /// How long it was waited for, in milliseconds.
    pub(super) fn waited_ms(&self) -> u64 {
        self.waited_ms
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.ticket.take().is_some()
            && let Err(error) = clear_away(&self.folder)
        {
            tracing::debug!(folder = %self.folder.display(), %error, "queue not cleared away");
        }
    }
}

/// A place in the queue.
#[derive(Debug)]
struct Ticket {
    /// Locked as long as it is open.
    file: File,
    path: PathBuf,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::debug!(ticket = %self.path.display(), %error, "ticket not removed");
        }
    }
}

/// What is left of the time somebody waits.
struct Patience {
    left_ms: u64,
}

impl Patience {
    /// Pauses once; false, without a pause, when no time is left.
    fn pause(&mut self) -> bool {
        if self.left_ms == 0 {
            return false;
        }
        let pause_ms = LOOK_MS.min(self.left_ms);
        thread::sleep(Duration::from_millis(pause_ms));
        self.left_ms -= pause_ms;
        true
    }
}

/// Removes the folder of a queue in which nobody stands.
fn clear_away(folder: &Path) -> io::Result<()> {
    if !numbers(folder)?.is_empty() {
        return Ok(());
    }
    let path = folder.join(DOOR);
    let door = match OpenOptions::new().write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    // Somebody who holds the door is just coming and will see to it.
    if door.try_lock().is_err() || !is_at(&door, &path)? || !numbers(folder)?.is_empty() {
        return Ok(());
    }
    remove(&path)?;
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed,
    }
}

/// The numbers of the tickets in a folder.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(numbers),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(numbers)
}

fn ticket_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(number.to_string())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether an open file is the one that stands at `path` now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        named => named.map(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())),
    }
}

/// FNV-1a: the same in every version of the library. Two tables with one hash share a queue, which
/// costs them time only.
fn hash(namespace: &str, table: &str) -> u64 {
    let bytes = namespace.bytes().chain([0]).chain(table.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn queue(folder: &tempfile::TempDir, wait_ms_max: u64) -> Queue {
        Queue::new(&folder.path().join("catalog.db"), None, wait_ms_max)
    }

    fn is_empty(folder: &tempfile::TempDir) -> bool {
        fs::read_dir(folder.path()).unwrap().next().is_none()
    }

    #[test]
    fn who_comes_first_is_served_first_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(&folder, 60_000);
        let first = queue.enter();
        assert_eq!(first.waited_ms(), 0);
        let (served, order) = mpsc::channel();
        let waiting: Vec<_> = (0..5)
            .map(|own| {
                let (each, served) = (queue.clone(), served.clone());
                let waiting = thread::spawn(move || {
                    let _turn = each.enter();
                    served.send(own).unwrap();
                });
                while numbers(&queue.folder).unwrap().len() < own + 2 {
                    thread::yield_now();
                }
                waiting
            })
            .collect();
        assert!(order.try_recv().is_err());
        drop(first);
        for thread in waiting {
            thread.join().unwrap();
        }
        drop(served);
        assert_eq!(order.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(is_empty(&folder));
    }

    #[test]
    fn tickets_of_the_dead_are_passed_over_and_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(&folder, 60_000);
        fs::create_dir(&queue.folder).unwrap();
        for number in [3, 7, 8] {
            File::create_new(ticket_path(&queue.folder, number)).unwrap();
        }
        let turn = queue.enter();
        assert_eq!(turn.ticket.as_ref().unwrap().number, 9);
        assert_eq!(numbers(&queue.folder).unwrap(), [9]);
        drop(turn);
        assert!(is_empty(&folder));
    }

    #[test]
    fn a_waiter_does_not_pass_who_stands_before_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(&folder, 5);
        let first = queue.enter();
        File::create_new(ticket_path(&queue.folder, 2)).unwrap();
        let third = queue.enter();
        assert_eq!(third.waited_ms(), 5);
        drop(first);
        drop(third);
        assert!(is_empty(&folder));
    }

    #[test]
    fn nobody_waits_for_ever_for_one_that_lives_and_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(&folder, 5);
        let stuck = queue.enter();
        assert_eq!(queue.enter().waited_ms(), 5);
        drop(stuck);
        assert!(is_empty(&folder));
    }

    #[test]
    fn where_no_folder_can_be_made_there_is_no_queue() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::new(&folder.path().join("missing/catalog.db"), None, 60_000);
        let turn = queue.enter();
        assert!(turn.ticket.is_none());
        assert_eq!(turn.waited_ms(), 0);
    }

    #[test]
    fn many_at_once_hold_no_turn_together_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(&folder, 60_000);
        let held = std::sync::Arc::new(std::sync::Mutex::new(()));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (queue, held) = (queue.clone(), std::sync::Arc::clone(&held));
                thread::spawn(move || {
                    for _ in 0..50 {
                        let turn = queue.enter();
                        assert!(turn.ticket.is_some());
                        let alone = held.try_lock().unwrap();
                        thread::yield_now();
                        drop(alone);
                        drop(turn);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(is_empty(&folder));
    }

    #[test]
    fn each_table_has_a_queue_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("catalog.db");
        let [one, other, again] = [("n", "t"), ("n.t", ""), ("n", "t")]
            .map(|table| Queue::new(&file, Some(table), 1).folder);
        assert_ne!(one, other);
        assert_eq!(one, again);
    }
}
