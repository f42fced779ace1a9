//! The body of an object, which goes on where it was cut.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use lakehouse_core::error::{Error, ErrorKind};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectMeta, Result};

use super::answer::{self, Operation};
use super::store::{BucketStore, is_passing};

/// The pause before a body is asked for again.
const PAUSE: Duration = Duration::from_millis(200);

/// What is left to read of an object.
///
/// The client goes on with a body that was cut for a few minutes from its request on, which a busy
/// reader of a large object outlasts. Where it has given up, it is asked anew for what is left,
/// unless it gave nothing the last time: as long as bytes come, reading may take as long as it
/// likes.
pub(super) struct Body {
    store: BucketStore,
    path: Path,
    options: GetOptions,
    /// What tells the object from another under the same name; without it nobody goes on.
    e_tag: Option<String>,
    /// What is to come.
    left: Range<u64>,
    /// Whether it was asked anew, and nothing has come since.
    is_waiting: bool,
}

impl Body {
    pub(super) fn new(
        store: BucketStore,
        path: Path,
        options: GetOptions,
        meta: &ObjectMeta,
        range: Range<u64>,
    ) -> Self {
        Self {
            store,
            path,
            options,
            e_tag: meta.e_tag.clone(),
            left: range,
            is_waiting: false,
        }
    }

    /// The bytes, beginning with those of the first answer.
    pub(super) fn stream(
        self,
        bytes: BoxStream<'static, Result<Bytes>>,
    ) -> BoxStream<'static, Result<Bytes>> {
        let next = |(mut body, mut bytes): (Self, BoxStream<'static, Result<Bytes>>)| async move {
            loop {
                let failed = match bytes.next().await {
                    Some(Ok(piece)) => {
                        body.took(&piece);
                        return Ok(Some((piece, (body, bytes))));
                    }
                    _ if body.left.is_empty() => return Ok(None),
                    Some(Err(error)) => body.told(error),
                    None => body.too_short(),
                };
                bytes = body.go_on(failed).await?;
            }
        };
        try_unfold((self, bytes), next).boxed()
    }

    fn took(&mut self, piece: &Bytes) {
        if !piece.is_empty() {
            self.left.start += piece.len() as u64;
            self.is_waiting = false;
        }
    }

    fn told(&self, error: object_store::Error) -> object_store::Error {
        self.store.told(Operation::Read, Some(&self.path), error)
    }

    fn too_short(&self) -> object_store::Error {
        answer::wrapped(Error::new(
            ErrorKind::Unavailable,
            format!(
                "the answer ended {} bytes too early; check endpoint and network",
                self.left.end - self.left.start
            ),
        ))
    }

    /// The rest of the body, of the same object, unless `failed` says that there is none to be had.
    async fn go_on(
        &mut self,
        failed: object_store::Error,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let e_tag = match &self.e_tag {
            Some(e_tag) if is_passing(&failed) && !self.is_waiting => e_tag.clone(),
            _ => return Err(failed),
        };
        self.is_waiting = true;
        self.store.access.clock.sleep(PAUSE).await;
        tracing::debug!(path = %self.path, at = self.left.start, "going on with a cut body");
        let options = GetOptions {
            range: Some(GetRange::Bounded(self.left.clone())),
            if_match: Some(e_tag),
            ..self.options.clone()
        };
        match self.store.get(&self.path, &options).await?.payload {
            GetResultPayload::Stream(bytes) => Ok(bytes),
            _ => Err(failed),
        }
    }
}

#[cfg(test)]
mod tests;
