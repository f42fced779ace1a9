//! Files on their way from planning to the partitions: whoever is free takes the next.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::datasource::listing::PartitionedFile;
use tokio::sync::Notify;

use crate::error::{Error, Result};

/// A bounded queue with one end that puts and many that take.
///
/// An end that is no longer polled, because its reader waits for another, holds up nobody: files
/// wait in the queue alone, and all who wait are woken for each.
#[derive(Debug)]
pub(super) struct FileQueue {
    state: Mutex<State>,
    files_max: usize,
    arrived: Notify,
    taken: Notify,
}

#[derive(Debug)]
struct State {
    files: VecDeque<PartitionedFile>,
    end: End,
}

/// What comes behind the files.
#[derive(Debug)]
enum End {
    /// More files.
    Open,
    /// An error, for the first who comes to it.
    Failed(Error),
    Closed,
}

impl FileQueue {
    /// An empty queue of at most `files_max` files.
    pub(super) fn new(files_max: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                files: VecDeque::new(),
                end: End::Open,
            }),
            files_max: files_max.max(1),
            arrived: Notify::new(),
            taken: Notify::new(),
        })
    }

    /// The end that puts; when it is dropped without [`QueueEnd::close`], takers get an error.
    pub(super) fn putting_end(self: &Arc<Self>) -> QueueEnd {
        QueueEnd(Arc::clone(self))
    }

    /// The next file, when there is one; `None` behind the last.
    ///
    /// # Errors
    /// Why there are no more files, to one of those who ask.
    pub(super) async fn take(&self) -> Result<Option<PartitionedFile>> {
        loop {
            let mut arrived = pin!(self.arrived.notified());
            // Listening before looking, so that nothing arrives in between unheard.
            arrived.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(file) = state.files.pop_front() {
                    self.taken.notify_one();
                    return Ok(Some(file));
                }
                match std::mem::replace(&mut state.end, End::Closed) {
                    End::Open => state.end = End::Open,
                    End::Failed(error) => return Err(error),
                    End::Closed => return Ok(None),
                }
            }
            arrived.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, end: End) {
        let mut state = self.state();
        if let End::Open = state.end {
            state.end = end;
        }
        drop(state);
        self.arrived.notify_waiters();
    }
}

/// The end of a queue that files are put in at.
#[derive(Debug)]
pub(super) struct QueueEnd(Arc<FileQueue>);

impl QueueEnd {
    /// Puts a file in, once there is room.
    pub(super) async fn put(&mut self, file: PartitionedFile) {
        let mut file = Some(file);
        loop {
            {
                let mut state = self.0.state();
                if state.files.len() < self.0.files_max {
                    state.files.extend(file.take());
                }
            }
            match file {
                // Only this end waits for room, and a permit is kept for it until it does.
                Some(_) => self.0.taken.notified().await,
                None => return self.0.arrived.notify_waiters(),
            }
        }
    }

    /// Says that there are no more files, or why.
    pub(super) fn close(self, result: Result<()>) {
        self.0.end(match result {
            Ok(()) => End::Closed,
            Err(error) => End::Failed(error),
        });
    }
}

impl Drop for QueueEnd {
    fn drop(&mut self) {
        let error = Error::internal("planning ended before all files of a scan were found");
        self.0.end(End::Failed(error));
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;
    use crate::runtime;

    fn file(number: u64) -> PartitionedFile {
        PartitionedFile::new("f", number)
    }

    async fn size(queue: &FileQueue) -> Option<u64> {
        let taken = queue.take().await.unwrap();
        taken.map(|file| file.object_meta.size)
    }

    #[tokio::test]
    async fn files_come_once_and_in_order_through_a_full_queue() {
        let queue = FileQueue::new(2);
        let mut end = queue.putting_end();
        let putting = runtime::spawn(async move {
            for number in 0..9 {
                end.put(file(number)).await;
            }
            end.close(Ok(()));
        });
        for number in 0..9 {
            tokio::task::yield_now().await;
            assert!(queue.state().files.len() <= 2);
            assert_eq!(size(&queue).await, Some(number));
        }
        assert_eq!(size(&queue).await, None);
        assert_eq!(size(&queue).await, None);
        putting.await.unwrap();
    }

    #[tokio::test]
    async fn a_taker_that_is_not_polled_any_more_holds_up_nobody() {
        let queue = FileQueue::new(2);
        let mut end = queue.putting_end();
        let mut stalled = pin!(queue.take());
        let mut other = pin!(queue.take());
        assert!(poll!(stalled.as_mut()).is_pending());
        assert!(poll!(other.as_mut()).is_pending());
        end.put(file(7)).await;
        let taken = other.await.unwrap().unwrap();
        assert_eq!(taken.object_meta.size, 7);
        end.close(Ok(()));
        assert!(stalled.await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_error_comes_behind_the_files_and_a_lost_end_is_one() {
        let queue = FileQueue::new(2);
        let mut end = queue.putting_end();
        end.put(file(1)).await;
        end.close(Err(Error::corrupt("bad")));
        assert_eq!(size(&queue).await, Some(1));
        assert_eq!(queue.take().await.unwrap_err().to_string(), "bad");
        assert_eq!(size(&queue).await, None);

        let queue = FileQueue::new(2);
        drop(queue.putting_end());
        assert!(queue.take().await.is_err());
    }
}
