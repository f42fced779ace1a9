//! From the command line to results: reads the statements, opens the lake, runs one after the other.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use lakehouse::core::runtime::blocking;
use lakehouse::sql::{QueryResult, Statement, parse};
use lakehouse::{Error, Lakehouse};
use tokio::sync::OnceCell;

use crate::arguments::SqlArguments;
use crate::course::{Course, may_change};
use crate::failure::Failure;
use crate::format::{Encoder, Format};
use crate::message;
use crate::output::Output;
use crate::progress::{Progress, count};
use crate::shell;
use crate::stop::Signals;

/// How long the end of the command waits for commits and deletions of files that are under way.
const CLEANUP_MAX: Duration = Duration::from_secs(10);

/// Runs `lake sql`.
pub(crate) async fn run(arguments: SqlArguments) -> Result<(), Failure> {
    let interactive =
        arguments.sql.is_none() && arguments.file.is_none() && io::stdin().is_terminal();
    check(&arguments, interactive)?;
    let opened = OnceCell::new();
    let course = Course::default();
    let mut signals = Signals::listen()?;
    let outcome = serve(&arguments, interactive, &opened, &course, &mut signals).await;
    let Some(lake) = opened.get() else {
        return outcome;
    };
    let has_ended = work_ended(lake, &mut signals).await.unwrap_or(false);
    if !has_ended {
        message::tell(
            "warning: files that were being written may be left behind; no table names them",
        );
    }
    match outcome {
        Err(Failure::Cancelled { by, .. }) => Err(Failure::Cancelled {
            by,
            message: course.cancelled(lake, has_ended),
        }),
        other => other,
    }
}

/// Does what the arguments ask for, on the lake that it opens.
async fn serve(
    arguments: &SqlArguments,
    interactive: bool,
    opened: &OnceCell<Lakehouse>,
    course: &Course,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let lake = || opened.get_or_try_init(|| Box::pin(open(arguments)));
    if interactive {
        let lake = signals.unless_stopped(lake()).await?;
        return shell::run(lake, course, signals).await;
    }
    let work = async {
        let text = script(arguments).await?;
        // The whole text is read first: a typing error in the last statement runs none.
        let statements = parse(&text)?;
        run_script(lake().await?, statements, arguments, course).await
    };
    signals.unless_stopped(work).await
}

/// Lets what failed or was cancelled clean up behind itself, and commits come to their end;
/// another Ctrl-C ends that too.
pub(crate) async fn work_ended(lake: &Lakehouse, signals: &mut Signals) -> Result<bool, Failure> {
    let ended = async { Ok(lake.work_ended(CLEANUP_MAX).await) };
    signals.unless_stopped(ended).await
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
    lake: &Lakehouse,
    statements: Vec<Statement>,
    arguments: &SqlArguments,
    course: &Course,
) -> Result<(), Failure> {
    let session = lake.session()?;
    let space = lake.lake().runtime().spill_space();
    let target = arguments.output.clone();
    // A pipe waits for its reader.
    let mut output = blocking(move || Output::new(target.as_deref(), space)).await??;
    let mut results = 0_usize;
    let mut remaining = statements.into_iter();
    while let Some(statement) = remaining.next() {
        course.begin(&statement, lake);
        let mut progress = Progress::start();
        let result = progress.during(session.execute(statement)).await?;
        course.executed();
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
            Err(Failure::PipeClosed) if remaining.any(|statement| may_change(&statement)) => {
                return Err(Error::invalid(
                    "the reader of standard output has gone; the statements after this one were \
                     not run",
                )
                .into());
            }
            Err(failure) => return Err(course.unanswered(failure, remaining.len())),
        }
    }
    output
        .finish()
        .map_err(|failure| course.all_unanswered(failure))
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
