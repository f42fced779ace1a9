//! The memory that one engine needs, measured in a process that does nothing else.
//!
//! The peak of a process is the most memory that was resident in it at one time, its program and
//! what its allocator keeps included. In the process of a comparison that would be the memory of
//! all engines, of the answers kept to be compared and of the loading of the tables. So each engine
//! that is a library gets a new process, which opens the lake, runs the queries one after the other
//! and drops rows as they come; before each query the peak is set back to what is held then.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use lakehouse::{Error, ErrorKind, Lakehouse, Result};
use serde_json::{Value, json};

use super::engine::{self, Files};
use super::{Measured, Options, QueryResults, machine, within_budget};
use crate::tpch;

/// The engines that are libraries; the others have processes of their own anyway.
const LIBRARIES: [&str; 4] = [
    "lakehouse",
    "lakehouse-files",
    "datafusion",
    "iceberg-datafusion",
];

/// Measures the peaks of all libraries among `engines`, and puts them into `queries`.
pub(super) fn measure(
    engines: &[String],
    queries: &mut [QueryResults],
    folder: &Path,
    options: &Options,
) -> Result<()> {
    for (place, name) in engines.iter().enumerate() {
        if !LIBRARIES.contains(&name.as_str()) {
            continue;
        }
        eprintln!("peak memory of {name}");
        let numbers: Vec<usize> = queries
            .iter()
            .filter(|query| query.measured.get(place).is_some_and(|m| m.note.is_none()))
            .map(|query| query.number)
            .collect();
        for found in in_new_process(name, &numbers, folder, options)? {
            let query = queries
                .iter_mut()
                .find(|query| found["query"].as_u64() == Some(query.number as u64));
            if let Some(measured) = query.and_then(|query| query.measured.get_mut(place)) {
                take(measured, &found);
            }
        }
    }
    Ok(())
}

fn take(measured: &mut Measured, found: &Value) {
    measured.peak_bytes = found["peak_bytes"].as_u64();
    if let Some(error) = found["error"].as_str() {
        measured.note = Some(format!("failed in a process of its own: {error}"));
    }
}

fn in_new_process(
    name: &str,
    numbers: &[usize],
    folder: &Path,
    options: &Options,
) -> Result<Vec<Value>> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--queries", &numbers.join(",")])
        .args(["--runs", &options.runs.to_string()])
        .arg("--lake")
        .arg(folder);
    if let Some(mib) = options.memory_budget_mib {
        command.args(["--memory-budget-mib", &mib.to_string()]);
    }
    // Last, because it begins the work.
    command.args(["--alone", name]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut found = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            found.push(serde_json::from_str(&line?)?);
        }
    }
    let ended = child.wait()?;
    if !ended.success() {
        let text = format!("the process of {name} ended: {ended}");
        return Err(Error::new(ErrorKind::Unavailable, text));
    }
    Ok(found)
}

/// What the new process does: runs the queries of `options` by the engine `name` and prints a line
/// of JSON for each.
///
/// # Errors
/// When the lake cannot be read. A query that fails is told in its line.
pub async fn print_peaks(name: &str, options: &Options) -> Result<()> {
    let Some(folder) = &options.lake else {
        return Err(Error::invalid("--alone needs --lake"));
    };
    let lake = Lakehouse::open(folder.to_string_lossy()).await?;
    let files = Files::of(&lake).await?;
    let lake = within_budget(lake, folder, options.memory_budget_mib).await?;
    let mut engine = engine::start_one(name, &lake, folder, &files).await?;
    for &number in &options.queries {
        let sql = tpch::query(number)
            .ok_or_else(|| Error::invalid(format!("TPC-H has no query {number}")))?;
        machine::reset_peak();
        let mut error = None;
        for _ in 0..options.runs {
            if let Err(failed) = engine.drain(sql).await {
                error = Some(failed.to_string());
                break;
            }
        }
        let line = json!({
            "query": number,
            "peak_bytes": machine::peak_bytes(),
            "error": error,
        });
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()?;
    }
    Ok(())
}
