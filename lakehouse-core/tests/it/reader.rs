//! Reading tables through the engine: columns by field id, pruning that loses no row, statistics.

mod damaged;
mod deletes;
mod equality;
mod equality_property;
mod evolution;
mod handmade;
mod metadata_columns;
mod pruning;
mod scan;
mod schema_model;
mod types;
