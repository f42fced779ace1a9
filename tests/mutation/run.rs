//! The run: worker processes that are watched, and the table of what came of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::cases::{World, watch_panics};
use crate::tables;

/// How long one case may take, on a machine with other things to do.
const CASE_MAX: Duration = Duration::from_secs(10);
/// How long a worker may take until its first case.
const START_MAX: Duration = Duration::from_secs(120);
/// After so long no further case is begun.
const RUN_MAX: Duration = Duration::from_secs(280);
/// So many cases must have been tried for the run to count: in CI, and elsewhere.
const CASES_CI: u64 = 10_000;
const CASES: u64 = 1_000;
const FINDINGS_SHOWN: usize = 40;

/// What a worker is told: seed, first case and step, as one text.
const WORKER: &str = "LAKE_MUTATION_WORKER";
/// The folder of other tables than the kept ones.
const TABLES: &str = "LAKE_MUTATION_TABLES";
/// Set to write the tables anew, into the folder that is read otherwise.
const BUILD: &str = "LAKE_MUTATION_BUILD";

pub(crate) fn main() -> ExitCode {
    // The harness is ours; `cargo test some_name` names another test to every harness.
    let is_other = |argument: String| {
        argument == "--list" || !argument.starts_with('-') && !"mutation".contains(&argument)
    };
    if std::env::args().skip(1).any(is_other) {
        return ExitCode::SUCCESS;
    }
    let seed = number("LAKE_MUTATION_SEED").unwrap_or(1);
    if let Ok(work) = std::env::var(WORKER) {
        return worker(seed, &work);
    }
    let folder = tables_folder();
    if let Some(case) = number("LAKE_MUTATION_CASE") {
        return single(&folder, seed, case);
    }
    let is_ci = std::env::var_os("CI").is_some();
    let usual = if is_ci { CASES_CI } else { CASES };
    let cases = number("LAKE_MUTATION_CASES").unwrap_or(usual);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    println!("mutations: seed {seed}, {cases} cases, {workers} workers");
    let start = now();
    let threads: Vec<_> = (0..workers as u64)
        .map(|first| {
            let folder = folder.clone();
            std::thread::spawn(move || watch(&folder, seed, first, workers as u64, cases, start))
        })
        .collect();
    let mut all = Tally::default();
    for thread in threads {
        all.add(thread.join().unwrap());
    }
    all.print(seed, start.elapsed());
    let short = all.tried() < cases;
    if short {
        println!("mutations: only {} of {cases} in time", all.tried());
    }
    // Elsewhere a busy machine is no finding.
    let failed = (short && is_ci) || !all.findings.is_empty();
    ExitCode::from(u8::from(failed))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a run takes is for people"
)]
fn now() -> Instant {
    Instant::now()
}

/// The tables are kept beside the test, so that a seed gives the same cases everywhere: names,
/// times and the order of maps differ in tables that are built anew.
fn tables_folder() -> PathBuf {
    let kept = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("mutation/tables");
    let folder = std::env::var_os(TABLES).map_or_else(kept, PathBuf::from);
    if std::env::var_os(BUILD).is_some() {
        let tables = runtime().block_on(tables::build());
        tables::save(&tables, &folder);
    }
    folder
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn single(folder: &Path, seed: u64, case: u64) -> ExitCode {
    watch_panics();
    let outcome = runtime().block_on(async {
        let world = World::new(tables::load(folder)).await;
        world.run(seed, case).await
    });
    println!("{outcome:#?}");
    ExitCode::from(u8::from(outcome.finding.is_some()))
}

fn worker(seed: u64, work: &str) -> ExitCode {
    let numbers: Vec<u64> = work.split(' ').map(|part| part.parse().unwrap()).collect();
    let [first, step, end] = numbers[..] else {
        panic!("{WORKER} is {work:?}");
    };
    watch_panics();
    let folder = PathBuf::from(std::env::var_os(TABLES).unwrap());
    runtime().block_on(async {
        let world = World::new(tables::load(&folder)).await;
        let mut case = first;
        while case < end {
            tell(&format!("begin {case}"));
            let outcome = world.run(seed, case).await;
            let finding = outcome.finding.unwrap_or_default();
            tell(&format!(
                "end\t{}\t{}\t{finding}",
                outcome.label, outcome.what
            ));
            case += step;
        }
    });
    ExitCode::SUCCESS
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", line.replace('\n', " ")).unwrap();
    out.flush().unwrap();
}

/// How often each outcome was seen, and what must not be.
#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<String, u64>,
    findings: Vec<(u64, String)>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (label, count) in other.outcomes {
            *self.outcomes.entry(label).or_default() += count;
        }
        self.findings.extend(other.findings);
    }

    fn tried(&self) -> u64 {
        self.outcomes.values().sum()
    }

    fn count(&mut self, label: &str) {
        *self.outcomes.entry(label.to_owned()).or_default() += 1;
    }

    fn print(&self, seed: u64, took: Duration) {
        for (label, count) in &self.outcomes {
            println!("{count:8}  {label}");
        }
        let (tried, seconds) = (self.tried(), took.as_secs_f64());
        println!("mutations: seed {seed}, {tried} tried in {seconds:.0} s");
        println!("mutations: {} findings", self.findings.len());
        for (case, finding) in self.findings.iter().take(FINDINGS_SHOWN) {
            println!("  case {case}: {finding}");
        }
        if let Some((case, _)) = self.findings.first() {
            println!(
                "again: LAKE_MUTATION_SEED={seed} LAKE_MUTATION_CASE={case} cargo test \
                 -p lakehouse-tests --test mutation"
            );
        }
    }
}

/// Runs the cases `first`, `first + step`, … in worker processes, a new one after each that ended.
fn watch(folder: &Path, seed: u64, first: u64, step: u64, end: u64, start: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut next = first;
    while next < end && start.elapsed() < RUN_MAX {
        let (mut child, lines) = spawn(folder, seed, &format!("{next} {step} {end}"));
        let mut running = None;
        let why = loop {
            let patience = if running.is_some() {
                CASE_MAX
            } else {
                START_MAX
            };
            match lines.recv_timeout(patience) {
                Ok(line) => {
                    if let Some(case) = line.strip_prefix("begin ") {
                        running = case.parse().ok();
                        continue;
                    }
                    let mut parts = line.splitn(4, '\t').skip(1);
                    let (label, what, finding) = (parts.next(), parts.next(), parts.next());
                    let Some(case) = running else { continue };
                    tally.count(label.unwrap_or_default());
                    if let Some(finding) = finding.filter(|finding| !finding.is_empty()) {
                        let what = what.unwrap_or_default();
                        tally.findings.push((case, format!("{finding}: {what}")));
                    }
                    next = case + step;
                    if start.elapsed() >= RUN_MAX {
                        break None;
                    }
                }
                Err(RecvTimeoutError::Timeout) => break Some("hangs"),
                Err(RecvTimeoutError::Disconnected) => break Some("ended the process"),
            }
        };
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        if let Some(why) = why.filter(|_| next < end) {
            let case = running.unwrap_or(next);
            tally.count(why);
            tally.findings.push((case, why.to_owned()));
            next = case + step;
        }
    }
    tally
}

fn spawn(folder: &Path, seed: u64, work: &str) -> (Child, Receiver<String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(WORKER, work)
        .env(TABLES, folder)
        .env("LAKE_MUTATION_SEED", seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    (child, lines)
}
