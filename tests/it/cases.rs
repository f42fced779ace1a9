//! Known bugs of other engines, by their ids in `docs/cases.md`, as users would meet them in SQL.

mod evolution;
mod partitions;
mod pruning;
mod row_changes;
mod writers;
