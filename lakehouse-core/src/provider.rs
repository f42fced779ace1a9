//! Tables as DataFusion sees them: planning, reading Parquet by field id, statistics.
//!
//! The only module of this crate that names the engine's planning types. A scan goes
//! [`LakeTable`] (plans files) → `LakeSource` (takes projections and filters) → `LakeOpener` (one
//! file: what to skip, what to decode) → rows. Filters only ever skip; the engine filters. Only
//! dynamic filters below an aggregate leave single rows out ([`RowFilterRule`]).

mod access;
mod account;
mod catalog;
mod condition_text;
mod counted_write;
mod deletes;
mod equality_delete;
mod field_mapping;
mod file;
mod file_groups;
mod file_queue;
mod file_reader;
mod file_rows;
mod insert;
mod insert_into;
mod metadata_column;
mod metadata_table;
mod opener;
mod predicate;
mod pruning;
mod row_change;
mod row_filter;
mod scan_counters;
mod scan_report;
mod source;
mod streamed_scan;
mod table;
mod transform_function;
mod transform_value;
mod values;
mod write_default;
mod write_layout;
mod write_terms;

pub use access::Access;
pub use catalog::{LakeCatalog, LocalTable};
pub use insert::{WrittenRows, write_plan, write_streams};
pub use insert_into::{AddedColumns, InsertInto, InsertMode};
pub use predicate::{exact_predicate, filter_predicate};
pub use row_change::{RowAction, RowChange, RowChangeExec, RowChangeNode, RowChangePlanner};
pub use row_filter::RowFilterRule;
pub use scan_report::{ScanReport, bytes_text, time_text};
pub use streamed_scan::StreamedPlanning;
pub use table::{LakeTable, UncountedNulls};
pub use transform_function::transform_functions;
pub use write_default::write_default;
pub use write_terms::WriteTerms;
