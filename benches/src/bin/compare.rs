//! The comparison with peers as a command; see `compare --help`.

use std::process::ExitCode;

use lakehouse_benches::compare::{
    Command, USAGE, make_commits, print_first_row, print_peaks, run, run_each, serve_changes,
};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match Command::parse(arguments.iter().cloned()) {
        Ok(Command::Help) => {
            println!("{USAGE}");
            Ok(())
        }
        Ok(Command::FirstRow(lake)) => print_first_row(&lake).await,
        Ok(Command::Alone(engine, options)) => print_peaks(&engine, &options).await,
        Ok(Command::Changes(folder, options)) => serve_changes(&folder, &options).await,
        Ok(Command::Commits(lake)) => make_commits(&lake).await,
        Ok(Command::Compare(options)) if options.parts.len() > 1 => run_each(&options, &arguments),
        Ok(Command::Compare(options)) => Box::pin(run(options)).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
