//! Broken input: one clear error each, nothing changed, no panic.

mod disk;
mod files;
mod places;
mod statements;
