//! Where panics of format crates end: as the error of a damaged file.
//!
//! The crates that decode Avro, JSON and Parquet check most of what a file says, and panic on some
//! of the rest. Every call that hands them bytes of a file goes through here.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

use crate::error::{Error, Result};

thread_local! {
    /// How many contained calls the thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether a panic of the current thread would be caught and told as the error of a damaged file.
///
/// For the panic hooks of programs: a message about such a panic tells their users nothing that
/// the error does not tell.
pub fn is_contained() -> bool {
    DEPTH.with(Cell::get) > 0
}

/// Runs `decode`; a panic in it is the error that the file is damaged.
pub(crate) fn contained<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(decode).and_then(|decoded| decoded)
}

/// As [`contained`], for work that waits.
pub(crate) fn contained_future<F, T>(decode: F) -> impl Future<Output = Result<T>>
where
    F: Future<Output = Result<T>>,
{
    ContainedFuture(Some(Box::pin(decode)))
}

/// As [`contained`], for a stream; after a panic it is never polled again.
pub(crate) fn contained_stream<S, T>(decode: S) -> impl Stream<Item = Result<T>> + Send
where
    S: Stream<Item = Result<T>> + Send,
{
    ContainedStream(Some(Box::pin(decode)))
}

/// Nothing that a panic interrupted is looked at again: what was called is dropped, and what
/// others share (caches, counters) is changed in single steps.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
        }
    }
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let _inside = Inside;
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| damaged(panic.as_ref()))
}

fn damaged(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned());
    // A panic's message may have many lines.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::corrupt(format!(
        "the file is damaged, its decoder gave up on it ({text}); restore the file"
    ))
}

struct ContainedFuture<F>(Option<Pin<Box<F>>>);

impl<F, T> Future for ContainedFuture<F>
where
    F: Future<Output = Result<T>>,
{
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else {
            return Poll::Ready(Err(Error::internal("work was polled after its end")));
        };
        let polled = caught(|| work.as_mut().poll(cx));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => {
                self.0 = None;
                Poll::Ready(result)
            }
            Err(error) => {
                self.0 = None;
                Poll::Ready(Err(error))
            }
        }
    }
}

struct ContainedStream<S>(Option<Pin<Box<S>>>);

impl<S, T> Stream for ContainedStream<S>
where
    S: Stream<Item = Result<T>>,
{
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(items) = &mut self.0 else {
            return Poll::Ready(None);
        };
        match caught(|| items.as_mut().poll_next(cx)) {
            Ok(polled) => polled,
            Err(error) => {
                self.0 = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_panic_is_a_corrupt_file() {
        let error = contained::<()>(|| panic!("index out\nof bounds")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("index out of bounds"), "{error}");
        assert!(!is_contained());
    }

    #[test]
    fn results_pass_unchanged() {
        assert!(contained(|| Ok(is_contained())).unwrap());
        let error = contained::<()>(|| Err(Error::unsupported("x"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[tokio::test]
    async fn futures_and_streams_end_with_the_error() {
        let work = contained_future::<_, ()>(async {
            tokio::task::yield_now().await;
            panic!("late")
        });
        assert_eq!(work.await.unwrap_err().kind(), ErrorKind::Corrupt);

        let items = futures::stream::iter(0..9).map(|item| {
            assert!(item < 2, "third item");
            Ok(item)
        });
        let read: Vec<_> = contained_stream(items).collect().await;
        assert_eq!(read.len(), 3);
        assert!(
            read[2]
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::Corrupt)
        );
    }
}
