//! Reading tables through the engine: columns by field id, pruning that loses no row, statistics.

mod evolution;
mod handmade;
mod pruning;
mod scan;
