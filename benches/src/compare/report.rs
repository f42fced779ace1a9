//! The comparison as a table for people and as raw numbers.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use arrow::temporal_conversions::timestamp_ms_to_datetime;
use lakehouse::{Clock, Error, Result, SystemClock};
use serde_json::{Value, json};

use super::{Comparison, Measured, machine};

/// Prints the table, and keeps the raw numbers when a folder for them was named.
pub(super) fn publish(comparison: &Comparison) -> Result<()> {
    let date = today()?;
    println!("{}", markdown(comparison, &date));
    if let Some(folder) = &comparison.options.results {
        keep(folder, comparison, &date)?;
    }
    Ok(())
}

/// The date by the machine's clock.
pub(super) fn today() -> Result<String> {
    let now = timestamp_ms_to_datetime(SystemClock.now_ms());
    let now = now.ok_or_else(|| Error::internal("the clock shows no date"))?;
    Ok(now.date().to_string())
}

fn keep(folder: &Path, comparison: &Comparison, date: &str) -> Result<()> {
    let budget = comparison.options.memory_budget_mib;
    let budget = budget.map_or_else(String::new, |mib| format!("-{mib}mib"));
    let scale = comparison.options.scale;
    let name = format!("{date}-tpch-sf{scale}{budget}.json");
    keep_raw(folder, &name, &raw(comparison, date))
}

/// Writes raw numbers into the folder for them.
pub(super) fn keep_raw(folder: &Path, name: &str, numbers: &Value) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(name);
    let text = serde_json::to_string_pretty(numbers)?;
    std::fs::write(&path, text + "\n")?;
    eprintln!("raw numbers: {}", path.display());
    Ok(())
}

fn markdown(comparison: &Comparison, date: &str) -> String {
    let mut text = format!(
        "TPC-H at scale {}{}, {date}: {} ({}), best of {} interleaved runs, milliseconds.\n\n",
        comparison.options.scale,
        budget_text(comparison),
        machine::description(),
        machine::profile(),
        comparison.options.runs
    );
    let versions: Vec<String> = machine::versions()
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let names = comparison.engines.join(" | ");
    let rules = "---: | ".repeat(comparison.engines.len());
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{}.\n\n| | {names} | standard's answer |",
        versions.join(", ")
    );
    let _ = writeln!(text, "|---|{}---|", rules.replace(' ', ""));
    for query in &comparison.queries {
        let cells: Vec<String> = query.measured.iter().map(cell).collect();
        let _ = writeln!(
            text,
            "| Q{} | {} | {} |",
            query.number,
            cells.join(" | "),
            query.standard
        );
    }
    let sums: Vec<Option<Duration>> = (0..comparison.engines.len())
        .map(|engine| sum(comparison, engine))
        .collect();
    let row = |cells: Vec<String>| cells.join(" | ");
    let shown = |sum: &Option<Duration>| sum.map_or_else(|| "–".to_owned(), milliseconds);
    let _ = writeln!(
        text,
        "| sum | {} | |",
        row(sums.iter().map(shown).collect())
    );
    for (name, peer) in comparison.engines.iter().zip(&sums) {
        let ratio = |sum: &Option<Duration>| match (sum, peer) {
            (Some(sum), Some(peer)) => format!("{:.2}", sum.as_secs_f64() / peer.as_secs_f64()),
            _ => "–".to_owned(),
        };
        let ratios = row(sums.iter().map(ratio).collect());
        let _ = writeln!(text, "| ratio to {name} | {ratios} | |");
    }
    let peaks = (0..comparison.engines.len()).map(|engine| peak(comparison, engine));
    let peaks = peaks
        .map(|peak| peak.map_or_else(|| "–".to_owned(), mebibytes))
        .collect();
    let _ = writeln!(text, "| peak memory, MiB | {} | |", row(peaks));
    text.push_str(&remarks(comparison));
    text
}

fn budget_text(comparison: &Comparison) -> String {
    let budget = comparison.options.memory_budget_mib;
    budget.map_or_else(String::new, |mib| {
        format!(", the lake within a memory budget of {mib} MiB")
    })
}

/// What has to be known beside the table.
fn remarks(comparison: &Comparison) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\nPeak memory is what was resident of a process, its program included, at its highest. The \
         engines that are libraries ran the queries for it once more, each alone in a new process \
         that keeps no rows; DuckDB's process has kept the rows of one answer at a time.",
    );
    for (place, name) in comparison.engines.iter().enumerate() {
        let peaks = comparison.queries.iter().filter_map(|query| {
            let measured = query.measured.get(place)?;
            Some((measured.peak_bytes?, query.number))
        });
        if let Some((bytes, number)) = peaks.max() {
            let _ = writeln!(
                text,
                "\n{name}: at most {} MiB, in Q{number}.",
                mebibytes(bytes)
            );
        }
    }
    if let Some(first_row) = comparison.first_row {
        let _ = writeln!(
            text,
            "\nFrom the start of a new process to the first row of a small table: best {} ms, \
             median {} ms.",
            milliseconds(first_row.best),
            milliseconds(first_row.median)
        );
    }
    for (name, reason) in &comparison.not_run {
        let _ = writeln!(text, "\n{name} was not run: {reason}.");
    }
    for query in &comparison.queries {
        for (name, measured) in comparison.engines.iter().zip(&query.measured) {
            if let Some(note) = &measured.note {
                let _ = writeln!(text, "\nQ{}, {name}: {note}.", query.number);
            }
        }
    }
    text
}

fn cell(measured: &Measured) -> String {
    best(measured).map_or_else(|| "no".to_owned(), milliseconds)
}

pub(super) fn best(measured: &Measured) -> Option<Duration> {
    measured.runs.iter().min().copied()
}

/// The sum over all queries; none when an engine has no time for one of them.
fn sum(comparison: &Comparison, engine: usize) -> Option<Duration> {
    comparison
        .queries
        .iter()
        .map(|query| query.measured.get(engine).and_then(best))
        .sum()
}

fn peak(comparison: &Comparison, engine: usize) -> Option<u64> {
    let measured = comparison
        .queries
        .iter()
        .filter_map(|query| query.measured.get(engine));
    measured.filter_map(|measured| measured.peak_bytes).max()
}

pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn mebibytes(bytes: u64) -> String {
    (bytes >> 20).to_string()
}

/// Everything that was measured, with what is needed to judge it.
fn raw(comparison: &Comparison, date: &str) -> Value {
    let versions: serde_json::Map<String, Value> = machine::versions()
        .into_iter()
        .map(|(name, version)| (name, version.into()))
        .collect();
    let queries: Vec<Value> = comparison
        .queries
        .iter()
        .map(|query| {
            let engines: serde_json::Map<String, Value> = comparison
                .engines
                .iter()
                .zip(&query.measured)
                .map(|(name, measured)| (name.clone(), raw_measured(measured)))
                .collect();
            json!({
                "query": query.number,
                "standard_answer": query.standard,
                "engines": engines,
            })
        })
        .collect();
    json!({
        "benchmark": "TPC-H",
        "allocator": "the system's",
        "runs": comparison.options.runs,
        "scale": comparison.options.scale,
        "date": date,
        "machine": machine::description(),
        "profile": machine::profile(),
        "durability": "full",
        "memory_budget_mib": comparison.options.memory_budget_mib,
        "versions": versions,
        "not_run": comparison.not_run,
        "first_row_ms": comparison.first_row.map(|first_row| json!({
            "best": first_row.best.as_secs_f64() * 1e3,
            "median": first_row.median.as_secs_f64() * 1e3,
        })),
        "queries": queries,
    })
}

pub(super) fn raw_measured(measured: &Measured) -> Value {
    let runs: Vec<f64> = measured
        .runs
        .iter()
        .map(|run| run.as_secs_f64() * 1e3)
        .collect();
    json!({ "runs_ms": runs, "peak_bytes": measured.peak_bytes, "note": measured.note })
}
