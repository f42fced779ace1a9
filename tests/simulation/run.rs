//! The run of many seeds, and the account of what came of them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::model::Action;
use crate::planted;
use crate::seed::{self, Report};
use crate::world::SEEN;

/// How long seeds are begun: in CI, and elsewhere.
const SECONDS_CI: u64 = 60;
const SECONDS: u64 = 15;
/// So many seeds must have been done in CI for the run to count.
const SEEDS_MIN_CI: u64 = 100;
const FAILURES_SHOWN: usize = 3;

pub(crate) fn main() -> ExitCode {
    // The harness is ours; `cargo test some_name` names another test to every harness.
    let is_other = |argument: String| {
        argument == "--list" || !argument.starts_with('-') && !"simulation".contains(&argument)
    };
    if std::env::args().skip(1).any(is_other) {
        return ExitCode::SUCCESS;
    }
    if let Some(seed) = number("LAKE_SIMULATION_SEED") {
        let report = done(seed);
        print(seed, &report);
        return ExitCode::from(u8::from(!report.findings.is_empty()));
    }
    let wrong = planted::self_test();
    for wrong in &wrong {
        println!("simulation: {wrong}");
    }
    let failed = many();
    ExitCode::from(u8::from(failed || !wrong.is_empty()))
}

/// Runs seed after seed; whether that failed.
fn many() -> bool {
    let is_ci = std::env::var_os("CI").is_some();
    let usual = if is_ci { SECONDS_CI } else { SECONDS };
    let seconds = number("LAKE_SIMULATION_SECONDS").unwrap_or(usual);
    let first = number("LAKE_SIMULATION_FIRST").unwrap_or(1);
    let end = number("LAKE_SIMULATION_SEEDS").map_or(u64::MAX, |seeds| first + seeds);
    let next = AtomicU64::new(first);
    let start = now();
    let total = Mutex::new(Total::default());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while start.elapsed() < Duration::from_secs(seconds) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= end {
                        return;
                    }
                    let report = done(seed);
                    total.lock().unwrap().add(seed, report);
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    total.print(first, start.elapsed());
    let idle = total.idle();
    // Elsewhere a busy machine is no finding.
    let is_whole = is_ci && end == u64::MAX;
    if is_whole && total.seeds < SEEDS_MIN_CI {
        println!("simulation: {SEEDS_MIN_CI} seeds are wanted");
    }
    if is_whole && !idle.is_empty() {
        println!("simulation: nothing was tested of {}", idle.join(", "));
    }
    is_whole && (total.seeds < SEEDS_MIN_CI || !idle.is_empty()) || !total.failures.is_empty()
}

/// A seed; a panic is a finding.
fn done(seed: u64) -> Report {
    let run = || {
        let mut report = seed::run(seed, None);
        if number("LAKE_SIMULATION_TWICE").is_some_and(|twice| twice > 0) {
            let again = seed::run(seed, None);
            report.findings.extend(planted::difference(&report, &again));
        }
        report
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Report {
        findings: vec!["it panicked".to_owned()],
        ..Report::default()
    })
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

fn print(seed: u64, report: &Report) {
    for line in &report.log {
        println!("{line}");
    }
    for finding in &report.findings {
        println!("simulation: seed {seed}: {finding}");
    }
    println!("again: LAKE_SIMULATION_SEED={seed} cargo test -p lakehouse-tests --test simulation");
}

/// What came of all seeds.
#[derive(Default)]
struct Total {
    seeds: u64,
    counts: BTreeMap<String, u64>,
    failures: Vec<(u64, Report)>,
}

impl Total {
    fn add(&mut self, seed: u64, report: Report) {
        self.seeds += 1;
        for (what, count) in &report.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
        if !report.findings.is_empty() {
            self.failures.push((seed, report));
        }
    }

    /// How many statements of an action changed something.
    fn seen(&self, action: &str) -> u64 {
        let what = match action {
            // Of these the history shows no more than their outcome.
            "alter" => "committed",
            _ => SEEN,
        };
        let seen = self.counts.get(&format!("{action} {what}"));
        seen.copied().unwrap_or_default()
    }

    /// The actions that never took place.
    fn idle(&self) -> Vec<&'static str> {
        let names = Action::NAMES.into_iter();
        names.filter(|name| self.seen(name) == 0).collect()
    }

    fn print(&self, first: u64, took: Duration) {
        for (seed, report) in self.failures.iter().take(FAILURES_SHOWN) {
            print(*seed, report);
        }
        for (what, count) in &self.counts {
            println!("{count:8}  {what}");
        }
        for (seed, report) in self.failures.iter().skip(FAILURES_SHOWN) {
            println!("simulation: seed {seed}: {}", report.findings[0]);
        }
        let seen = Action::NAMES.map(|name| format!("{} {name}", self.seen(name)));
        println!("simulation: took place: {}", seen.join(", "));
        let (seeds, losses) = (self.seeds, self.failures.len());
        let seconds = took.as_secs_f64();
        println!("simulation: {seeds} seeds from {first} in {seconds:.0} s, {losses} with losses");
    }
}
