//! Reading tables through the engine: columns by field id, pruning that loses no row, statistics.

mod deletes;
mod equality;
mod equality_property;
mod evolution;
mod handmade;
mod pruning;
mod scan;
