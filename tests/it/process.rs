//! Other processes of a test: this binary again, running statements on a lake.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use futures::future::join_all;
use lakehouse::core::clock::SystemClock;
use lakehouse::{Lakehouse, Session};

use crate::lake::settings;

const LAKE: &str = "LAKE_OF_PARENT";
const STATEMENTS: &str = "LAKE_STATEMENTS";
const TASKS: &str = "LAKE_TASKS";
/// What stands before each answer in the output of such a process.
const ANSWER: &str = "answer: ";

/// A process that runs statements, separated by semicolons, on the lake of a folder. Each of
/// `tasks` tasks runs all of them, `{task}` standing for its number.
pub(crate) fn command(lake: &Path, statements: &str, tasks: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    describe(&mut command, lake, statements, tasks);
    command
}

/// Adds what [`command`] would to a command that runs this binary in another way.
pub(crate) fn describe(command: &mut Command, lake: &Path, statements: &str, tasks: usize) {
    command
        .args(["--exact", "process::of_another_test", "--ignored", "--nocapture"])
        .env(LAKE, lake)
        .env(STATEMENTS, statements)
        .env(TASKS, tasks.to_string());
}

/// The answers of such a process: `ok` and the rows, or the error's kind and text.
pub(crate) fn answers(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the process ended by {}\n{text}\n{errors}", output.status);
    let answers = text.lines().filter_map(|line| line.split_once(ANSWER));
    answers.map(|(_, answer)| answer.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "runs in processes that other tests start"]
async fn of_another_test() {
    let Ok(path) = std::env::var(LAKE) else {
        return;
    };
    let statements = std::env::var(STATEMENTS).unwrap();
    let tasks: usize = std::env::var(TASKS).unwrap().parse().unwrap();
    let lake = Lakehouse::builder()
        .location(path)
        .settings(settings())
        .clock(Arc::new(SystemClock))
        .create(false)
        .build()
        .await;
    let lake = match lake {
        Ok(lake) => lake,
        Err(error) => {
            println!("\n{ANSWER}{}: {error}", error.kind());
            return;
        }
    };
    let tasks = (0..tasks).map(|task| {
        let session = lake.session().unwrap();
        let statements = statements.replace("{task}", &task.to_string());
        async move { run(&session, &statements).await }
    });
    join_all(tasks).await;
}

async fn run(session: &Session, statements: &str) {
    for statement in lakehouse::sql::parse(statements).unwrap() {
        let rows = match session.execute(statement).await {
            Ok(result) => crate::lake::rows_of(result).await,
            Err(error) => Err(error),
        };
        match rows {
            Ok(rows) => println!("\n{ANSWER}ok {}", rows.join(" ")),
            Err(error) => println!("\n{ANSWER}{}: {error}", error.kind()),
        }
    }
}
