//! Steps of a run: what was tried, how it ended, how long it took.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::workspace;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and found nothing.
    Passed,
    /// It ran and found something, which it has printed.
    Failed,
    /// The machine lacks what it needs: says what to install.
    NotRun(String),
}

/// One line of the summary.
#[derive(Debug)]
struct Step {
    name: String,
    outcome: Outcome,
    took: Duration,
}

/// The steps so far; goes on after a failure, so that one run shows all there is to mend.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    /// Runs a command to its end, its output shown as it comes.
    pub(crate) fn command(&mut self, name: &str, command: &mut Command) {
        self.work(name, || {
            let status = command.status();
            let program = command.get_program().to_string_lossy();
            match status {
                Ok(status) if status.success() => Outcome::Passed,
                Ok(_) => Outcome::Failed,
                Err(error) => {
                    eprintln!("cannot run {program}: {error}");
                    Outcome::Failed
                }
            }
        });
    }

    /// Runs anything else.
    #[expect(
        clippy::disallowed_methods,
        reason = "a step's duration is for people, not for a repeatable run"
    )]
    pub(crate) fn work(&mut self, name: &str, work: impl FnOnce() -> Outcome) {
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = work();
        self.0.push(Step {
            name: name.to_owned(),
            outcome,
            took: start.elapsed(),
        });
    }

    /// Prints the summary; true if nothing failed and, with `CI` set, everything ran.
    pub(crate) fn finish(&self) -> bool {
        let strict = std::env::var_os("CI").is_some();
        println!("\n=== summary");
        let mut good = true;
        for step in &self.0 {
            let seconds = step.took.as_secs_f64();
            let word = match &step.outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Failed => "FAILED".to_owned(),
                Outcome::NotRun(needs) => format!("NOT RUN: {needs}"),
            };
            println!("{seconds:8.1} s  {:<34} {word}", step.name);
            good &= match step.outcome {
                Outcome::Passed => true,
                Outcome::Failed => false,
                Outcome::NotRun(_) => !strict,
            };
        }
        let total: Duration = self.0.iter().map(|step| step.took).sum();
        let skipped = self
            .0
            .iter()
            .filter(|step| matches!(step.outcome, Outcome::NotRun(_)));
        let verdict = match (good, skipped.count()) {
            (true, 0) => "all passed".to_owned(),
            (true, skipped) => format!("passed, but {skipped} not run: see above"),
            (false, _) => "not passed".to_owned(),
        };
        println!("{:8.1} s  {verdict}", total.as_secs_f64());
        good
    }
}

/// Runs the comparison with other engines in release mode, with the arguments given.
pub(crate) fn compare(arguments: &[String]) -> Result<bool, String> {
    let mut command = workspace::cargo();
    command.args(["run", "--release", "--locked", "-p", "lakehouse-benches"]);
    command.args(["--bin", "compare", "--"]).args(arguments);
    let status = command
        .status()
        .map_err(|error| format!("cannot run the comparison: {error}"))?;
    Ok(status.success())
}
