//! Reading tables through the engine: columns by field id, pruning that loses no row, statistics.

mod account;
mod added_column;
mod bloom_filter;
mod damaged;
mod deletes;
mod dynamic_filters;
mod equality;
mod equality_nested;
mod equality_property;
mod evolution;
mod function_pruning;
mod handmade;
mod metadata_columns;
mod pruning;
mod scan;
mod schema_model;
mod statistics;
mod streamed;
mod types;
