//! Files of a write that are ended while it goes on, and that go away unless somebody takes them.

use std::future::Future;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::WrittenFile;
use super::parquet_file::ParquetFile;
use crate::error::{Error, Result};
use crate::runtime;
use crate::storage::{Storage, WorkGuard};

/// Files that are ended or deleted at the same time.
const CONCURRENT_FILES: usize = 8;

/// Data files that nobody names yet. Dropped with files in it, it deletes them.
#[derive(Debug)]
pub(crate) struct EndedFiles {
    storage: Storage,
    ending: FuturesUnordered<Ending>,
    ending_bytes: usize,
    files: Vec<WrittenFile>,
    work: WorkGuard,
}

/// A file being ended by a task of its own: its last row group may be large.
#[derive(Debug)]
struct Ending {
    task: runtime::Task<Result<WrittenFile>>,
    memory_bytes: usize,
}

impl Future for Ending {
    type Output = (usize, Result<WrittenFile>);

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let memory_bytes = self.memory_bytes;
        let task = std::pin::Pin::new(&mut self.task);
        task.poll(context)
            .map(|file| (memory_bytes, file.and_then(|file| file)))
    }
}

impl EndedFiles {
    /// None yet, of files that `storage` holds.
    pub(crate) fn new(storage: Storage) -> Self {
        Self {
            work: storage.begin_work(),
            storage,
            ending: FuturesUnordered::new(),
            ending_bytes: 0,
            files: Vec::new(),
        }
    }

    /// Bytes held by files that are being ended.
    pub(super) fn memory_bytes(&self) -> usize {
        self.ending_bytes
    }

    /// Begins to end a file; waits while too many are being ended.
    ///
    /// # Errors
    /// What the store answers, also to a file that was to be ended before.
    pub(super) async fn end(&mut self, file: ParquetFile, memory_bytes: usize) -> Result<()> {
        while self.ending.len() >= CONCURRENT_FILES {
            self.wait().await?;
        }
        self.ending_bytes += memory_bytes;
        self.ending.push(Ending {
            task: runtime::spawn(file.finish()),
            memory_bytes,
        });
        Ok(())
    }

    /// Waits for one of the files that are being ended; `false` when there is none.
    pub(super) async fn wait(&mut self) -> Result<bool> {
        let Some((memory_bytes, file)) = self.ending.next().await else {
            return Ok(false);
        };
        self.ending_bytes -= memory_bytes;
        self.files.push(file?);
        Ok(true)
    }

    /// Waits for all files. When one cannot be ended, all are deleted.
    pub(super) async fn wait_for_all(&mut self) -> Result<()> {
        let mut failed: Option<Error> = None;
        loop {
            match self.wait().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            None => Ok(()),
            Some(error) => {
                // The first error is the one to tell; files that no snapshot names are orphans.
                let _ = self.delete().await;
                Err(error)
            }
        }
    }

    /// Deletes all files.
    ///
    /// # Errors
    /// What the store answers to the first deletion that failed; the others are still tried.
    pub(crate) async fn delete(&mut self) -> Result<()> {
        // What cannot be ended leaves nothing under its name.
        while !matches!(self.wait().await, Ok(false)) {}
        delete(&self.storage, std::mem::take(&mut self.files)).await
    }

    /// The files, which are the caller's from here on.
    pub(crate) fn take(mut self) -> Vec<WrittenFile> {
        let mut files = std::mem::take(&mut self.files);
        files.sort_by(|a, b| a.data_file.file_path().cmp(b.data_file.file_path()));
        files
    }

    /// Adds the files of another writer of the same storage.
    pub(crate) fn join(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
    }
}

impl Drop for EndedFiles {
    fn drop(&mut self) {
        if self.files.is_empty() && self.ending.is_empty() {
            return;
        }
        let storage = self.storage.clone();
        let ending = std::mem::take(&mut self.ending);
        let mut files = std::mem::take(&mut self.files);
        // Nobody waits any longer, and a file without a name in any snapshot is only litter.
        runtime::detach(self.work.another(), async move {
            let ended: Vec<_> = ending.collect().await;
            files.extend(ended.into_iter().filter_map(|(_, file)| file.ok()));
            if let Err(error) = delete(&storage, files).await {
                tracing::warn!(%error, "files of a write that was given up were left behind");
            }
        });
    }
}

async fn delete(storage: &Storage, files: Vec<WrittenFile>) -> Result<()> {
    let deletions = files
        .iter()
        .map(|file| storage.delete(file.data_file.file_path()));
    let deletions: Vec<_> = deletions.collect();
    let mut deletions = futures::stream::iter(deletions).buffer_unordered(CONCURRENT_FILES);
    let mut outcome = Ok(());
    while let Some(deleted) = deletions.next().await {
        outcome = outcome.and(deleted);
    }
    outcome
}
