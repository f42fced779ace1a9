//! Emulated AWS: what tests rely on at the emulators, and what is run against them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{NEEDS_PYTHON, environment, has_python};
use crate::steps::{Outcome, Steps};
use crate::workspace;

const EMULATORS: &str = "interop/aws/emulators.py";
/// PyIceberg and boto3, which do not go together with what else `interop/` installs.
const PYICEBERG: &str = "interop/aws/requirements-pyiceberg.txt";

const NEEDS_JAVA: &str = "install Java 24 or newer for Trino; TRINO_JAVA_HOME names its folder";

/// The example that speaks to AWS, and is run beside the emulators.
pub(crate) const EXAMPLE: &str = "glue";

/// Adds the step that makes the emulators' Python environments in the target folder.
pub(super) fn install(steps: &mut Steps, target: &Path) {
    steps.work("aws: install the emulators", || {
        if !has_python() {
            return Outcome::NotRun(NEEDS_PYTHON.to_owned());
        }
        match emulators(target).arg("install").status() {
            Ok(status) if status.success() => Outcome::Passed,
            Ok(_) => Outcome::Failed,
            Err(error) => super::failed(&format!("{EMULATORS}: {error}")),
        }
    });
}

/// Adds the steps that run beside the emulators, each with new ones.
pub(super) fn add_to(steps: &mut Steps, target: &Path) {
    if !has_python() {
        steps.work("aws: the emulators are as we know them", || {
            Outcome::NotRun(NEEDS_PYTHON.to_owned())
        });
        return;
    }
    let examples = target.join("debug").join("examples");
    steps.command(
        "aws: the emulators are as we know them",
        beside_emulators(target, "check_emulators.py").arg(examples.join("fault_proxy")),
    );
    steps.command(
        &format!("example {EXAMPLE}"),
        beside_emulators(target, "in_bucket.py").arg(examples.join(EXAMPLE)),
    );
    let venv = target.join("interop-pyiceberg-venv");
    let mut ready = Outcome::Failed;
    steps.work("aws: Python environment of PyIceberg", || {
        ready = environment(&venv, PYICEBERG);
        ready.clone()
    });
    if ready == Outcome::Passed {
        for (title, script) in [
            ("aws: PyIceberg beside us on Glue", "beside_pyiceberg.py"),
            ("aws: the interop suite on Glue and S3", "suite_on_s3.py"),
        ] {
            let mut command = emulators(target);
            command
                .args(["run", "--"])
                .arg(venv.join("bin").join("python"))
                .arg(script)
                .arg(target.join("debug").join("lake"));
            steps.command(title, &mut command);
        }
    }
    add_trino(steps, target);
}

/// Trino, where there is a Java that is new enough for it.
fn add_trino(steps: &mut Steps, target: &Path) {
    let mut java = Outcome::Failed;
    steps.work("aws: Java of Trino", || {
        let mut asked = Command::new("python3");
        asked.current_dir(workspace::root().join("interop").join("aws"));
        asked.env("PYTHONDONTWRITEBYTECODE", "1");
        java = match asked.args(["trino.py", "java"]).status() {
            Ok(status) if status.success() => Outcome::Passed,
            Ok(_) => Outcome::NotRun(NEEDS_JAVA.to_owned()),
            Err(error) => super::failed(&format!("python3: {error}")),
        };
        java.clone()
    });
    if java == Outcome::Passed {
        let mut command = beside_emulators(target, "beside_trino.py");
        command.arg(target.join("debug").join("lake"));
        command.arg(target.join("interop-trino"));
        steps.command("aws: Trino beside us on Glue", &mut command);
    }
}

/// A script of `interop/aws/`, run by moto's Python while both emulators run.
fn beside_emulators(target: &Path, script: &str) -> Command {
    let mut command = emulators(target);
    command.args(["run", "--"]).arg(python(target)).arg(script);
    command
}

/// A Python that speaks to AWS: moto's.
pub(crate) fn python(target: &Path) -> PathBuf {
    target.join("interop-moto-venv").join("bin").join("python")
}

fn emulators(target: &Path) -> Command {
    let root = workspace::root();
    let mut command = Command::new("python3");
    command.current_dir(root.join("interop").join("aws"));
    command.env("CARGO_TARGET_DIR", target);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(root.join(EMULATORS));
    command
}
