//! Where results go: standard output, a whole result at a time, or a file that appears complete.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use lakehouse::Error;
use lakehouse::core::runtime::{SpillFile, SpillSpace, blocking};

use crate::failure::{Failure, stdout_failure};

/// Bytes of one result kept in memory before the rest goes to a temporary file.
const SPOOL_MEMORY_BYTES_MAX: usize = 16 << 20;

/// Bytes that go to a temporary file at once, and come back.
const PIECE_BYTES: usize = 1 << 20;

/// Tells apart the temporary files of one process.
static NEXT_FILE: AtomicU32 = AtomicU32::new(0);

/// Where the results of a run go.
#[derive(Debug)]
pub(crate) enum Output {
    /// Standard output; nothing of a statement that fails, whose rows wait here.
    Stdout(SpillSpace),
    /// A file; nothing at all when a statement fails.
    File(TargetFile),
}

impl Output {
    /// Standard output, for which large results wait in `space`, or the file at `path`.
    pub(crate) fn new(path: Option<&Path>, space: SpillSpace) -> Result<Self, Failure> {
        match path {
            None => Ok(Self::Stdout(space)),
            Some(path) => Ok(Self::File(TargetFile::create(path)?)),
        }
    }

    /// Writes one result with `encode`, and shows it once all of it is there.
    pub(crate) async fn write<T>(
        &mut self,
        encode: impl AsyncFnOnce(&mut (dyn Write + Send)) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self {
            Self::Stdout(space) => {
                let mut spool = Spool::new(space.clone());
                let mut sink = Sink::new(&mut spool);
                let encoded = encode(&mut sink).await;
                let value = sink.outcome(encoded)??;
                // Whoever does not read keeps nobody from cancelling.
                blocking(move || spool.deliver()).await??;
                Ok(value)
            }
            Self::File(file) => {
                let target = file.target.clone();
                let mut sink = Sink::new(file);
                let encoded = encode(&mut sink).await;
                sink.outcome(encoded)
                    .map_err(|error| error.with_context("output", target.display()))?
            }
        }
    }

    /// Ends the run with success.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Stdout(_) => Ok(()),
            Self::File(file) => file.finish().map_err(Failure::from),
        }
    }
}

/// A file that takes its final name when it is complete, and leaves no trace otherwise.
#[derive(Debug)]
pub(crate) struct TargetFile {
    writer: BufWriter<File>,
    target: PathBuf,
    /// The name until then; `None` for what is no regular file and is written in place.
    temporary: Option<PathBuf>,
}

impl TargetFile {
    fn create(path: &Path) -> Result<Self, Error> {
        Self::try_create(path).map_err(|error| error.with_context("output", path.display()))
    }

    fn try_create(path: &Path) -> Result<Self, Error> {
        // A link stays a link: what it points to is replaced.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if target.is_dir() {
            return Err(Error::invalid("the output is a folder; name a file in it"));
        }
        if target.exists() && !target.is_file() {
            let file = OpenOptions::new().write(true).open(&target)?;
            return Ok(Self {
                writer: BufWriter::new(file),
                target,
                temporary: None,
            });
        }
        let name = target
            .file_name()
            .ok_or_else(|| Error::invalid("the output names no file"))?
            .to_string_lossy();
        let number = NEXT_FILE.fetch_add(1, Ordering::Relaxed);
        let hidden = format!(".{name}.{}-{number}.tmp", std::process::id());
        let temporary = target.with_file_name(hidden);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        Ok(Self {
            writer: BufWriter::new(file),
            target,
            temporary: Some(temporary),
        })
    }

    fn finish(mut self) -> Result<(), Error> {
        self.try_finish()
            .map_err(|error| error.with_context("output", self.target.display()))
    }

    fn try_finish(&mut self) -> Result<(), Error> {
        self.writer.flush()?;
        if let Some(temporary) = &self.temporary {
            self.writer.get_ref().sync_all()?;
            std::fs::rename(temporary, &self.target)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Write for TargetFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for TargetFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // There is nobody left to tell, and the file harms nobody.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// What an encoder writes to. It keeps what went wrong, which encoders tell in words of their own.
struct Sink<'a> {
    inner: &'a mut (dyn Write + Send),
    failed: Option<io::Error>,
}

impl<'a> Sink<'a> {
    fn new(inner: &'a mut (dyn Write + Send)) -> Self {
        Self {
            inner,
            failed: None,
        }
    }

    fn keep<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        done.map_err(|error| {
            let kind = error.kind();
            self.failed = Some(error);
            io::Error::from(kind)
        })
    }

    /// What an encoder came to, or else what went wrong below it.
    fn outcome<T>(self, encoded: Result<T, Failure>) -> Result<Result<T, Failure>, Error> {
        match (encoded, self.failed) {
            (Err(_), Some(failed)) => Err(failed.downcast().unwrap_or_else(Error::from)),
            (encoded, _) => Ok(encoded),
        }
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        self.keep(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.keep(flushed)
    }
}

/// One encoded result, kept until it is known to be whole: in memory, then in the lake's spill
/// folder.
#[derive(Debug)]
struct Spool {
    space: SpillSpace,
    memory: Vec<u8>,
    overflow: Option<Overflow>,
}

/// What comes after the bytes in memory.
#[derive(Debug)]
struct Overflow {
    file: SpillFile,
    placed: Vec<Range<u64>>,
    /// Not in the file yet.
    pending: Vec<u8>,
}

impl Spool {
    fn new(space: SpillSpace) -> Self {
        Self {
            space,
            memory: Vec::new(),
            overflow: None,
        }
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let overflow = match &mut self.overflow {
            Some(overflow) => overflow,
            None if self.memory.len() + bytes.len() <= SPOOL_MEMORY_BYTES_MAX => {
                self.memory.extend_from_slice(bytes);
                return Ok(());
            }
            none => none.insert(Overflow {
                file: self.space.file("a result")?,
                placed: Vec::new(),
                pending: Vec::new(),
            }),
        };
        overflow.pending.extend_from_slice(bytes);
        if overflow.pending.len() < PIECE_BYTES {
            return Ok(());
        }
        let pending = std::mem::take(&mut overflow.pending);
        let placed = overflow.file.append(iter::once(&pending), |piece, bytes| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        overflow
            .placed
            .extend(placed.into_iter().map(|(_, range)| range));
        Ok(())
    }

    /// Gives everything to who reads standard output, and waits for them.
    fn deliver(self) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&self.memory).map_err(stdout_failure)?;
        if let Some(overflow) = self.overflow {
            for range in overflow.placed {
                let piece = overflow.file.read(&range)?;
                stdout.write_all(&piece).map_err(stdout_failure)?;
            }
            stdout
                .write_all(&overflow.pending)
                .map_err(stdout_failure)?;
        }
        stdout.flush().map_err(stdout_failure)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lakehouse::core::runtime::Runtime;
    use lakehouse::core::settings::Durability;
    use lakehouse::core::storage::Storage;
    use lakehouse::{Settings, SystemClock};

    use super::*;

    #[test]
    fn a_spool_keeps_order_beyond_its_memory() {
        let storage = Storage::new(&SystemClock, Durability::default()).unwrap();
        let runtime = Runtime::new(&Settings::default(), &storage).unwrap();
        let mut spool = Spool::new(runtime.spill_space());
        let block = vec![7_u8; SPOOL_MEMORY_BYTES_MAX - 1];
        spool.write_all(&block).unwrap();
        spool.write_all(b"ab").unwrap();
        spool.write_all(&vec![8_u8; PIECE_BYTES]).unwrap();
        spool.write_all(b"c").unwrap();
        assert_eq!(spool.memory.len(), block.len());
        let overflow = spool.overflow.unwrap();
        let [range] = overflow.placed.as_slice() else {
            panic!("one piece: {:?}", overflow.placed);
        };
        let piece = overflow.file.read(range).unwrap();
        assert_eq!(piece.len(), 2 + PIECE_BYTES);
        assert!(piece.starts_with(b"ab") && piece.ends_with(&[8]));
        assert_eq!(overflow.pending, b"c");
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        let names = || std::fs::read_dir(folder.path()).unwrap().count();

        let mut abandoned = TargetFile::create(&path).unwrap();
        abandoned.write_all(b"half").unwrap();
        drop(abandoned);
        assert_eq!(names(), 0);

        std::fs::write(&path, "old").unwrap();
        let mut file = TargetFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(), 1);
    }
}
