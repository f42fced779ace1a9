//! Where panics of other crates end: as errors.
//!
//! The crates that decode Avro, JSON and Parquet check most of what a file says, and panic on some
//! of the rest. Every call that hands them bytes of a file goes through here, and a panic is the
//! error of a damaged file. So does what the engine does for a statement, whose panics are its
//! defects, and work that many callers share, of which one caller's part may not end that of the
//! others.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

use crate::error::{Error, ErrorKind, Result};

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
    caught(Work::Decoding, decode).and_then(|decoded| decoded)
}

/// As [`contained`], for work that waits.
pub(crate) fn contained_future<F, T>(decode: F) -> impl Future<Output = Result<T>>
where
    F: Future<Output = Result<T>>,
{
    ContainedFuture(Work::Decoding, Some(Box::pin(decode)))
}

/// Runs one caller's part of shared work; a panic in it is an internal error of that part.
pub(crate) fn contained_work<F, T>(work: F) -> impl Future<Output = Result<T>>
where
    F: Future<Output = Result<T>>,
{
    ContainedFuture(Work::Shared, Some(Box::pin(work)))
}

/// As [`contained`], for a stream; after a panic it is never polled again.
pub(crate) fn contained_stream<S, T>(decode: S) -> impl Stream<Item = Result<T>> + Send
where
    S: Stream<Item = Result<T>> + Send,
{
    ContainedStream(Work::Decoding, Some(Box::pin(decode)))
}

/// Runs the engine's work for a statement that changes no table; a panic in it is an internal
/// error.
///
/// # Errors
/// Those of the work, and [`ErrorKind::Internal`].
pub fn engine_call<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(Work::Reading, work).and_then(|done| done)
}

/// As [`engine_call`], for work that waits.
///
/// # Errors
/// As [`engine_call`].
pub fn engine_future<F, T>(work: F) -> impl Future<Output = Result<T>>
where
    F: Future<Output = Result<T>>,
{
    ContainedFuture(Work::Reading, Some(Box::pin(work)))
}

/// As [`engine_future`], for a statement that may change a table: after a panic nobody knows
/// whether it has.
///
/// # Errors
/// Those of the work, and [`ErrorKind::Unknown`].
pub fn engine_change<F, T>(work: F) -> impl Future<Output = Result<T>>
where
    F: Future<Output = Result<T>>,
{
    ContainedFuture(Work::Changing, Some(Box::pin(work)))
}

/// As [`engine_call`], for rows; after a panic the stream has ended.
pub fn engine_stream<S, T>(rows: S) -> impl Stream<Item = Result<T>> + Send
where
    S: Stream<Item = Result<T>> + Send,
{
    ContainedStream(Work::Reading, Some(Box::pin(rows)))
}

/// What a panic interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Decoding,
    Shared,
    Reading,
    Changing,
}

/// Nothing that a panic interrupted is looked at again: what was called is dropped, and what
/// others share (caches, counters) is changed in single steps.
fn caught<T>(kind: Work, work: impl FnOnce() -> T) -> Result<T> {
    if kind != Work::Decoding {
        return catch_unwind(AssertUnwindSafe(work)).map_err(|panic| kind.failed(panic.as_ref()));
    }
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
        }
    }
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let _inside = Inside;
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| kind.failed(panic.as_ref()))
}

impl Work {
    fn failed(self, panic: &(dyn Any + Send)) -> Error {
        let text = text_of(panic);
        match self {
            Self::Decoding => Error::corrupt(format!(
                "the file is damaged, its decoder gave up on it ({text}); restore the file"
            )),
            Self::Shared => Error::internal(format!(
                "work ended where it should not ({text}); please report it"
            )),
            Self::Reading => Error::internal(format!(
                "the engine gave up on the statement ({text}); please report this defect with the \
                 statement"
            )),
            Self::Changing => Error::new(
                ErrorKind::Unknown,
                format!(
                    "the engine gave up on the statement ({text}); whether it changed the table is \
                     not known, look at the table's history, and please report this defect with \
                     the statement"
                ),
            ),
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned());
    // A panic's message may have many lines.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct ContainedFuture<F>(Work, Option<Pin<Box<F>>>);

impl<F, T> Future for ContainedFuture<F>
where
    F: Future<Output = Result<T>>,
{
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let kind = self.0;
        let Some(work) = &mut self.1 else {
            return Poll::Ready(Err(Error::internal("work was polled after its end")));
        };
        let polled = caught(kind, || work.as_mut().poll(cx));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => {
                self.1 = None;
                Poll::Ready(result)
            }
            Err(error) => {
                self.1 = None;
                Poll::Ready(Err(error))
            }
        }
    }
}

struct ContainedStream<S>(Work, Option<Pin<Box<S>>>);

impl<S, T> Stream for ContainedStream<S>
where
    S: Stream<Item = Result<T>>,
{
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let kind = self.0;
        let Some(items) = &mut self.1 else {
            return Poll::Ready(None);
        };
        match caught(kind, || items.as_mut().poll_next(cx)) {
            Ok(polled) => polled,
            Err(error) => {
                self.1 = None;
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

    #[tokio::test]
    async fn a_panic_of_the_engine_is_a_defect_and_leaves_a_change_unknown() {
        let error = engine_call::<()>(|| panic!("no such\nplan")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.to_string().contains("no such plan"), "{error}");
        let error = engine_future::<_, ()>(async { panic!("late") }).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Internal);
        let error = engine_change::<_, ()>(async { panic!("later") }).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unknown);
        let rows = futures::stream::iter(0..3).map(|row| {
            assert!(row < 1, "second row");
            Ok(row)
        });
        let read: Vec<_> = engine_stream(rows).collect().await;
        assert_eq!(read.len(), 2);
        assert!(
            read[1]
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::Internal)
        );
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

        let work = contained_work::<_, ()>(async {
            tokio::task::yield_now().await;
            panic!("too late")
        });
        let error = work.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.to_string().contains("too late"), "{error}");

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
