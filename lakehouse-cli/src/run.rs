//! From the command line to results: reads the statements, opens the lake, runs one after the other.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use lakehouse::core::runtime::blocking;
use lakehouse::sql::{QueryResult, Session, Statement, parse};
use lakehouse::{Error, Lakehouse};
use tokio::sync::OnceCell;

use crate::arguments::SqlArguments;
use crate::failure::Failure;
use crate::format::{Encoder, Format};
use crate::output::Output;
use crate::progress::{Progress, count};
use crate::shell;

/// How long the end of the command waits for commits and deletions of files that are under way.
const CLEANUP_MAX: Duration = Duration::from_secs(10);

/// Runs `lake sql`.
pub(crate) async fn run(arguments: SqlArguments) -> Result<(), Failure> {
    let interactive =
        arguments.sql.is_none() && arguments.file.is_none() && io::stdin().is_terminal();
    check(&arguments, interactive)?;
    let opened = OnceCell::new();
    let outcome = serve(&arguments, interactive, &opened).await;
    if let Some(lake) = opened.get() {
        end_work(lake).await;
    }
    outcome
}

/// Does what the arguments ask for, on the lake that it opens.
async fn serve(
    arguments: &SqlArguments,
    interactive: bool,
    opened: &OnceCell<Lakehouse>,
) -> Result<(), Failure> {
    let lake = || opened.get_or_try_init(|| open(arguments));
    if interactive {
        return shell::run(lake().await?).await;
    }
    let work = async {
        let text = script(arguments).await?;
        // The whole text is read first: a typing error in the last statement runs none.
        let statements = parse(&text)?;
        run_script(&lake().await?.session()?, statements, arguments).await
    };
    tokio::select! {
        done = work => done,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(Failure::Cancelled)
        }
    }
}

/// Lets what failed or was cancelled clean up behind itself; another Ctrl-C ends that too.
async fn end_work(lake: &Lakehouse) {
    let has_ended = tokio::select! {
        has_ended = lake.work_ended(CLEANUP_MAX) => has_ended,
        _ = tokio::signal::ctrl_c() => false,
    };
    if !has_ended {
        eprintln!("warning: files that were being written may be left behind; no table names them");
    }
}

/// Refuses what the arguments cannot mean together.
fn check(arguments: &SqlArguments, interactive: bool) -> Result<(), Failure> {
    let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
    if interactive && arguments.output.is_some() {
        return usage("--output needs statements: give them as text or with --file");
    }
    if interactive && arguments.format != Format::Table {
        return usage("--format needs statements: the shell shows tables");
    }
    if arguments.format.is_binary() && arguments.output.is_none() && io::stdout().is_terminal() {
        return usage("this format is not for terminals: name a file with --output, or use a pipe");
    }
    Ok(())
}

async fn open(arguments: &SqlArguments) -> Result<Lakehouse, Failure> {
    let mut builder = Lakehouse::builder().create(arguments.create);
    if let Some(path) = &arguments.config {
        builder = builder.settings(lakehouse::read_settings(path)?);
    }
    if let Some(location) = &arguments.lake {
        builder = builder.location(location);
    }
    Ok(builder.build().await?)
}

/// The statements' text, from wherever it comes.
async fn script(arguments: &SqlArguments) -> Result<String, Failure> {
    match (&arguments.sql, &arguments.file) {
        (Some(text), _) => Ok(text.clone()),
        (None, Some(path)) if path != Path::new("-") => {
            let named = path.clone();
            let text = blocking(move || std::fs::read(&named)).await?;
            utf8(text).map_err(|error| error.with_context("file", path.display()).into())
        }
        (None, _) => {
            let text = blocking(|| {
                let mut text = Vec::new();
                io::stdin().lock().read_to_end(&mut text).map(|_| text)
            });
            utf8(text.await?).map_err(|error| error.with_context("file", "standard input").into())
        }
    }
}

fn utf8(read: io::Result<Vec<u8>>) -> Result<String, Error> {
    String::from_utf8(read?)
        .map_err(|error| Error::invalid("the statements are not UTF-8 text").with_source(error))
}

async fn run_script(
    session: &Session,
    statements: Vec<Statement>,
    arguments: &SqlArguments,
) -> Result<(), Failure> {
    let mut output = Output::new(arguments.output.as_deref())?;
    let mut results = 0_usize;
    let mut remaining = statements.into_iter();
    while let Some(statement) = remaining.next() {
        let mut progress = Progress::start();
        let result = progress.during(session.execute(statement)).await?;
        let written = write(
            result,
            arguments.format,
            results,
            &mut output,
            &mut progress,
        )
        .await;
        match written {
            Ok(true) => results += 1,
            Ok(false) => {}
            Err(Failure::PipeClosed) if !remaining.all(|statement| only_reads(&statement)) => {
                return Err(Error::invalid(
                    "the reader of standard output has gone; the statements after this one were \
                     not run",
                )
                .into());
            }
            Err(failure) => return Err(failure),
        }
    }
    output.finish()
}

/// Whether nothing is lost when a statement is not run because nobody reads its rows.
fn only_reads(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Query(_) | Statement::Show(_) | Statement::Describe(_)
    )
}

/// Writes one statement's result; says whether it had rows to write.
async fn write(
    result: QueryResult,
    format: Format,
    earlier: usize,
    output: &mut Output,
    progress: &mut Progress,
) -> Result<bool, Failure> {
    if let Outcome::Done(outcome) = outcome(&result) {
        let told = tell(result, outcome).await?;
        if format.tells_outcomes() {
            output
                .write(async |sink: &mut (dyn Write + Send)| Ok(writeln!(sink, "{told}")?))
                .await?;
        }
        return Ok(false);
    }
    if earlier > 0 && format.is_binary() {
        return Err(Error::invalid(
            "this format holds the rows of one statement, and a second one returns rows; use \
             --format json, or a run for each",
        )
        .into());
    }
    let file = matches!(output, Output::File(_));
    let encode = async |sink: &mut (dyn Write + Send)| {
        // Tables in a row are told apart by their headers; an empty line does it for CSV.
        if earlier > 0 && format == Format::Csv {
            writeln!(sink)?;
        }
        let mut encoder = Encoder::try_new(format, &result.schema(), file, sink)?;
        let mut rows = result.into_stream();
        while let Some(batch) = progress.during(rows.next()).await {
            let batch = batch?;
            progress.add(batch.num_rows());
            encoder.write(&batch)?;
        }
        encoder.finish()?;
        progress.clear();
        Ok(())
    };
    output.write(encode).await?;
    Ok(true)
}

/// What a statement gives back.
pub(crate) enum Outcome {
    /// Rows to show.
    Rows,
    /// Something was done.
    Done(Done),
}

/// What is known of something that was done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Done {
    /// The rows it touched are counted.
    Counted,
    /// Nothing but that it succeeded.
    Plainly,
}

/// Tells rows from the count or the empty result of a command.
pub(crate) fn outcome(result: &QueryResult) -> Outcome {
    let schema = result.schema();
    match schema.fields().as_ref() {
        _ if result.is_query() => Outcome::Rows,
        [] => Outcome::Done(Done::Plainly),
        [only] if only.name() == "count" => Outcome::Done(Done::Counted),
        _ => Outcome::Rows,
    }
}

/// One line on something that was done.
pub(crate) async fn tell(result: QueryResult, done: Done) -> Result<String, Failure> {
    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, UInt64Type};

    let batches = result.collect().await?;
    let first = batches.iter().find(|batch| batch.num_rows() > 0);
    let counted = match (done, first) {
        (Done::Counted, Some(batch)) => {
            let column = batch.column(0);
            let unsigned = column
                .as_primitive_opt::<UInt64Type>()
                .map(|values| values.value(0));
            unsigned.or_else(|| {
                let values = column.as_primitive_opt::<Int64Type>()?;
                u64::try_from(values.value(0)).ok()
            })
        }
        _ => None,
    };
    Ok(counted.map_or_else(|| "done".to_owned(), |rows| count(rows, "row")))
}
