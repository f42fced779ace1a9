//! What a write is given beside the table.

use std::collections::HashMap;

use uuid::Uuid;

use crate::runtime::{Reservation, SpillSpace};

/// What one write is given beside the table.
#[derive(Debug)]
pub struct WriteOptions {
    pub(super) memory: Reservation,
    pub(super) query_id: Uuid,
    pub(super) task: u32,
    pub(super) properties: HashMap<String, String>,
    pub(super) has_row_lineage: bool,
    pub(super) space: Option<SpillSpace>,
    pub(super) order: RowOrder,
    pub(super) counts_rows: bool,
}

/// In which order rows come to a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowOrder {
    /// In any.
    #[default]
    Any,
    /// By partition: a partition's rows stand together.
    ByPartition,
    /// By partition, and within each by the table's sort order, which the files are said to have.
    Sorted,
}

impl WriteOptions {
    /// A write within `memory`, whose file names carry `query_id`.
    ///
    /// `query_id` comes from [`crate::clock::Clock::new_uuid`] and is used for one statement only,
    /// so that no two files ever share a name.
    pub fn new(memory: Reservation, query_id: Uuid) -> Self {
        Self {
            memory,
            query_id,
            task: 0,
            properties: HashMap::new(),
            has_row_lineage: false,
            space: None,
            order: RowOrder::Any,
            counts_rows: false,
        }
    }

    /// Where rows of partitions that have to wait are kept when memory is short. Without it such
    /// partitions get more and smaller files.
    #[must_use]
    pub fn with_spill_space(mut self, space: SpillSpace) -> Self {
        self.space = Some(space);
        self
    }

    /// The order in which rows come. It must be true: files are said to be sorted by it.
    #[must_use]
    pub fn with_row_order(mut self, order: RowOrder) -> Self {
        self.order = order;
        self
    }

    /// Says the number of a refused row in errors, counted from one: for a writer that gets all
    /// rows of a statement in their order.
    #[must_use]
    pub fn with_row_numbers(mut self) -> Self {
        self.counts_rows = true;
        self
    }

    /// The number of this writer among those of the same statement.
    #[must_use]
    pub fn with_task(mut self, task: u32) -> Self {
        self.task = task;
        self
    }

    /// Says that rows come with their ids and the sequence numbers of their last change, in two
    /// columns of whole numbers behind the table's own; NULL is what the rows' file gives them. For
    /// tables of format version 3.
    #[must_use]
    pub fn with_row_lineage(mut self) -> Self {
        self.has_row_lineage = true;
        self
    }

    /// A property of this write alone, such as `write.target-file-size-bytes`, before the table's.
    #[must_use]
    pub fn with_property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }
}
