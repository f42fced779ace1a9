//! The Glue catalog and S3 against an emulator of AWS behind a proxy that fails on purpose.

// The lints know test code by this attribute.
#[cfg(test)]
mod bad_answers;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod creations;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod emulated;
#[cfg(test)]
mod foreign_tables;
#[cfg(test)]
mod lookups;
#[cfg(test)]
mod lost_answers;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod removals;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod shared_catalogs;
#[cfg(test)]
mod two_processes;
