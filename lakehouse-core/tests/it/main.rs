//! The integration tests of the crate, in one binary.

// The lints know test code by this attribute.
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod commit;
#[cfg(test)]
mod given_up;
#[cfg(test)]
mod reader;
#[cfg(test)]
mod row_change;
#[cfg(test)]
mod write;
