//! From the start of a new process to the first row of a small table.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures::StreamExt;
use lakehouse::{Clock, Error, ErrorKind, Lakehouse, Result, SystemClock};

/// New processes for each run of a query; the first ones warm the system's caches.
const PROCESSES_PER_RUN: usize = 4;

/// How long new processes took to their first row.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstRow {
    pub(super) best: Duration,
    pub(super) median: Duration,
}

/// Starts this program again and again and waits for its first row.
pub(super) fn measure(lake: &Path, runs: usize) -> Result<FirstRow> {
    let mut times = Vec::new();
    for _ in 0..runs * PROCESSES_PER_RUN {
        times.push(once(lake)?);
    }
    times.sort_unstable();
    let (Some(best), Some(median)) = (times.first(), times.get(times.len() / 2)) else {
        return Err(Error::invalid("at least one run is needed"));
    };
    Ok(FirstRow {
        best: *best,
        median: *median,
    })
}

fn once(lake: &Path) -> Result<Duration> {
    let clock = SystemClock;
    let started = clock.instant();
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--first-row")
        .arg(lake)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let elapsed = clock.instant().duration_since(started);
    let ended = child.wait()?;
    if line.is_empty() || !ended.success() {
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!("the new process ended: {ended}"),
        ));
    }
    Ok(elapsed)
}

/// What the new process does: opens the lake and prints how many rows came first.
///
/// # Errors
/// When the lake cannot be read or has no rows.
pub async fn print_first_row(lake: &Path) -> Result<()> {
    let lake = Lakehouse::open(lake.to_string_lossy()).await?;
    let mut rows = lake
        .session()?
        .sql("SELECT * FROM nation")
        .await?
        .into_stream();
    let first = rows
        .next()
        .await
        .ok_or_else(|| Error::not_found("the table has no rows"))??;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", first.num_rows())?;
    stdout.flush()?;
    Ok(())
}
