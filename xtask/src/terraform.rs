//! `cargo xtask terraform`: the Terraform's own checks, and the library in a lake that it has made.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::interop;
use crate::steps::{Outcome, Steps};
use crate::workspace;

const CHECKS: &str = "terraform/ci.sh";
const INSTALL: &str = "terraform/ci/install.py";
/// The exit code of `install.py` when there is no terraform to be had.
const MISSING: i32 = 3;
const NEEDS_TERRAFORM: &str = "install terraform 1.9+ (developer.hashicorp.com/terraform/install)";

/// The example that runs in the lake while it stands.
const EXAMPLE: &str = "medallion";

/// Builds what the step needs, and runs it; true if all passed.
pub(crate) fn run() -> Result<bool, String> {
    let mut steps = Steps::default();
    interop::install_emulators(&mut steps)?;
    interop::build(&mut steps, "--workspace --bins --examples --features aws");
    add_to(&mut steps)?;
    Ok(steps.finish())
}

/// Adds the step, with the programs that were built and the emulators that were installed before.
pub(crate) fn add_to(steps: &mut Steps) -> Result<(), String> {
    let target = workspace::target_folder()?;
    steps.work("terraform, and its lake in use", || checked(&target));
    Ok(())
}

fn checked(target: &Path) -> Outcome {
    if let Some(needs) = interop::needs_python() {
        return Outcome::NotRun(needs);
    }
    let mut install = Command::new("python3");
    install.arg(workspace::root().join(INSTALL));
    install.env("CARGO_TARGET_DIR", target);
    match install.stdout(Stdio::null()).status().map(|s| s.code()) {
        Ok(Some(0)) => {}
        Ok(Some(MISSING)) => return Outcome::NotRun(NEEDS_TERRAFORM.to_owned()),
        Ok(_) => return Outcome::Failed,
        Err(error) => return interop::failed(&format!("{INSTALL}: {error}")),
    }
    match in_a_lake(target).status() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(_) => Outcome::Failed,
        Err(error) => interop::failed(&format!("{CHECKS}: {error}")),
    }
}

/// All checks, and while the complete lake stands the example in it.
fn in_a_lake(target: &Path) -> Command {
    let root = workspace::root();
    let built = target.join("debug");
    let mut command = Command::new("bash");
    command.current_dir(&root).env("CARGO_TARGET_DIR", target);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(root.join(CHECKS)).arg("--");
    command.arg(interop::emulators_python(target));
    command.arg(root.join("interop").join("aws").join("in_lake.py"));
    command.arg(built.join("lake"));
    command.arg(built.join("examples").join(EXAMPLE));
    command
}
