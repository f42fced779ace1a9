//! What changes cost, as a table for people and as raw numbers.

use std::fmt::Write as _;
use std::time::Duration;

use lakehouse::Result;
use serde_json::{Value, json};

use super::super::machine;
use super::super::report::{best, keep_raw, milliseconds, raw_measured, today};
use super::cases::Keys;
use super::{CaseResults, Done, Found};

/// PyIceberg's `upsert` is to take so many times as long.
const WANTED_OF_PYICEBERG: f64 = 20.0;

/// Prints the table, and keeps the raw numbers when a folder for them was named.
pub(super) fn publish(found: &Found) -> Result<()> {
    let date = today()?;
    println!("{}", markdown(found, &date));
    let Some(folder) = &found.options.results else {
        return Ok(());
    };
    let words = found.options.cases.as_deref().unwrap_or_default();
    let words = words
        .split_whitespace()
        .fold(String::new(), |mut name, word| {
            name.push('-');
            name.push_str(&word.to_lowercase());
            name
        });
    let name = format!("{date}-changes-sf{}{words}.json", found.options.scale);
    keep_raw(folder, &name, &raw(found, &date))
}

fn markdown(found: &Found, date: &str) -> String {
    let mut text = format!(
        "Changes of order lines at scale {}, {date}: {} ({}), best of {} interleaved runs in warm \
         sessions, milliseconds.\n\n",
        found.options.scale,
        machine::description(),
        machine::profile(),
        found.options.runs
    );
    let versions: Vec<String> = found
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}.\n", versions.join(", "));
    text.push_str(
        "| | rows | lakehouse | spark | ratio | wanted | duckdb, no table | ratio | MB written | \
         spark's | amplification | spark's | peak MiB | spark's |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for results in &found.cases {
        let _ = writeln!(text, "{}", line(found, results));
    }
    text.push_str(&remarks(found));
    text
}

fn line(found: &Found, results: &CaseResults) -> String {
    let ours = done(results, "lakehouse");
    let spark = done(results, "spark");
    let duckdb = done(results, "duckdb");
    let wanted = results.case.wanted();
    let cells = [
        results.case.to_string(),
        results.rows.to_string(),
        time(ours),
        time(spark),
        ratio(spark, ours),
        wanted.map_or_else(|| "–".to_owned(), |wanted| format!("{wanted:.0}")),
        time(duckdb),
        ratio(duckdb, ours),
        megabytes(ours),
        megabytes(spark),
        amplification(found, results, ours),
        amplification(found, results, spark),
        peak(ours),
        peak(spark),
    ];
    format!("| {} |", cells.join(" | "))
}

fn done<'a>(results: &'a CaseResults, engine: &str) -> Option<&'a Done> {
    results.done.iter().find(|done| done.engine == engine)
}

fn best_of(done: Option<&Done>) -> Option<Duration> {
    best(&done?.measured)
}

fn time(done: Option<&Done>) -> String {
    best_of(done).map_or_else(|| "–".to_owned(), milliseconds)
}

/// How many times as long the other one took.
fn ratio(other: Option<&Done>, ours: Option<&Done>) -> String {
    match (best_of(other), best_of(ours)) {
        (Some(other), Some(ours)) => {
            format!("{:.2}", other.as_secs_f64() / ours.as_secs_f64())
        }
        _ => "–".to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
fn megabytes(done: Option<&Done>) -> String {
    let written = done.and_then(|done| done.written.as_ref());
    written.map_or_else(
        || "–".to_owned(),
        |written| format!("{:.2}", written.bytes as f64 / 1e6),
    )
}

/// Bytes written for each byte of the rows that were changed, as large as they were before.
#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
fn amplification(found: &Found, results: &CaseResults, done: Option<&Done>) -> String {
    let written = done.and_then(|done| done.written.as_ref());
    written.map_or_else(
        || "–".to_owned(),
        |written| {
            let changed = results.rows as f64 * found.row_bytes;
            format!("{:.2}", written.bytes as f64 / changed)
        },
    )
}

fn peak(done: Option<&Done>) -> String {
    let bytes = done.and_then(|done| done.measured.peak_bytes);
    bytes.map_or_else(|| "–".to_owned(), |bytes| (bytes >> 20).to_string())
}

/// What has to be known beside the table.
fn remarks(found: &Found) -> String {
    let mut text = String::new();
    for results in &found.cases {
        let case = results.case;
        if case.keys == Keys::Month {
            for done in &results.done {
                if let Some(written) = &done.written {
                    let _ = writeln!(
                        text,
                        "\n{case}, {}: {} data files removed, {} data files and {} delete files \
                         written.",
                        done.engine,
                        written.removed_data_files,
                        written.data_files,
                        written.delete_files
                    );
                }
            }
        }
        let pyiceberg = done(results, "pyiceberg");
        if best_of(pyiceberg).is_some() {
            let _ = writeln!(
                text,
                "\n{case}, pyiceberg's upsert: {} ms, {} times as long as the lake; wanted: {}.",
                time(pyiceberg),
                ratio(pyiceberg, done(results, "lakehouse")),
                WANTED_OF_PYICEBERG
            );
        }
        for done in &results.done {
            if let Some(note) = &done.measured.note {
                let _ = writeln!(text, "\n{case}, {}: {note}.", done.engine);
            }
        }
    }
    for (name, reason) in &found.not_run {
        let _ = writeln!(text, "\n{name} was not run: {reason}.");
    }
    text
}

fn raw(found: &Found, date: &str) -> Value {
    let cases = found.cases.iter().map(|results| {
        let engines: serde_json::Map<String, Value> = results
            .done
            .iter()
            .map(|done| (done.engine.to_owned(), raw_done(done)))
            .collect();
        json!({
            "case": results.case.to_string(),
            "changed_rows": results.rows,
            "wanted_ratio_to_spark": results.case.wanted(),
            "engines": engines,
        })
    });
    let mut versions: serde_json::Map<String, Value> = machine::versions()
        .into_iter()
        .map(|(name, version)| (name, version.into()))
        .collect();
    for (name, version) in &found.versions {
        versions.insert((*name).to_owned(), version.as_str().into());
    }
    json!({
        "benchmark": "changes",
        "scale": found.options.scale,
        "date": date,
        "machine": machine::description(),
        "profile": machine::profile(),
        "allocator": "the system's",
        "durability": "full",
        "memory_budget_mib": found.options.memory_budget_mib,
        "runs": found.options.runs,
        "mean_row_bytes": found.row_bytes,
        "versions": versions,
        "not_run": found.not_run,
        "cases": cases.collect::<Vec<_>>(),
    })
}

fn raw_done(done: &Done) -> Value {
    let written = done.written.as_ref().map(|written| {
        json!({
            "bytes": written.bytes,
            "metadata_bytes": written.metadata_bytes,
            "data_files": written.data_files,
            "delete_files": written.delete_files,
            "removed_data_files": written.removed_data_files,
        })
    });
    json!({ "measured": raw_measured(&done.measured), "written": written })
}
