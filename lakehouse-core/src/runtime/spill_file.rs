//! Files of the spill folder that hold pieces of bytes until they are wanted.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManager, RefCountedTempFile};

use super::spill::without_room;
use crate::error::{Error, ErrorKind, Result};

/// Where work may put what memory does not hold, within the limit of all spilled bytes.
#[derive(Debug, Clone)]
pub struct SpillSpace {
    disk: Arc<DiskManager>,
    parent: Arc<Path>,
}

impl SpillSpace {
    pub(super) fn new(disk: Arc<DiskManager>, parent: &Path) -> Self {
        Self {
            disk,
            parent: parent.into(),
        }
    }

    /// A new, empty file, deleted when dropped; `purpose` stands in error messages.
    ///
    /// # Errors
    /// When the spill folder cannot be written to.
    pub fn file(&self, purpose: &str) -> Result<SpillFile> {
        let file = self.disk.create_tmp_file(purpose)?;
        Ok(SpillFile {
            file,
            bytes: 0,
            parent: Arc::clone(&self.parent),
        })
    }
}

/// A file of the spill folder that grows at its end and is read by ranges. Its calls block.
#[derive(Debug)]
pub struct SpillFile {
    file: RefCountedTempFile,
    bytes: u64,
    parent: Arc<Path>,
}

impl SpillFile {
    /// Adds what `write` writes, and says for each piece where it stands.
    ///
    /// # Errors
    /// What the operating system answers; when all spilled bytes are more than they may be.
    pub fn append<T>(
        &mut self,
        pieces: impl Iterator<Item = T>,
        mut write: impl FnMut(&T, &mut Vec<u8>) -> Result<()>,
    ) -> Result<Vec<(T, Range<u64>)>> {
        let mut file = OpenOptions::new().append(true).open(self.file.path())?;
        let mut placed = Vec::new();
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.clear();
            write(&piece, &mut bytes)?;
            file.write_all(&bytes).map_err(|error| self.failed(error))?;
            let start = self.bytes;
            self.bytes += bytes.len() as u64;
            placed.push((piece, start..self.bytes));
        }
        self.file.update_disk_usage()?;
        Ok(placed)
    }

    /// The bytes of a range that [`Self::append`] told.
    ///
    /// # Errors
    /// What the operating system answers.
    pub fn read(&self, range: &Range<u64>) -> Result<Vec<u8>> {
        let length = usize::try_from(range.end - range.start)
            .map_err(|_| Error::internal("a spilled piece must fit into memory"))?;
        let mut file = OpenOptions::new().read(true).open(self.file.path())?;
        file.seek(SeekFrom::Start(range.start))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn failed(&self, error: io::Error) -> Error {
        let error = Error::from(error);
        match error.kind() {
            ErrorKind::ResourcesExhausted => without_room(&self.parent, error),
            _ => error,
        }
    }
}
