//! What was found about commits, as a table for people and as raw numbers.

use std::fmt::Write as _;

use lakehouse::Result;
use serde_json::{Value, json};

use super::super::machine;
use super::super::report::{keep_raw, today};
use super::{Found, Together};

/// Prints the table, and keeps the raw numbers when a folder for them was named.
pub(super) fn publish(found: &Found) -> Result<()> {
    let date = today()?;
    println!("{}", markdown(found, &date));
    match &found.options.results {
        Some(folder) => keep_raw(folder, &format!("{date}-commits.json"), &raw(found, &date)),
        None => Ok(()),
    }
}

fn markdown(found: &Found, date: &str) -> String {
    let mut text = format!(
        "Single-row inserts into one table by several processes, {date}: {} ({}), durability full.\n\n\
         | | processes | tasks of each | succeeded | a second | median ms | p99 ms | rows | \
         snapshots | swaps | data files |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        machine::description(),
        machine::profile(),
    );
    for bare in &found.bare {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| a row of the catalog | {} | | | | | | |",
            first(bare)
        );
    }
    for inserts in &found.inserts {
        let _ = writeln!(
            text,
            "| inserts | {} | {} | {} | {} | {} | {} | {} |",
            first(&inserts.together),
            percentile(&inserts.together, 0.5),
            percentile(&inserts.together, 0.99),
            inserts.rows,
            inserts.snapshots,
            inserts.swaps,
            inserts.data_files
        );
    }
    let rate_of = |processes: usize| {
        let bare = found.bare.iter().find(|bare| bare.processes == processes);
        bare.map(rate)
    };
    if let Some(last) = found.inserts.last() {
        for processes in [1, last.together.processes] {
            if let Some(bare) = rate_of(processes) {
                let share = rate(&last.together) / bare;
                let _ = writeln!(
                    text,
                    "\nAll processes commit {share:.2} times as often as {processes} alone change a \
                     row of the catalog."
                );
            }
        }
    }
    let together = found.inserts.iter().map(|inserts| &inserts.together);
    for together in together.chain(&found.bare) {
        if let Some(error) = together.errors.first() {
            let failed = together.errors.len();
            let _ = writeln!(text, "\n{failed} failed, the first: {error}.");
        }
    }
    text
}

fn first(together: &Together) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown as a share")]
    let share = 100.0 * together.succeeded as f64 / together.asked.max(1) as f64;
    format!(
        "{} | {} | {} of {} ({share:.1} %) | {:.1}",
        together.processes,
        together.tasks,
        together.succeeded,
        together.asked,
        rate(together)
    )
}

#[expect(clippy::cast_precision_loss, reason = "shown with a digit")]
fn rate(together: &Together) -> f64 {
    together.succeeded as f64 / together.elapsed.as_secs_f64()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among a few thousand"
)]
fn percentile(together: &Together, share: f64) -> String {
    let latencies = &together.latencies_ms;
    let place = (latencies.len() as f64 * share) as usize;
    let found = latencies.get(place.min(latencies.len().saturating_sub(1)));
    found.map_or_else(|| "–".to_owned(), |latency| format!("{latency:.1}"))
}

fn raw(found: &Found, date: &str) -> Value {
    let together = |together: &Together| {
        json!({
            "processes": together.processes,
            "tasks": together.tasks,
            "succeeded": together.succeeded,
            "asked": together.asked,
            "seconds": together.elapsed.as_secs_f64(),
            "latencies_ms": together.latencies_ms,
            "errors": together.errors,
        })
    };
    let inserts = found.inserts.iter().map(|inserts| {
        json!({
            "together": together(&inserts.together),
            "rows": inserts.rows,
            "snapshots": inserts.snapshots,
            "swaps": inserts.swaps,
            "data_files": inserts.data_files,
        })
    });
    let versions = machine::versions().into_iter();
    let versions: serde_json::Map<String, Value> = versions
        .map(|(name, version)| (name, version.into()))
        .collect();
    json!({
        "benchmark": "commits",
        "date": date,
        "machine": machine::description(),
        "profile": machine::profile(),
        "durability": "full",
        "versions": versions,
        "catalog_rows": found.bare.iter().map(together).collect::<Vec<_>>(),
        "inserts": inserts.collect::<Vec<_>>(),
    })
}
