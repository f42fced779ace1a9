//! Emulated AWS: what tests rely on at the emulators, and what is run against them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{NEEDS_PYTHON, has_python};
use crate::steps::{Outcome, Steps};
use crate::workspace;

const EMULATORS: &str = "interop/aws/emulators.py";

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
