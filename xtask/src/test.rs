//! `cargo xtask test`: everything CI does, in order, with a summary at the end.

use std::process::Command;

use crate::steps::Steps;
use crate::{interop, terraform, workspace};

/// Runs all steps; true if nothing failed.
pub(crate) fn run() -> Result<bool, String> {
    let mut steps = Steps::default();
    // First: the tests of what speaks to AWS want the emulators.
    interop::install_emulators(&mut steps)?;
    let mut cargo = |name: &str, arguments: &str| {
        let mut command = workspace::cargo();
        command.args(arguments.split_whitespace());
        if name == "documentation" {
            command.env("RUSTDOCFLAGS", "-D warnings");
        }
        steps.command(name, &mut command);
    };
    cargo("format", "fmt --all --check");
    // Of shared dependencies every step has the same features, for else nearly everything would be
    // compiled again: all packages are asked for, so that AWS is among them whether the façade has
    // it or not, and with their examples, so that what tests need is among them too.
    cargo(
        "lints, benches included",
        "clippy --workspace --all-targets --features aws --locked -- -D warnings",
    );
    cargo(
        "lints, without features",
        "clippy --workspace --all-targets --locked -- -D warnings",
    );
    cargo(
        "documentation",
        "doc --workspace --lib --bins --examples --features aws --no-deps --locked",
    );
    cargo(
        "tests, doctests, tidy",
        "test --workspace --features aws --locked",
    );
    // The tests' step has built the examples and `lake`.
    let built = workspace::target_folder()?.join("debug");
    let examples = examples()?;
    // That one is run beside the emulators.
    let alone = |example: &&String| example.as_str() != interop::AWS_EXAMPLE;
    for example in examples.iter().filter(alone) {
        let program = built.join("examples").join(example);
        steps.command(&format!("example {example}"), &mut Command::new(program));
    }
    interop::add_to(&mut steps)?;
    terraform::add_to(&mut steps)?;
    Ok(steps.finish())
}

/// The names of the programs in `examples/`: `name.rs` or `name/main.rs`.
fn examples() -> Result<Vec<String>, String> {
    let files = workspace::files()?;
    let mut names: Vec<String> = files
        .iter()
        .filter_map(|file| file.strip_prefix("examples/"))
        .filter_map(|file| file.strip_suffix("/main.rs").or(file.strip_suffix(".rs")))
        .filter(|name| !name.contains('/'))
        .map(str::to_owned)
        .collect();
    names.sort();
    Ok(names)
}
