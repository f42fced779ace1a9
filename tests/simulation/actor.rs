//! Writers and readers: what they do one after the other, and what they note of it.

use std::time::Duration;

use lakehouse::core::governance::Principal;
use lakehouse::{Error, ErrorKind, Lakehouse, Result, Session};

use crate::direct;
use crate::lake::{AUDIT, labelled, number, rows};
use crate::ledger::{Ledger, Outcome, Read, Record, Seen};
use crate::model::Action;
use crate::process::Process;
use crate::statement::Statement;

/// Statements of thousand that their caller gives up.
const GIVEN_UP: u64 = 30;

/// What an actor still has to do; it outlives the process.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) is_writer: bool,
    pub(crate) left: usize,
    /// The statement whose outcome is not known yet.
    pub(crate) running: Option<i64>,
    /// The snapshot that a reader looks at again and again.
    pinned: Option<i64>,
}

impl Actor {
    pub(crate) fn new(name: String, is_writer: bool, left: usize) -> Self {
        Self {
            name,
            is_writer,
            left,
            running: None,
            pinned: None,
        }
    }

    /// Does what is left, in one life of its process.
    pub(crate) async fn run(&mut self, process: &Process, lake: &Lakehouse, ledger: &Ledger) {
        let session = lake.session().unwrap();
        while self.left > 0 {
            self.left -= 1;
            let pause = process.world.random().next() % 60;
            process.world.time.sleep(Duration::from_millis(pause)).await;
            match self.is_writer {
                true => self.write(process, lake, ledger).await,
                false => self.read(process, lake, &session, ledger).await,
            }
        }
    }

    /// The process ended while the actor was at work.
    pub(crate) fn crashed(&mut self, now_ms: u64, ledger: &Ledger) {
        if let Some(id) = self.running.take() {
            ledger.end(id, now_ms, Outcome::Unknown);
        }
    }

    async fn write(&mut self, process: &Process, lake: &Lakehouse, ledger: &Ledger) {
        let world = &process.world;
        let began_ms = world.now_ms();
        let mut made = None;
        let id = ledger.begin(|id| {
            let statement = Statement::random(id, world.manner(), &mut world.random());
            made = Some(statement.clone());
            Record {
                writer: self.name.clone(),
                statement,
                target: None,
                began_ms,
                ended_ms: None,
                outcome: Outcome::Running,
            }
        });
        self.running = Some(id);
        let Some(statement) = made else { return };
        let (gives_up, patience_ms) = {
            let mut random = world.random();
            (random.chance(GIVEN_UP), random.next() % 100)
        };
        let patience = match gives_up {
            true => Duration::from_millis(patience_ms),
            false => Duration::from_secs(3_600),
        };
        let name = statement.action.name();
        let work = run(process, lake, ledger, &statement);
        let answer = tokio::select! {
            biased;
            answer = work => Some(answer),
            () = world.time.sleep(patience) => None,
        };
        let outcome = match answer {
            Some(Ok(count)) => Outcome::Committed(count),
            Some(Err(error)) => {
                process.tell(format_args!("statement {id}: {error}"));
                match error.kind() {
                    ErrorKind::Unknown => Outcome::Unknown,
                    kind => Outcome::Failed(kind),
                }
            }
            None => Outcome::Unknown,
        };
        process.tell(format_args!("statement {id} ended: {outcome:?}"));
        world.count(&match &outcome {
            Outcome::Committed(_) => format!("{name} committed"),
            Outcome::Failed(kind) => format!("{name} failed: {kind}"),
            _ => format!("{name} unknown"),
        });
        self.running = None;
        ledger.end(id, world.now_ms(), outcome);
    }

    async fn read(
        &mut self,
        process: &Process,
        lake: &Lakehouse,
        session: &Session,
        ledger: &Ledger,
    ) {
        let world = &process.world;
        let (is_pinned, counts, moves_on) = {
            let mut random = world.random();
            (random.chance(700), random.chance(300), random.chance(300))
        };
        let began_ms = world.now_ms();
        if self.pinned.is_none() || moves_on {
            self.pinned = match lake.table("t").await {
                Ok(table) => table.snapshot_id().or(self.pinned),
                Err(_) => self.pinned,
            };
        }
        let snapshot = self.pinned.filter(|_| is_pinned);
        let seen = look(session, snapshot, counts)
            .await
            .map_err(|error| (error.kind(), error.to_string()));
        if let Err((_, error)) = &seen {
            process.tell(format_args!("read of {snapshot:?}: {error}"));
        }
        world.count(match seen {
            Ok(_) => "read",
            Err(_) => "read failed",
        });
        ledger.read(Read {
            reader: self.name.clone(),
            snapshot,
            began_ms,
            ended_ms: world.now_ms(),
            seen,
        });
    }
}

async fn look(session: &Session, snapshot: Option<i64>, counts: bool) -> Result<Seen> {
    let version = match snapshot {
        Some(id) => format!(" FOR VERSION AS OF {id}"),
        None => String::new(),
    };
    if counts {
        let query = format!("SELECT count(*) FROM t{version}");
        let answer = session.sql(&query).await?.collect().await?;
        let count = number(&answer).ok_or_else(|| Error::internal("a count is one number"));
        return count.map(Seen::Count);
    }
    let (columns, rows) = rows(session, &format!("SELECT * FROM t{version}")).await?;
    Ok(Seen::Rows(columns, rows))
}

/// Runs one statement to its end; the number of rows that it answers.
async fn run(
    process: &Process,
    lake: &Lakehouse,
    ledger: &Ledger,
    statement: &Statement,
) -> Result<Option<u64>> {
    let mut target = None;
    if let Action::Rollback(back) = statement.action {
        let history = lake.table("t").await?.history();
        let ancestors: Vec<i64> = history
            .iter()
            .filter(|entry| entry.is_current_ancestor)
            .map(|entry| entry.snapshot_id)
            .collect();
        let place = ancestors.len().checked_sub(back + 1);
        let Some(to) = place.map(|place| ancestors[place]) else {
            return Err(Error::invalid("there is nothing to roll back to"));
        };
        ledger.aim(statement.id, to);
        target = Some(to);
    }
    if let Action::Publish { .. } = statement.action {
        let snapshots = lake.table("t").await?.snapshots();
        let staged = snapshots.iter().filter(|snapshot| {
            let keys = &snapshot.summary().additional_properties;
            keys.contains_key(AUDIT)
        });
        let staged: Vec<i64> = staged.map(|snapshot| snapshot.snapshot_id()).collect();
        if staged.is_empty() {
            return Err(Error::invalid("there is nothing to publish"));
        }
        // The newest are the likeliest not to be there yet.
        let back = process.world.random().within(1..4).min(staged.len());
        let from = staged[staged.len() - back];
        ledger.aim(statement.id, from);
        target = Some(from);
    }
    let sql = statement.sql(target);
    process.tell(format_args!("statement {}: {sql}", statement.id));
    let labelled = labelled(lake.lake(), statement.id)?;
    if statement.is_direct() {
        let table = lake.table(&statement.table()).await?;
        return direct::run(&labelled, &table, statement, target).await;
    }
    let session = Session::try_new(labelled, Principal::owner())?;
    let answer = session.sql(&sql).await?.collect().await?;
    Ok(number(&answer))
}
