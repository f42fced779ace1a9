//! MERGE, UPDATE and DELETE of a hundredth of a table, by the lake and by other engines that write
//! Iceberg tables: the same data files before, the same rows after, each statement on a fresh table.

mod cases;
mod engines;
mod model;
mod report;
mod tables;
mod worker;
mod written;

use std::path::Path;
use std::time::Duration;

use lakehouse::{Lakehouse, Result};

use super::fingerprint::fingerprint;
use super::{Measured, Options, lake_folder, prepared};
use cases::Case;
use engines::{Writer, Writers};
use model::Model;
use tables::{Base, Tables, local};
pub use worker::serve_changes;
use written::{Listing, Written};

/// What one engine did in one case.
#[derive(Debug)]
struct Done {
    engine: &'static str,
    measured: Measured,
    written: Option<Written>,
}

/// What all engines did in one case.
#[derive(Debug)]
struct CaseResults {
    case: Case,
    /// Rows that were changed or added.
    rows: u64,
    done: Vec<Done>,
}

/// All that was found.
#[derive(Debug)]
struct Found {
    options: Options,
    versions: Vec<(&'static str, String)>,
    row_bytes: f64,
    cases: Vec<CaseResults>,
    not_run: Vec<(String, String)>,
}

/// Makes the tables, compares what is in them after each change, takes times, and tells them.
pub(super) async fn run(options: &Options) -> Result<()> {
    let folder = lake_folder(options, "changes")?;
    let load = async |lake: &Lakehouse| tables::make(lake, options.scale).await;
    let lake = prepared(&folder, options.scale, load).await?;
    let tables = tables::found(&lake, &folder).await?;
    let mut scratch = folder.clone().into_os_string();
    scratch.push(".scratch");
    let scratch = Path::new(&scratch);
    if scratch.exists() {
        std::fs::remove_dir_all(scratch)?;
    }
    let mut writers = Writers::start(options, &tables, scratch);
    let mut model = Model::of(&tables, options.scale, scratch).await?;
    let mut found = Found {
        options: options.clone(),
        versions: writers.versions(),
        row_bytes: tables.row_bytes,
        cases: Vec::new(),
        not_run: writers.not_run.clone(),
    };
    found.versions.push(("duckdb", model.version().to_owned()));
    for case in cases::all() {
        if is_asked_for(&case, options) {
            eprintln!("{case}");
            let results = measure(case, &mut writers, &mut model, &tables, options).await?;
            found.cases.push(results);
        }
    }
    drop(writers);
    std::fs::remove_dir_all(scratch)?;
    report::publish(&found)
}

fn is_asked_for(case: &Case, options: &Options) -> bool {
    let name = case.to_string();
    let names: Vec<&str> = name.split(' ').collect();
    let words = options.cases.as_deref().unwrap_or_default();
    words.split_whitespace().all(|word| names.contains(&word))
}

/// Compares the rows after the change, then takes times, the engines in turn.
async fn measure(
    case: Case,
    writers: &mut Writers,
    model: &mut Model,
    tables: &Tables,
    options: &Options,
) -> Result<CaseResults> {
    let base = tables.base(&case)?;
    let mut done: Vec<Done> = Vec::new();
    for place in 0..writers.all.len() {
        if !writers.all[place].takes(&case) {
            continue;
        }
        let engine = writers.all[place].name();
        let mut first = Done {
            engine,
            measured: Measured::default(),
            written: None,
        };
        match first_change(place, &case, &base, writers, model, options).await {
            Ok(written) => first.written = Some(written),
            Err(error) => {
                eprintln!("  {engine}: {error}");
                first.measured.note = Some(error.to_string());
            }
        }
        done.push(first);
    }
    for _ in 0..options.runs {
        for done in done.iter_mut().filter(|done| done.measured.note.is_none()) {
            if let Some(writer) = writers.named(done.engine) {
                let changed = change(writer, &case, &base, options)?;
                changed.after.remove_new_since(&changed.before)?;
                done.measured.runs.push(changed.elapsed);
                done.measured.peak_bytes = done.measured.peak_bytes.max(changed.peak_bytes);
            }
        }
    }
    if let Some(measured) = model.bound(&case, options.runs)? {
        done.push(Done {
            engine: "duckdb",
            measured,
            written: None,
        });
    }
    Ok(CaseResults {
        case,
        rows: model.changed_rows(&case)?,
        done,
    })
}

/// A change that was made.
struct Changed {
    elapsed: Duration,
    peak_bytes: Option<u64>,
    metadata: String,
    before: Listing,
    after: Listing,
}

/// One statement on a fresh name of the table.
fn change(writer: &mut Writer, case: &Case, base: &Base, options: &Options) -> Result<Changed> {
    let table = writer.name_table(&base.metadata)?;
    let before = Listing::of(&base.folder)?;
    let changed = writer.change(&table, case, options.scale)?;
    Ok(Changed {
        elapsed: changed.elapsed,
        peak_bytes: changed.peak_bytes,
        metadata: changed.metadata,
        after: Listing::of(&base.folder)?,
        before,
    })
}

/// The first change by an engine, which warms it up: every reader there is must find the rows that
/// the model says, in the table that the engine made.
async fn first_change(
    place: usize,
    case: &Case,
    base: &Base,
    writers: &mut Writers,
    model: &mut Model,
    options: &Options,
) -> Result<Written> {
    let changed = change(&mut writers.all[place], case, base, options)?;
    let written = written::between(&changed.before, &changed.after, &local(&changed.metadata))?;
    for reader in &mut writers.all {
        if let Some(relation) = reader.relation(&changed.metadata)? {
            let answer = reader.ask(&fingerprint(&relation))?;
            model.check(case, reader.name(), &answer).await?;
        }
    }
    changed.after.remove_new_since(&changed.before)?;
    Ok(written)
}
