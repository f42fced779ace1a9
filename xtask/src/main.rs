//! Checks and measurements of this repository: `cargo xtask <command>`.

use std::process::ExitCode;

mod interop;
mod steps;
mod terraform;
mod test;
mod tidy;
mod workspace;

const USAGE: &str = "\
cargo xtask test        everything CI does, with a summary at the end
cargo xtask tidy        floors, sizes, headers, names, licences, duplicate versions, case ids
cargo xtask cases       writes into docs/cases.md which cases are tested
cargo xtask rights      writes the rights of the roles in AWS, as the tests recorded them
cargo xtask interop     other engines read our tables and we read theirs (python3, Java 17)
cargo xtask interop aws only the part on emulated AWS (python3)
cargo xtask terraform   the lakes of terraform/ on emulated AWS, and the library in one (python3)
cargo xtask compare …   the comparison with other engines (`--help` after it for its arguments)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let done = match command {
        "test" => test::run(),
        "tidy" => tidy::run(),
        "cases" => tidy::update_cases(),
        "rights" => tidy::update_rights(),
        "interop" => interop::run(rest),
        "terraform" => terraform::run(),
        "compare" => steps::compare(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        other => Err(format!("no command {other:?}\n{USAGE}")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
