//! The `lake` command.
fn main() {}
