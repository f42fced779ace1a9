//! What a scan measures beside the engine's own metrics, one set for each of its partitions.

use std::pin::Pin;
use std::task::{Context, Poll};

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};
use futures::{Stream, StreamExt};

/// The names under which the counters are found among an operator's metrics.
pub(super) mod names {
    pub(in crate::provider) const FILES_OPENED: &str = "files_opened";
    pub(in crate::provider) const FILES_SKIPPED_LATE: &str = "files_skipped_late";
    pub(in crate::provider) const FILES_LEFT_EARLY: &str = "files_left_early";
    pub(in crate::provider) const ROW_GROUPS: &str = "row_groups";
    pub(in crate::provider) const ROW_GROUPS_READ: &str = "row_groups_read";
    pub(in crate::provider) const ROW_GROUPS_NO_MATCH: &str = "row_groups_no_match";
    pub(in crate::provider) const ROW_GROUPS_NO_PAGE: &str = "row_groups_no_page";
    pub(in crate::provider) const ROW_GROUPS_DELETED: &str = "row_groups_deleted";
    pub(in crate::provider) const PAGES: &str = "pages";
    pub(in crate::provider) const PAGES_READ: &str = "pages_read";
    pub(in crate::provider) const COLUMNS: &str = "column_chunks";
    pub(in crate::provider) const COLUMNS_CACHED: &str = "column_chunks_cached";
    pub(in crate::provider) const ROWS: &str = "rows_in_row_groups";
    pub(in crate::provider) const ROWS_SELECTED: &str = "rows_selected";
    pub(in crate::provider) const ROWS_DELETED: &str = "rows_deleted";
    pub(in crate::provider) const DELETE_FILES_READ: &str = "delete_files_read";
    pub(in crate::provider) const BYTES_FOOTERS: &str = "bytes_footers";
    pub(in crate::provider) const BYTES_PAGE_INDEXES: &str = "bytes_page_indexes";
    pub(in crate::provider) const BYTES_BLOOM_FILTERS: &str = "bytes_bloom_filters";
    pub(in crate::provider) const BYTES_DATA: &str = "bytes_data";
    pub(in crate::provider) const BYTES_DELETES: &str = "bytes_deletes";
    pub(in crate::provider) const TIME_OPENING: &str = "time_opening_files";
    pub(in crate::provider) const TIME_DELETES: &str = "time_reading_deletes";
    pub(in crate::provider) const TIME_READING: &str = "time_reading";
    pub(in crate::provider) const TIME_DECODING: &str = "time_decoding";
    /// The label that says by what rows were deleted.
    pub(in crate::provider) const BY: &str = "by";
    pub(in crate::provider) const BY_POSITIONS: &str = "positions";
    pub(in crate::provider) const BY_VECTORS: &str = "vectors";
    pub(in crate::provider) const BY_KEYS: &str = "keys";
}

/// The bytes that were read for one purpose, and the time it took.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadMeter {
    /// Bytes that were asked for.
    pub(super) bytes: Count,
    /// From asking to having them.
    pub(super) time: Time,
}

/// The counters of one partition of a scan. Clones count into the same counters.
#[derive(Debug, Clone, Default)]
pub(super) struct ScanCounters {
    /// Files of which a footer was looked at, each once however many ranges of it are scanned.
    pub(super) files_opened: Count,
    /// Files that a filter skipped when it was their turn.
    pub(super) files_skipped_late: Count,
    /// Ranges of files that a filter ended before their last row.
    pub(super) files_left_early: Count,
    /// Row groups of the files that were opened.
    pub(super) row_groups: Count,
    /// Row groups of which something is decoded.
    pub(super) row_groups_read: Count,
    /// Row groups of files whose footers say that no row matches.
    pub(super) row_groups_no_match: Count,
    /// Row groups of which the page index left nothing.
    pub(super) row_groups_no_page: Count,
    /// Row groups of which all wanted rows are deleted.
    pub(super) row_groups_deleted: Count,
    /// Pages of the wanted columns in `row_groups_read`, where a page index tells them.
    pub(super) pages: Count,
    /// Those of them that hold a wanted row.
    pub(super) pages_read: Count,
    /// Columns of row groups that are looked for in memory before they are read.
    pub(super) columns: Count,
    /// Those of them that were there.
    pub(super) columns_cached: Count,
    /// Rows of `row_groups`.
    pub(super) rows: Count,
    /// Rows that are decoded, unless a limit ends the scan before.
    pub(super) rows_selected: Count,
    /// Rows deleted by position delete files.
    pub(super) rows_deleted_positions: Count,
    /// Rows deleted by deletion vectors.
    pub(super) rows_deleted_vectors: Count,
    /// Rows deleted by equality deletes.
    pub(super) rows_deleted_keys: Count,
    /// Delete files that were read.
    pub(super) delete_files_read: Count,
    /// Reads of footers.
    pub(super) footers: ReadMeter,
    /// Reads of page indexes.
    pub(super) page_indexes: ReadMeter,
    /// Reads of bloom filters.
    pub(super) bloom_filters: ReadMeter,
    /// Reads of columns.
    pub(super) data: ReadMeter,
    /// Reads of delete files.
    pub(super) deletes: ReadMeter,
    /// From the wish for a file to its first batch being decodable.
    pub(super) time_opening: Time,
    /// The part of it that waits for deletes.
    pub(super) time_deletes: Time,
    /// Decoding, and taking out deleted rows.
    pub(super) time_decoding: Time,
}

impl ScanCounters {
    /// Counters among `metrics`.
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let count = |name| MetricBuilder::new(metrics).counter(name, partition);
        let time = |name| MetricBuilder::new(metrics).subset_time(name, partition);
        let deleted = |by| {
            MetricBuilder::new(metrics)
                .with_new_label(names::BY, by)
                .counter(names::ROWS_DELETED, partition)
        };
        let reading = time(names::TIME_READING);
        let meter = |name| ReadMeter {
            bytes: count(name),
            time: reading.clone(),
        };
        Self {
            files_opened: count(names::FILES_OPENED),
            files_skipped_late: count(names::FILES_SKIPPED_LATE),
            files_left_early: count(names::FILES_LEFT_EARLY),
            row_groups: count(names::ROW_GROUPS),
            row_groups_read: count(names::ROW_GROUPS_READ),
            row_groups_no_match: count(names::ROW_GROUPS_NO_MATCH),
            row_groups_no_page: count(names::ROW_GROUPS_NO_PAGE),
            row_groups_deleted: count(names::ROW_GROUPS_DELETED),
            pages: count(names::PAGES),
            pages_read: count(names::PAGES_READ),
            columns: count(names::COLUMNS),
            columns_cached: count(names::COLUMNS_CACHED),
            rows: count(names::ROWS),
            rows_selected: count(names::ROWS_SELECTED),
            rows_deleted_positions: deleted(names::BY_POSITIONS),
            rows_deleted_vectors: deleted(names::BY_VECTORS),
            rows_deleted_keys: deleted(names::BY_KEYS),
            delete_files_read: count(names::DELETE_FILES_READ),
            footers: meter(names::BYTES_FOOTERS),
            page_indexes: meter(names::BYTES_PAGE_INDEXES),
            bloom_filters: meter(names::BYTES_BLOOM_FILTERS),
            data: meter(names::BYTES_DATA),
            // The wait for deletes has a time of its own.
            deletes: ReadMeter {
                bytes: count(names::BYTES_DELETES),
                time: Time::new(),
            },
            time_opening: time(names::TIME_OPENING),
            time_deletes: time(names::TIME_DELETES),
            time_decoding: time(names::TIME_DECODING),
        }
    }

    /// Counters for reading delete files on behalf of the same scan: they count as delete files and
    /// their bytes, and nowhere else.
    pub(super) fn of_deletes(&self) -> Self {
        Self {
            files_opened: self.delete_files_read.clone(),
            footers: self.deletes.clone(),
            page_indexes: self.deletes.clone(),
            bloom_filters: self.deletes.clone(),
            data: self.deletes.clone(),
            ..Self::default()
        }
    }
}

/// A stream that counts the time it works, but not the time it waits.
pub(super) struct Timed<S> {
    stream: S,
    time: Time,
}

impl<S> Timed<S> {
    /// `stream`, whose work adds to `time`.
    pub(super) fn new(stream: S, time: Time) -> Self {
        Self { stream, time }
    }
}

impl<S: Stream + Unpin> Stream for Timed<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.get_mut();
        let _timer = this.time.timer();
        this.stream.poll_next_unpin(cx)
    }
}
