//! Where results go: standard output, a whole result at a time, or a file that appears complete.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use lakehouse::Error;

use crate::failure::{Failure, stdout_failure};

/// Bytes of one result kept in memory before the rest goes to a temporary file.
const SPOOL_MEMORY_BYTES_MAX: usize = 16 << 20;

/// Bytes copied to standard output at once.
const COPY_BYTES: usize = 1 << 16;

/// Tells apart the temporary files of one process.
static NEXT_FILE: AtomicU32 = AtomicU32::new(0);

/// Where the results of a run go.
#[derive(Debug)]
pub(crate) enum Output {
    /// Standard output; nothing of a statement that fails.
    Stdout,
    /// A file; nothing at all when a statement fails.
    File(TargetFile),
}

impl Output {
    /// Standard output, or the file at `path`.
    pub(crate) fn new(path: Option<&Path>) -> Result<Self, Failure> {
        match path {
            None => Ok(Self::Stdout),
            Some(path) => Ok(Self::File(TargetFile::create(path)?)),
        }
    }

    /// Writes one result with `encode`, and shows it once all of it is there.
    pub(crate) async fn write<T>(
        &mut self,
        encode: impl AsyncFnOnce(&mut (dyn Write + Send)) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self {
            Self::Stdout => {
                let mut spool = Spool::default();
                let value = encode(&mut spool).await?;
                spool.deliver()?;
                Ok(value)
            }
            Self::File(file) => encode(file).await,
        }
    }

    /// Ends the run with success.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Stdout => Ok(()),
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

/// One encoded result, kept until it is known to be whole: in memory, then in a nameless file.
#[derive(Debug, Default)]
struct Spool {
    memory: Vec<u8>,
    overflow: Option<BufWriter<File>>,
}

impl Spool {
    fn deliver(self) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.memory).and_then(|()| stdout.flush());
        written.map_err(stdout_failure)?;
        if let Some(overflow) = self.overflow {
            let mut file = overflow
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            let mut chunk = vec![0; COPY_BYTES];
            loop {
                let count = file.read(&mut chunk)?;
                if count == 0 {
                    break;
                }
                stdout.write_all(&chunk[..count]).map_err(stdout_failure)?;
            }
            stdout.flush().map_err(stdout_failure)?;
        }
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(overflow) = &mut self.overflow {
            return overflow.write(bytes);
        }
        if self.memory.len() + bytes.len() <= SPOOL_MEMORY_BYTES_MAX {
            self.memory.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        self.overflow
            .insert(BufWriter::new(nameless_file()?))
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.overflow.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// A file in the system's temporary folder that only this process can reach and that ends with it.
fn nameless_file() -> io::Result<File> {
    let number = NEXT_FILE.fetch_add(1, Ordering::Relaxed);
    let name = format!("lake-result-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    // The open file lives on without its name.
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_keeps_order_beyond_its_memory() {
        let mut spool = Spool::default();
        let block = vec![7_u8; SPOOL_MEMORY_BYTES_MAX - 1];
        spool.write_all(&block).unwrap();
        spool.write_all(b"ab").unwrap();
        spool.write_all(b"c").unwrap();
        assert_eq!(spool.memory.len(), block.len());
        let mut file = spool.overflow.unwrap().into_inner().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "abc");
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
