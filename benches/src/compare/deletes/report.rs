//! What was found about deletes, as a table for people and as raw numbers.

use std::fmt::Write as _;
use std::time::Duration;

use lakehouse::Result;
use serde_json::{Value, json};

use super::super::report::{best, keep_raw, milliseconds, raw_measured, today};
use super::super::{Measured, machine};
use super::tables::{KEY_FILES, KEYS_PER_FILE, VERSIONS};
use super::{Found, Row};

/// The statements whose times are added up.
const SUMMED: [&str; 2] = ["Q1", "Q6"];

/// Prints the table, and keeps the raw numbers when a folder for them was named.
pub(super) fn publish(found: &Found) -> Result<()> {
    let date = today()?;
    println!("{}", markdown(found, &date));
    match &found.options.results {
        Some(folder) => {
            let name = format!("{date}-deletes-sf{}.json", found.options.scale);
            keep_raw(folder, &name, &raw(found, &date))
        }
        None => Ok(()),
    }
}

fn markdown(found: &Found, date: &str) -> String {
    let mut text = format!(
        "Deletes of order lines at scale {}, {date}: {} ({}), best of {} interleaved runs, \
         milliseconds. Deletion vectors hold 1 row in 100; equality deletes are {KEY_FILES} files \
         of up to {KEYS_PER_FILE} order keys.\n\n",
        found.options.scale,
        machine::description(),
        machine::profile(),
        found.options.runs
    );
    let mut head = "| engine | statement |".to_owned();
    let mut rule = "|---|---|".to_owned();
    for (place, version) in VERSIONS.iter().enumerate() {
        let ratio = if place == 0 { "" } else { " ratio |" };
        // Writing to a string does not fail.
        let _ = write!(head, " {} |{ratio}", version.title);
        rule.push_str(if place == 0 { "---:|" } else { "---:|---:|" });
    }
    let _ = writeln!(text, "{head}\n{rule}");
    let mut engines: Vec<&str> = found.rows.iter().map(|row| row.engine.as_str()).collect();
    engines.sort_unstable();
    engines.dedup();
    engines.reverse();
    for engine in engines {
        let rows: Vec<&Row> = found.rows.iter().filter(|r| r.engine == engine).collect();
        for row in &rows {
            let times = row.versions.iter().map(best).collect();
            let _ = writeln!(text, "{}", line(engine, row.statement, times));
        }
        let _ = writeln!(text, "{}", line(engine, &SUMMED.join(" + "), sums(&rows)));
    }
    for (name, reason) in &found.not_run {
        let _ = writeln!(text, "\n{name}: not run: {reason}.");
    }
    for row in &found.rows {
        for (version, measured) in VERSIONS.iter().zip(&row.versions) {
            if let Some(note) = &measured.note {
                let (engine, statement) = (&row.engine, row.statement);
                let _ = writeln!(text, "\n{engine}, {statement}, {}: {note}.", version.title);
            }
        }
    }
    text
}

fn line(engine: &str, statement: &str, times: Vec<Option<Duration>>) -> String {
    let mut line = format!("| {engine} | {statement} |");
    let first = times.first().copied().flatten();
    for (place, time) in times.iter().enumerate() {
        let shown = time.map_or_else(|| "no".to_owned(), milliseconds);
        let _ = write!(line, " {shown} |");
        if place > 0 {
            let ratio = match (time, first) {
                (Some(time), Some(first)) => {
                    format!("{:.3}", time.as_secs_f64() / first.as_secs_f64())
                }
                _ => "–".to_owned(),
            };
            let _ = write!(line, " {ratio} |");
        }
    }
    line
}

/// For each version the sum of the statements that are added up.
fn sums(rows: &[&Row]) -> Vec<Option<Duration>> {
    let of_version = |version: usize| {
        let summed = rows.iter().filter(|row| SUMMED.contains(&row.statement));
        summed
            .map(|row| row.versions.get(version).and_then(best))
            .sum()
    };
    (0..VERSIONS.len()).map(of_version).collect()
}

fn raw(found: &Found, date: &str) -> Value {
    let measured = |row: &Row| -> Vec<Value> {
        let pair = |(version, measured): (usize, &Measured)| {
            let title = VERSIONS.get(version).map(|version| version.title);
            json!({ "deletes": title, "measured": raw_measured(measured) })
        };
        row.versions.iter().enumerate().map(pair).collect()
    };
    let rows = found.rows.iter().map(|row| {
        json!({
            "engine": row.engine,
            "statement": row.statement,
            "versions": measured(row),
        })
    });
    let versions = machine::versions().into_iter();
    let versions: serde_json::Map<String, Value> = versions
        .map(|(name, version)| (name, version.into()))
        .collect();
    json!({
        "benchmark": "deletes",
        "scale": found.options.scale,
        "date": date,
        "machine": machine::description(),
        "profile": machine::profile(),
        "allocator": "the system's",
        "memory_budget_mib": found.options.memory_budget_mib,
        "runs": found.options.runs,
        "versions": versions,
        "not_run": found.not_run,
        "rows": rows.collect::<Vec<_>>(),
    })
}
