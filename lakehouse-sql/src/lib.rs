//! The SQL surface of the lakehouse, one stage a module.
//!
//! ```text
//! SQL text ─parse→ Statement ─resolve→ Resolved ─govern→ Governed ─plan→ Plan ─execute→ rows
//! ```
//!
//! Each arrow is one function, each noun one type that only its stage can make; [`Session::sql`]
//! runs them in this order.

mod aggregate_call;
mod aggregate_choice;
mod aggregate_filter;
mod aggregate_order;
mod assignment;
mod bounded_batch;
mod bounded_call;
mod broadcast_map;
mod bytes_planner;
mod cancellable_join;
mod cast_name;
mod checked_sum;
mod column_alias;
mod compared;
mod constant;
mod correlation;
mod date_bin;
mod date_format;
mod date_trunc;
mod dated_time;
mod decimal_arithmetic;
mod decimal_frame;
mod default_text;
mod environment;
mod exact_cast;
mod execute;
mod extreme;
mod field_match;
mod first_rows;
mod frame_aggregate;
mod functions;
mod govern;
mod grouping_set;
mod guarded_condition;
mod guarded_logical_rule;
mod guarded_rule;
mod hex_text;
mod hive_text;
mod inner_values;
mod join_choice;
mod joined_subqueries;
mod json_number;
mod lateral_unnest;
mod lead_lag;
mod length;
mod length_product;
mod local_time;
mod lossy_cast;
mod mergeable_key;
mod ntile;
mod null_counts;
mod of_columns;
mod one_nan;
mod ordered_offset;
pub mod parse;
mod physical_rules;
mod plan;
mod query_type;
mod recursive_type;
mod register;
mod resolve;
mod scalar_subquery;
mod semi_join;
mod session;
mod session_time;
mod session_zone;
mod set_operation;
mod shared_subplan;
mod sql_type;
pub mod statement;
mod subquery_value;
mod substr;
mod text_decimal;
mod time_text;
mod truth_test;
mod type_planner;
mod typed_call;
mod unique_keys;
mod uuid_text;
mod wide_arithmetic;
mod written_decimal;
mod zoned_sum;

pub use execute::QueryResult;
pub use govern::Governed;
pub use parse::parse;
pub use plan::Plan;
pub use register::register;
pub use resolve::Resolved;
pub use session::{
    ChangeCounts, MatchedClause, MergeBuilder, NotMatchedClause, Session, TableChange,
    UpdateBuilder,
};
pub use statement::Statement;
