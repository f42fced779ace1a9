//! The command `lake`: SQL on a lakehouse for jobs and people.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 when all
//! statements or steps succeeded, 1 when one failed, 2 when the command line is wrong, 130 when the
//! work was cancelled with Ctrl-C, 143 when the system ended it (SIGTERM), 129 when its terminal
//! went (SIGHUP, on Linux, but for `nohup`). Whoever ends it, files are cleaned up first.

mod arguments;
mod complete;
mod course;
#[cfg(feature = "aws")]
mod doctor;
mod failure;
mod format;
mod json_number;
mod message;
mod output;
mod progress;
mod run;
mod shell;
mod stop;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;

/// How long the end of the process waits for threads that read a terminal or a pipe.
const SHUTDOWN_MAX: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let Arguments { command } =
        Arguments::parse_from(std::env::args_os().map(arguments::statements_apart));
    quiet_about_damaged_files();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report(),
    };
    let outcome = match command {
        Command::Sql(arguments) => runtime.block_on(run::run(arguments)),
        #[cfg(feature = "aws")]
        Command::Doctor(arguments) => runtime.block_on(doctor::run(arguments)),
    };
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// A damaged file that a decoder panics on is told as an error; the panic's own message stands
/// before it only when somebody asked for backtraces.
fn quiet_about_damaged_files() {
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !lakehouse::core::runtime::is_contained() {
            hook(panic);
        }
    }));
}
