//! Reading tables through the engine: columns by field id, pruning that loses no row, statistics.

mod deletes;
mod evolution;
mod handmade;
mod pruning;
mod scan;
