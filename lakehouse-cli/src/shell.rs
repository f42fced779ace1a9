//! The interactive shell: reads statements from a person, and shows results and how long they took.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use futures::StreamExt;
use lakehouse::core::runtime::{Task, blocking, spawn};
use lakehouse::sql::{QueryResult, Session, Statement, parse};
use lakehouse::{Error, Lakehouse};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use crate::complete::{Ending, Names, ShellHelper, ending, is_word_of_parting};
use crate::course::Course;
use crate::failure::{Failure, stdout_failure};
use crate::format::{Encoder, Format};
use crate::message;
use crate::progress::{Progress, count};
use crate::run::{Outcome, outcome, tell, work_ended};
use crate::stop::{Signals, Stop};

const PROMPT: &str = "lake> ";

/// Rows of one result that are shown.
const ROWS_SHOWN_MAX: usize = 1_000;

/// Texts kept from one shell to the next.
const HISTORY_MAX: usize = 10_000;

const WELCOME: &str =
    "Statements end with ';'. \\? shows the commands of this shell, Ctrl-D leaves.";

const HELP: &str = "\
\\d          show the tables of the current namespace
\\d NAME     show the columns of a table
\\dt         show the tables of the current namespace
\\dn         show the namespaces
\\timing     say how long statements take, or do not
\\?          show this text
\\q          leave

Ctrl-C cancels the statement that runs, or the text being typed.
Tab completes keywords and names, the up arrow brings back earlier texts.";

type Line = Editor<ShellHelper, FileHistory>;

/// Serves a person until they leave.
pub(crate) async fn run(
    lake: &Lakehouse,
    course: &Course,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let names = Names::default();
    let mut editor = editor(names.clone())?;
    let mut shell = Shell {
        lake,
        course,
        signals,
        session: lake.session()?,
        names,
        naming: None,
        timing: true,
    };
    shell.renew_names();
    show_line(format_args!(
        "lake {}. {WELCOME}",
        env!("CARGO_PKG_VERSION")
    ))?;
    loop {
        course.rest();
        let (line, returned) = tokio::select! {
            read = read(editor) => read?,
            by = shell.signals.of_system() => return Err(Failure::cancelled(by)),
        };
        editor = returned;
        match line {
            Ok(text) => {
                if remember(&mut editor, &text) && shell.answer(&text).await? == Next::Leave {
                    return Ok(());
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(terminal_failure(error)),
        }
    }
}

/// Whether the shell goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Ask,
    Leave,
}

struct Shell<'a> {
    lake: &'a Lakehouse,
    course: &'a Course,
    signals: &'a mut Signals,
    session: Session,
    names: Names,
    /// Looks the lake's names up while the person types.
    naming: Option<Task<()>>,
    timing: bool,
}

impl Shell<'_> {
    /// Does what one text asks for; a failure of a statement is told and not passed on.
    async fn answer(&mut self, text: &str) -> Result<Next, Failure> {
        if is_word_of_parting(text) {
            return Ok(Next::Leave);
        }
        let statements = match ending(text) {
            Ending::Empty => return Ok(Next::Ask),
            Ending::Command => match command(text) {
                Command::Leave => return Ok(Next::Leave),
                Command::Timing => {
                    self.timing = !self.timing;
                    let timing = if self.timing { "on" } else { "off" };
                    show_line(format_args!("timing is {timing}"))?;
                    return Ok(Next::Ask);
                }
                Command::Say(said) => {
                    show_line(said)?;
                    return Ok(Next::Ask);
                }
                Command::Statement(text) => parse(&text),
            },
            Ending::Finished | Ending::Open => parse(text),
        };
        match statements {
            Ok(statements) => self.run_all(statements).await?,
            Err(error) => message::tell(format_args!("error: {error}")),
        }
        Ok(Next::Ask)
    }

    /// Runs statements until one fails or is cancelled.
    async fn run_all(&mut self, statements: Vec<Statement>) -> Result<(), Failure> {
        for statement in statements {
            let reads = matches!(statement, Statement::Query(_));
            self.course.begin(&statement, self.lake);
            let work = run_one(&self.session, statement, self.course, self.timing);
            let outcome = self.signals.unless_stopped(work).await;
            if !reads {
                self.renew_names();
            }
            match outcome {
                Ok(()) => {}
                Err(Failure::Lake(error)) => {
                    message::tell(format_args!("error: {error}"));
                    return Ok(());
                }
                Err(Failure::Cancelled {
                    by: Stop::Interrupted,
                    ..
                }) => {
                    let has_ended = match work_ended(self.lake, self.signals).await {
                        Err(Failure::Cancelled {
                            by: Stop::Interrupted,
                            ..
                        }) => false,
                        ended => ended?,
                    };
                    let left = self.course.cancelled(self.lake, has_ended);
                    message::tell(format_args!("\n{left}"));
                    return Ok(());
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Looks names up behind the person's back; until they are there, the old ones serve.
    fn renew_names(&mut self) {
        let session = self.session.clone();
        let names = self.names.clone();
        self.naming = Some(spawn(async move {
            // Completion is a courtesy: a lake that does not answer says so to the next statement.
            if let Ok(found) = session.names().await {
                names.replace(found);
            }
        }));
    }
}

/// Runs a statement and shows what it answers.
async fn run_one(
    session: &Session,
    statement: Statement,
    course: &Course,
    timing: bool,
) -> Result<(), Failure> {
    let mut progress = Progress::start();
    let result = progress.during(session.execute(statement)).await?;
    course.executed();
    let shown = async {
        let summary = match outcome(&result) {
            Outcome::Done(done) => tell(result, done).await?,
            Outcome::Rows => show(result, &mut progress).await?,
        };
        progress.clear();
        let seconds = progress.elapsed().as_secs_f64();
        match timing {
            true => show_line(format_args!("({summary}, {seconds:.3} s)")),
            false => show_line(format_args!("({summary})")),
        }
    };
    shown.await.map_err(|failure| course.unanswered(failure, 0))
}

/// Shows a line to whoever reads standard output.
fn show_line(text: impl fmt::Display) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}").map_err(stdout_failure)
}

/// Shows the first rows of a result and says how many there are.
async fn show(result: QueryResult, progress: &mut Progress) -> Result<String, Failure> {
    let mut table = Vec::new();
    let mut encoder = Encoder::try_new(Format::Table, &result.schema(), false, &mut table)?;
    let mut rows = result.into_stream();
    let mut left = ROWS_SHOWN_MAX;
    let mut more = false;
    while let Some(batch) = progress.during(rows.next()).await {
        let batch = batch?;
        let length = batch.num_rows().min(left);
        encoder.write(&batch.slice(0, length))?;
        progress.add(length);
        left -= length;
        more = length < batch.num_rows();
        if more {
            break;
        }
    }
    encoder.finish()?;
    progress.clear();
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&table)
        .and_then(|()| stdout.flush())
        .map_err(stdout_failure)?;
    let shown = count(progress.rows(), "row");
    Ok(if more {
        format!("the first {shown}, there are more")
    } else {
        shown
    })
}

/// What a command of the shell asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Leave,
    Timing,
    Say(String),
    Statement(String),
}

/// Reads a line that begins with `\`.
fn command(text: &str) -> Command {
    let text = text.trim().trim_end_matches(';').trim_end();
    let (word, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match (word, argument.trim()) {
        ("\\q", "") => Command::Leave,
        ("\\timing", "") => Command::Timing,
        ("\\?" | "\\h", "") => Command::Say(HELP.to_owned()),
        ("\\d" | "\\dt", "") => Command::Statement("SHOW TABLES".to_owned()),
        ("\\dn", "") => Command::Statement("SHOW NAMESPACES".to_owned()),
        ("\\d", table) => Command::Statement(format!("DESCRIBE TABLE {table}")),
        _ => Command::Say(format!(
            "there is no command {word} of this form; \\? shows them all"
        )),
    }
}

fn editor(names: Names) -> Result<Line, Failure> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_MAX)
        .map_err(terminal_failure)?
        .build();
    let mut editor = Editor::with_config(config).map_err(terminal_failure)?;
    editor.set_helper(Some(ShellHelper::new(names)));
    if let Some(path) = history_file() {
        // There is none before the first shell ends.
        let _ = editor.load_history(&path);
    }
    Ok(editor)
}

/// Waits for a text, away from the threads that run queries; the editor goes there and back.
async fn read(mut editor: Line) -> Result<(rustyline::Result<String>, Line), Failure> {
    let reading = blocking(move || {
        let line = editor.readline(PROMPT);
        (line, editor)
    });
    Ok(reading.await?)
}

/// Keeps a text for this and later shells; false when there is nothing in it.
fn remember(editor: &mut Line, text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() {
        return false;
    }
    // A history that cannot be kept does not keep a person from working.
    if editor.add_history_entry(text).unwrap_or(false)
        && let Some(path) = history_file()
        && path
            .parent()
            .is_some_and(|folder| make_private_folder(folder).is_ok())
    {
        let _ = editor.append_history(&path);
    }
    true
}

/// Statements hold data of the lake: nobody else reads them.
fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Where the platform keeps such files; nowhere for a user without a home.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let folder = state.filter(|folder| folder.is_absolute()).or_else(|| {
        let home = std::env::home_dir()?;
        let below = if cfg!(target_os = "macos") {
            "Library/Application Support"
        } else {
            ".local/state"
        };
        Some(home.join(below))
    });
    Some(folder?.join("lakehouse").join("history"))
}

fn terminal_failure(error: ReadlineError) -> Failure {
    Error::internal("the terminal cannot be used")
        .with_source(error)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_and_without_argument() {
        let statement = |text: &str| Command::Statement(text.to_owned());
        assert_eq!(command("\\q"), Command::Leave);
        assert_eq!(command(" \\q; "), Command::Leave);
        assert_eq!(command("\\timing"), Command::Timing);
        assert_eq!(command("\\d"), statement("SHOW TABLES"));
        assert_eq!(command("\\dt;"), statement("SHOW TABLES"));
        assert_eq!(
            command("\\d  sales.\"two words\" ;"),
            statement("DESCRIBE TABLE sales.\"two words\"")
        );
        assert!(matches!(command("\\?"), Command::Say(said) if said.contains("\\timing")));
        assert!(matches!(command("\\x 1"), Command::Say(said) if said.contains("\\x")));
    }
}
