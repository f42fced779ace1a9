//! Broken input: one clear error each, nothing changed, no panic.

mod disk;
mod files;
mod foreign;
mod places;
mod statements;
