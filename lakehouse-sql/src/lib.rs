//! The SQL surface of the lakehouse, one stage a module.

pub mod parse;
pub mod statement;
