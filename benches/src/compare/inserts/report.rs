//! What was found about inserts, as a table for people and as raw numbers.

use std::fmt::Write as _;

use lakehouse::Result;
use serde_json::{Value, json};

use super::super::machine;
use super::super::report::{best, keep_raw, milliseconds, raw_measured, today};
use super::{Found, ROW_GROUP_ROWS, Row, ZSTD_LEVEL};

/// Prints the table, and keeps the raw numbers when a folder for them was named.
pub(super) fn publish(found: &Found) -> Result<()> {
    let date = today()?;
    println!("{}", markdown(found, &date));
    match &found.options.results {
        Some(folder) => {
            let name = format!("{date}-inserts-sf{}.json", found.options.scale);
            keep_raw(folder, &name, &raw(found, &date))
        }
        None => Ok(()),
    }
}

fn markdown(found: &Found, date: &str) -> String {
    let mut text = format!(
        "{} order lines written at scale {}, {date}: {} ({}), best of {} interleaved runs. Parquet, \
         zstd {ZSTD_LEVEL}, {ROW_GROUP_ROWS} rows a row group, nothing synced.\n\n\
         | engine | into | milliseconds | million rows a second | of the peer | files | MiB | peak \
         MiB |\n|---|---|---:|---:|---:|---:|---:|---:|\n",
        found.lines,
        found.options.scale,
        machine::description(),
        machine::profile(),
        found.options.runs
    );
    for row in &found.rows {
        let peer = found.rows.iter().find(|peer| {
            peer.target == row.target && peer.engine != row.engine && row.engine == "lakehouse"
        });
        let ratio =
            peer.and_then(|peer| Some(rows_a_second(found, row)? / rows_a_second(found, peer)?));
        let number =
            |number: Option<f64>| number.map_or_else(|| "–".to_owned(), |n| format!("{n:.2}"));
        let time = best(&row.measured).map_or_else(|| "no".to_owned(), milliseconds);
        let peak = row.measured.peak_bytes.map_or(0, |bytes| bytes >> 20);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {time} | {} | {} | {} | {} | {peak} |",
            row.engine,
            row.target,
            number(rows_a_second(found, row).map(|rows| rows / 1e6)),
            number(ratio),
            row.files,
            row.bytes >> 20,
        );
    }
    for row in &found.rows {
        if let Some(note) = &row.measured.note {
            let _ = writeln!(text, "\n{}, {}: {note}.", row.engine, row.target);
        }
    }
    text
}

fn rows_a_second(found: &Found, row: &Row) -> Option<f64> {
    let seconds = best(&row.measured)?.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
    let lines = found.lines as f64;
    Some(lines / seconds)
}

fn raw(found: &Found, date: &str) -> Value {
    let rows = found.rows.iter().map(|row| {
        json!({
            "engine": row.engine,
            "target": row.target,
            "files": row.files,
            "bytes": row.bytes,
            "measured": raw_measured(&row.measured),
        })
    });
    let versions = machine::versions().into_iter();
    let versions: serde_json::Map<String, Value> = versions
        .map(|(name, version)| (name, version.into()))
        .collect();
    json!({
        "benchmark": "inserts",
        "scale": found.options.scale,
        "date": date,
        "machine": machine::description(),
        "profile": machine::profile(),
        "allocator": "the system's",
        "memory_budget_mib": found.options.memory_budget_mib,
        "runs": found.options.runs,
        "lines": found.lines,
        "versions": versions,
        "rows": rows.collect::<Vec<_>>(),
    })
}
