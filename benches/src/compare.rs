//! Several engines on the same files, interleaved in one run: answers first, then times.

mod alone;
mod changes;
mod commits;
mod deletes;
mod duckdb;
mod engine;
mod fingerprint;
mod first_row;
mod inserts;
mod line_process;
mod machine;
mod options;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use lakehouse::{Clock, Error, ErrorKind, Lakehouse, Result, Settings, SystemClock};
use lakehouse_testkit::Answer;

pub use alone::print_peaks;
pub use changes::serve_changes;
pub use commits::make_commits;
pub use first_row::print_first_row;
pub use options::{Command, Options, Part, USAGE};

use crate::tpch;
use engine::{Engine, Files};
use options::ENGINES;

/// The memory budget of the lake unless another is asked for.
const MEMORY_BUDGET_MIB: u64 = 256;

/// The memory budget of the lake that writes 1,000 partitions at once unless another is asked for:
/// what is wanted is that the process then stays within 1 GiB.
const INSERT_BUDGET_MIB: u64 = 600;

/// Who is asked when memory is measured: the lake, and who says what is right.
const MEMORY_ENGINES: [&str; 2] = ["lakehouse", "duckdb-parquet"];

/// What one engine did with one query.
#[derive(Debug, Default)]
struct Measured {
    runs: Vec<Duration>,
    peak_bytes: Option<u64>,
    /// Why there are no times, or why they do not count.
    note: Option<String>,
}

/// All that a comparison found.
#[derive(Debug)]
struct Comparison {
    options: Options,
    engines: Vec<String>,
    not_run: Vec<(String, String)>,
    queries: Vec<QueryResults>,
    first_row: Option<first_row::FirstRow>,
}

/// What the engines did with one query, in the order of [`Comparison::engines`].
#[derive(Debug)]
struct QueryResults {
    number: usize,
    standard: String,
    measured: Vec<Measured>,
}

/// Runs each part of the comparison in a process of its own, so that none is measured with the
/// memory that another has left behind; `arguments` are those of this program, which name no part.
///
/// # Errors
/// When a process cannot be started, or one of them fails.
pub fn run_each(options: &Options, arguments: &[String]) -> Result<()> {
    let program = std::env::current_exe()?;
    for part in &options.parts {
        let mut command = std::process::Command::new(&program);
        let status = command.arg(part.name()).args(arguments).status()?;
        if !status.success() {
            let name = part.name();
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("the part {name} ended with {status}"),
            ));
        }
    }
    Ok(())
}

/// Runs one part of the comparison, which prints its table and keeps its raw numbers.
///
/// # Errors
/// When a lake cannot be made or read, or the numbers cannot be kept. An engine that fails or
/// answers differently is part of the result.
pub async fn run(options: Options) -> Result<()> {
    for part in &options.parts {
        match part {
            Part::Tpch => tpch_queries(options.clone()).await?,
            Part::Memory => {
                let mut options = options.clone();
                options.memory_budget_mib.get_or_insert(MEMORY_BUDGET_MIB);
                let engines = || MEMORY_ENGINES.map(str::to_owned).to_vec();
                options.engines.get_or_insert_with(engines);
                tpch_queries(options).await?;
            }
            Part::Deletes => deletes::run(&options).await?,
            Part::Insert => {
                let mut options = options.clone();
                options.memory_budget_mib.get_or_insert(INSERT_BUDGET_MIB);
                inserts::run(&options).await?;
            }
            Part::Changes => changes::run(&options).await?,
            Part::Commits => commits::run(&options).await?,
        }
    }
    Ok(())
}

/// The 22 queries, and from a new process to its first row.
async fn tpch_queries(options: Options) -> Result<()> {
    let folder = lake_folder(&options, "tpch")?;
    let load = async |lake: &Lakehouse| {
        let load = tpch::Load::at_scale(options.scale);
        tpch::load(lake, load, |_| true, "").await
    };
    let lake = prepared(&folder, options.scale, load).await?;
    let files = Files::of(&lake).await?;
    let lake = within_budget(lake, &folder, options.memory_budget_mib).await?;
    let names = options.engines.clone();
    let names = names.unwrap_or_else(|| ENGINES.map(str::to_owned).to_vec());
    let (mut engines, not_run) = engine::start(&names, &lake, &folder, &files).await?;
    let mut queries = Vec::with_capacity(options.queries.len());
    for number in options.queries.clone() {
        eprintln!("Q{number}");
        queries.push(measure(&mut engines, number, &options).await?);
    }
    let engines: Vec<String> = engines.iter().map(|e| e.name().to_owned()).collect();
    alone::measure(&engines, &mut queries, &folder, &options)
        .unwrap_or_else(|error| eprintln!("peak memory was not measured: {error}"));
    let first_row = first_row::measure(&folder, options.runs)
        .inspect_err(|error| eprintln!("the first row in a new process was not measured: {error}"))
        .ok();
    let comparison = Comparison {
        options,
        engines,
        not_run,
        queries,
        first_row,
    };
    report::publish(&comparison)
}

/// Runs one query everywhere: once for its answer, then several times in turn for its time.
async fn measure(engines: &mut [Engine], number: usize, options: &Options) -> Result<QueryResults> {
    let sql = tpch::query(number)
        .ok_or_else(|| Error::invalid(format!("TPC-H has no query {number}")))?;
    let order = tpch::order(number);
    let mut measured: Vec<Measured> = Vec::with_capacity(engines.len());
    let mut expected: Option<Answer> = None;
    for engine in engines.iter_mut() {
        let mut note = None;
        match engine.run(sql).await {
            Err(error) => note = Some(format!("failed: {error}")),
            Ok(run) => match &expected {
                None => expected = Some(run.answer),
                Some(expected) => {
                    note = expected
                        .difference(&run.answer, &order)
                        .map(|text| format!("differs: {text}"));
                }
            },
        }
        if let Some(note) = &note {
            eprintln!("  {}: {note}", engine.name());
        }
        measured.push(Measured {
            note,
            ..Measured::default()
        });
    }
    for _ in 0..options.runs {
        for (engine, measured) in engines.iter_mut().zip(&mut measured) {
            if measured.note.is_some() {
                continue;
            }
            match engine.run(sql).await {
                Ok(run) => {
                    measured.runs.push(run.elapsed);
                    measured.peak_bytes = measured.peak_bytes.max(run.peak_bytes);
                }
                Err(error) => measured.note = Some(format!("failed: {error}")),
            }
        }
    }
    let standard = standard_verdict(number, options.scale, expected.as_ref());
    Ok(QueryResults {
        number,
        standard,
        measured,
    })
}

/// Whether the first engine's answer is the one the standard prints, where it prints one.
fn standard_verdict(number: usize, scale: f64, found: Option<&Answer>) -> String {
    let (Some(found), Some(standard)) = (found, tpch::answer(number)) else {
        return "no answer".to_owned();
    };
    if scale != 1.0 {
        return "known at scale 1 only".to_owned();
    }
    found
        .difference_from_standard(standard)
        .unwrap_or_else(|| "equal".to_owned())
}

/// Where the lake of this scale and purpose is kept between runs.
fn lake_folder(options: &Options, purpose: &str) -> Result<PathBuf> {
    let folder = match &options.lake {
        Some(folder) => folder.clone(),
        None => machine::target_folder()?
            .join("compare")
            .join(format!("{purpose}-sf{}", options.scale)),
    };
    Ok(std::path::absolute(folder)?)
}

/// The same lake, opened with a memory budget when there is one.
async fn within_budget(lake: Lakehouse, folder: &Path, mib: Option<u64>) -> Result<Lakehouse> {
    let Some(mib) = mib else {
        return Ok(lake);
    };
    let settings = Settings {
        memory_budget_bytes: Some(mib << 20),
        ..Settings::default()
    };
    let builder = Lakehouse::builder().location(folder.to_string_lossy());
    builder.settings(settings).build().await
}

/// Opens the lake, and makes and fills it first unless that was done to its end before.
async fn prepared(
    folder: &Path,
    scale: f64,
    load: impl AsyncFnOnce(&Lakehouse) -> Result<()>,
) -> Result<Lakehouse> {
    let mut marker = folder.as_os_str().to_owned();
    marker.push(".complete");
    let marker = PathBuf::from(marker);
    let kept = std::fs::read_to_string(&marker).is_ok_and(|text| text == scale.to_string());
    if kept {
        return Lakehouse::open(folder.to_string_lossy()).await;
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    eprintln!("loading TPC-H at scale {scale} into {}", folder.display());
    let clock = SystemClock;
    let started = clock.instant();
    let lake = Lakehouse::open(folder.to_string_lossy()).await?;
    load(&lake).await?;
    eprintln!(
        "loaded in {:.1} s",
        clock.instant().duration_since(started).as_secs_f64()
    );
    std::fs::write(&marker, scale.to_string())?;
    Ok(lake)
}
