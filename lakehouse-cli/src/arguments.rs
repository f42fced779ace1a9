//! The command line, as clap reads it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::format::Format;

/// SQL on Apache Iceberg tables, without a server.
#[derive(Debug, Parser)]
#[command(name = "lake", version, about)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run SQL statements, or open a shell when none are given.
    ///
    /// Several statements are separated by ';' and run in order; the first that fails ends the run.
    /// Nothing runs when the text as a whole cannot be read as SQL.
    ///
    /// Ends with code 1 when a statement fails, 2 when the command line is wrong, and when the work
    /// is cancelled with 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP); the message then says what is
    /// known of the statement under way.
    Sql(SqlArguments),

    /// Go the way to AWS step by step, and say what to do where it fails.
    ///
    /// Looks at settings, credentials, the clock, Glue, a table, buckets, KMS keys and Lake
    /// Formation. Ends with code 1 when a step fails.
    #[cfg(feature = "aws")]
    Doctor(DoctorArguments),
}

/// What `lake sql` is told.
#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    /// The lake: a folder, a file: URL or memory:
    #[arg(long, value_name = "PATH", required_unless_present = "config")]
    pub(crate) lake: Option<String>,

    /// Make the lake when the folder is missing or empty or its making was interrupted, and SQLite
    /// catalogs of the settings whose file is missing or empty.
    #[arg(long)]
    pub(crate) create: bool,

    /// Settings, as a JSON or TOML file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// How results are written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// Write results to this file, which appears when all statements have succeeded.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Read the statements from this file; '-' is standard input.
    #[arg(long, short, value_name = "FILE", conflicts_with = "sql")]
    pub(crate) file: Option<PathBuf>,

    /// The statements.
    #[arg(value_name = "SQL")]
    pub(crate) sql: Option<String>,
}

/// What `lake doctor` is told.
#[cfg(feature = "aws")]
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Settings, as a JSON or TOML file. Without it region, account and credentials are those of
    /// AWS' own tools.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The catalog of the settings; may be left out when only one of them is Glue.
    #[arg(long, value_name = "NAME", requires = "config")]
    pub(crate) catalog: Option<String>,

    /// The folder of new tables, s3://bucket/prefix/; that of the settings when left out.
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: Option<String>,

    /// The table to read, database.table; the first Iceberg table that Glue lists when left out.
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<String>,

    /// Write an object below the warehouse, read it and delete it.
    #[arg(long)]
    pub(crate) write: bool,
}

/// An argument as clap should read it: SQL that begins with a comment is no option.
pub(crate) fn statements_apart(argument: OsString) -> OsString {
    let is_sql = argument.to_str().is_some_and(|text| {
        // The name of an option holds no space, and its value stands behind `=`.
        let name = text.split('=').next().unwrap_or(text);
        text.starts_with("--") && name.contains(char::is_whitespace)
    });
    if !is_sql {
        return argument;
    }
    let mut sql = OsString::from(" ");
    sql.push(argument);
    sql
}
