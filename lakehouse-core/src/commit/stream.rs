//! Where a stream of commits stands: kept in the snapshots of a branch, so that no step of it
//! counts twice.

use iceberg::spec::{Snapshot, TableMetadata};

use crate::error::{Error, ErrorKind, Result};
use crate::table::{Table, ancestor_ids};

/// Key of a snapshot's summary: the stream whose step it is.
pub(super) const STREAM: &str = "lakehouse.stream";
/// Key of a snapshot's summary: where that stream stands after it.
pub(super) const POSITION: &str = "lakehouse.stream-position";

/// One step of a stream: the commit that takes it from one position to the next.
///
/// Positions are texts of the caller's making, such as the offsets of a topic's partitions. The
/// newest position is looked for through all ancestors of the branch's head, at each attempt, so
/// commits of others in between do not hide it, and a rollback takes the stream back with its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStep {
    /// The stream's name, the same in each of its steps.
    pub stream: String,
    /// Where the stream must stand on the branch; `None` for its first step there.
    pub from: Option<String>,
    /// Where it stands afterwards: another position than all before.
    pub to: String,
}

impl StreamStep {
    /// Refuses the step where the branch with this head has it already, or stands elsewhere.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] with the snapshot that took the step: the caller goes on with
    /// the next one. [`ErrorKind::Conflict`] when the stream stands elsewhere, also when the
    /// snapshots that would tell have expired.
    pub(super) fn check(&self, metadata: &TableMetadata, head: Option<&Snapshot>) -> Result<()> {
        let head = head.map(Snapshot::snapshot_id);
        let mut newest = None;
        for (snapshot_id, position) in positions(metadata, head, &self.stream) {
            if position == self.to {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!(
                        "stream {:?} was taken to position {position:?} already by snapshot \
                         {snapshot_id}; nothing was changed",
                        self.stream
                    ),
                ));
            }
            newest.get_or_insert(position);
        }
        if newest == self.from.as_deref() {
            return Ok(());
        }
        let stands = |position: Option<&str>| match position {
            Some(position) => format!("at position {position:?}"),
            None => "at no position".to_owned(),
        };
        Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "stream {:?} stands {} on the branch, as far as its snapshots tell, and this step \
                 begins {}; nothing was changed, read the position again",
                self.stream,
                stands(newest),
                stands(self.from.as_deref())
            ),
        ))
    }

    /// What the snapshot's summary says of the step.
    pub(super) fn keys(&self) -> [(String, String); 2] {
        [
            (STREAM.to_owned(), self.stream.clone()),
            (POSITION.to_owned(), self.to.clone()),
        ]
    }
}

/// Where a stream stands at the snapshot that `table` views: the position of its newest step among
/// that snapshot and its ancestors. `None` when they hold no step of it; those that have expired
/// are not asked.
///
/// ```
/// # use lakehouse_core::{commit::{FileChange, StreamStep, stream_position}, table::Table};
/// # fn next(table: &Table) -> FileChange {
/// let step = StreamStep {
///     stream: "orders".to_owned(),
///     from: stream_position(table, "orders").map(str::to_owned),
///     to: "42".to_owned(),
/// };
/// FileChange::append(table, Vec::new()).with_stream_step(step)
/// # }
/// ```
pub fn stream_position<'a>(table: &'a Table, stream: &str) -> Option<&'a str> {
    let head = table.snapshot().map(|head| head.snapshot_id());
    positions(table.metadata(), head, stream)
        .next()
        .map(|(_, position)| position)
}

/// The steps of a stream, newest first: the snapshot and the position.
fn positions<'a>(
    metadata: &'a TableMetadata,
    head: Option<i64>,
    stream: &str,
) -> impl Iterator<Item = (i64, &'a str)> {
    ancestor_ids(metadata, head).filter_map(move |id| {
        let keys = &metadata.snapshot_by_id(id)?.summary().additional_properties;
        let is_step = keys.get(STREAM).is_some_and(|name| name == stream);
        let position = is_step.then(|| keys.get(POSITION)).flatten()?;
        Some((id, position.as_str()))
    })
}
