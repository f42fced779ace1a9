//! Other engines read our tables and we read theirs: the Python programs in `interop/`.

mod aws;
mod spark;

pub(crate) use aws::EXAMPLE as AWS_EXAMPLE;
pub(crate) use aws::python as emulators_python;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::steps::{Outcome, Steps};
use crate::workspace;

const REQUIREMENTS: &str = "interop/requirements.txt";
const NEEDS_PYTHON: &str = "install python3 with its venv module (Debian: python3-venv), 3.11+";

/// `cargo xtask interop`, or with `aws` that part alone; true if everything ran and agreed.
pub(crate) fn run(parts: &[String]) -> Result<bool, String> {
    let mut steps = Steps::default();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        [] => {
            install_emulators(&mut steps)?;
            build(&mut steps, "--workspace --bins --examples --features aws");
            add_to(&mut steps)?;
        }
        ["aws"] => {
            install_emulators(&mut steps)?;
            build(&mut steps, "--workspace --bins --examples --features aws");
            aws::add_to(&mut steps, &workspace::target_folder()?);
        }
        other => return Err(format!("no part {other:?} of interop: name none, or aws")),
    }
    Ok(steps.finish())
}

/// All packages, as `cargo xtask test` asks for them: what it has compiled is found again.
pub(crate) fn build(steps: &mut Steps, what: &str) {
    let mut build = workspace::cargo();
    build.args(["build", "--locked"]);
    build.args(what.split_whitespace());
    steps.command("interop: build our programs", &mut build);
}

/// Adds the step that installs the emulators of AWS, which tests want as well.
pub(crate) fn install_emulators(steps: &mut Steps) -> Result<(), String> {
    aws::install(steps, &workspace::target_folder()?);
    Ok(())
}

/// Adds the steps: the environment, the tables, both directions of reading, queries made at random,
/// changes, and emulated AWS, with the programs that were built and the emulators that were
/// installed before.
pub(crate) fn add_to(steps: &mut Steps) -> Result<(), String> {
    let target = workspace::target_folder()?;
    let venv = target.join("interop-venv");
    let mut ready = Outcome::Failed;
    steps.work("interop: Python environment", || {
        ready = environment(&venv, REQUIREMENTS);
        ready.clone()
    });
    let lake = target.join("debug").join("lake");
    if ready == Outcome::Passed {
        add_python(steps, &venv, &target.join("interop"), &lake);
    }
    spark::add_to(steps, &target, &lake);
    if ready == Outcome::Passed {
        add_random(steps, &venv, &target, &lake);
    }
    aws::add_to(steps, &target);
    Ok(())
}

/// Queries made at random, also about the tables that Spark has left; then changes of rows.
fn add_random(steps: &mut Steps, venv: &Path, target: &Path, lake: &Path) {
    let mut command = script_of(venv, "compare_random.py");
    command.arg(lake).arg(target.join("interop-random"));
    command
        .arg("--spark")
        .arg(target.join("interop-spark").join("lake"));
    steps.command("interop: queries made at random", &mut command);
    let mut command = script_of(venv, "compare_random_changes.py");
    command.arg(lake).arg(target.join("interop-random-changes"));
    steps.command("interop: changes made at random", &mut command);
}

/// PyIceberg and DuckDB.
fn add_python(steps: &mut Steps, venv: &Path, folder: &Path, lake: &Path) {
    let python = |script: &str| script_of(venv, script);
    steps.command(
        "interop: others write",
        python("write_tables.py").arg(folder),
    );
    for (name, way) in [
        ("interop: we read theirs", "theirs"),
        ("interop: they read ours", "ours"),
    ] {
        let mut command = python("compare.py");
        steps.command(name, command.arg(way).arg(lake).arg(folder));
    }
}

/// A script of `interop/`, run by the environment's Python.
fn script_of(venv: &Path, script: &str) -> Command {
    let mut command = Command::new(venv.join("bin").join("python"));
    command.current_dir(workspace::root().join("interop"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script);
    command
}

/// Makes the virtual environment if it is missing or was made from other requirements.
fn environment(venv: &Path, requirements: &str) -> Outcome {
    let wanted = match workspace::read(requirements) {
        Ok(wanted) => wanted,
        Err(message) => return failed(&message),
    };
    let stamp = venv.join("requirements.installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Outcome::Passed;
    }
    if !has_python() {
        return Outcome::NotRun(NEEDS_PYTHON.to_owned());
    }
    let pip: PathBuf = venv.join("bin").join("pip");
    let requirements = workspace::root().join(requirements);
    let made = succeeds(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(venv),
    ) && succeeds(
        Command::new(pip)
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(requirements),
    );
    if !made {
        return failed("the Python environment could not be made");
    }
    match std::fs::write(&stamp, wanted) {
        Ok(()) => Outcome::Passed,
        Err(error) => failed(&format!("{}: {error}", stamp.display())),
    }
}

/// What to install where no Python makes virtual environments.
pub(crate) fn needs_python() -> Option<String> {
    (!has_python()).then(|| NEEDS_PYTHON.to_owned())
}

fn has_python() -> bool {
    succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

/// A step's end that says why.
pub(crate) fn failed(message: &str) -> Outcome {
    eprintln!("{message}");
    Outcome::Failed
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
