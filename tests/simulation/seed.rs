//! One run: a table, processes with writers and readers, and the check of all that came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use iceberg::spec::FormatVersion;
use lakehouse::core::runtime::{self, Turns};
use lakehouse::{Error, Result};
use lakehouse_testkit::Random;

use crate::actor::Actor;
use crate::checker::Checker;
use crate::faults::Faults;
use crate::history::{self, Files};
use crate::lake::open;
use crate::ledger::Ledger;
use crate::planted::Planted;
use crate::process::Process;
use crate::scan;
use crate::statement::{Habit, Manner};
use crate::time::Time;
use crate::world::{SEEN, World};

/// So many lives a process has; a run must end.
const LIVES_MAX: usize = 8;

/// How long work on files may go on after the last statement: late effects come within 20 s.
const CLEANUP_MAX: Duration = Duration::from_secs(3_600);

/// What came of a seed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) log: Vec<String>,
    pub(crate) counts: BTreeMap<String, u64>,
    /// What must not be.
    pub(crate) findings: Vec<String>,
}

/// Runs one seed, on a runtime of its own whose time passes only when everybody waits.
///
/// What is `planted` makes the run lose something, which it must find.
pub(crate) fn run(seed: u64, planted: Option<Planted>) -> Report {
    let time = Arc::new(Time::default());
    let clock = Arc::clone(&time);
    let turns = Arc::new(Turns::default());
    let tasks_turns = Arc::clone(&turns);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let tasks = builder
        .on_thread_park(move || {
            if !tasks_turns.pass() {
                clock.pass();
            }
        })
        .build()
        .unwrap();
    let mut random = Random::of_case(seed, 0);
    let faults = Faults::of_seed(&mut random);
    let world = Arc::new(World::new(seed, Arc::clone(&time), faults, planted));
    let whole = simulate(Arc::clone(&world), random);
    let ended = runtime::on_this_thread(turns, || {
        let ended = tasks.block_on(time.run(whole));
        // What still waits is dropped where it ran.
        drop(tasks);
        ended
    });
    let stuck = || vec!["everybody waits, and nothing comes".to_owned()];
    Report {
        findings: ended.unwrap_or_else(stuck),
        log: world.log(),
        counts: world.counts(),
    }
}

async fn simulate(world: Arc<World>, mut random: Random) -> Vec<String> {
    if let Err(error) = make_table(&world, &mut random).await {
        return vec![format!("the table could not be made: {error}")];
    }
    let ledger = Ledger::default();
    world.set_calm(false);
    let processes = random.within(2..4);
    let lives: Vec<_> = (0..processes)
        .map(|number| {
            let actors = vec![
                Actor::new(format!("w{number}.0"), true, random.within(2..6)),
                Actor::new(format!("w{number}.1"), true, random.within(1..5)),
                Actor::new(format!("r{number}"), false, random.within(1..5)),
            ];
            live(&world, &ledger, number, actors)
        })
        .collect();
    join_all(lives).await;
    world.set_calm(true);
    world.settle().await;
    match check(&world, &ledger).await {
        Ok(findings) => findings,
        Err(finding) => vec![finding],
    }
}

/// Holds everything that is left of the run against what its actors were told.
async fn check(world: &Arc<World>, ledger: &Ledger) -> std::result::Result<Vec<String>, String> {
    let process = Arc::new(Process::new(Arc::clone(world), "check".to_owned()));
    let unreadable = |error: Error| format!("the table cannot be read: {error}");
    let lake = open(&process).await.map_err(unreadable)?;
    let table = lake.table("t").await.map_err(unreadable)?;
    let states = history::states(world, table.metadata_location()).await?;
    let has_row_ids = table.format_version() >= FormatVersion::V3;
    let mut found = scan::all(&lake, has_row_ids).await.map_err(unreadable)?;
    world.spoil(&mut found);
    let records = ledger.records();
    let checker = Checker::new(&states, &records, &found, world.may_fail());
    let (mut findings, seen) = checker.check(&ledger.reads());
    for name in seen {
        world.count(&format!("{name} {SEEN}"));
    }
    let mut files = Files::list(world).await;
    for snapshot in table.snapshots() {
        if let Err(finding) = files.check(table.metadata(), &snapshot).await {
            findings.push(format!("snapshot {}: {finding}", snapshot.snapshot_id()));
        }
    }
    if !world.may_leave_files() {
        let unnamed = files.unnamed(table.metadata_location()).into_iter();
        findings.extend(unnamed.map(|file| format!("{file} is left behind")));
        world.count("looked for what is left behind");
    }
    for _ in &states {
        world.count("swaps");
    }
    Ok(findings)
}

/// Makes the table of the run, in a process of its own that nothing disturbs.
async fn make_table(world: &Arc<World>, random: &mut Random) -> Result<()> {
    let process = Arc::new(Process::new(Arc::clone(world), "first".to_owned()));
    let lake = open(&process).await?;
    let partitioned = random.pick(&["", "PARTITIONED BY (p)", "PARTITIONED BY (bucket(2, k))"]);
    world.set_manner(Manner {
        habit: *random.pick(&[Habit::None, Habit::None, Habit::Audits, Habit::Branches]),
        by_part: partitioned.contains("(p)"),
    });
    let mode = random.pick(&["copy-on-write", "merge-on-read"]);
    let isolation = random.pick(&["serializable", "serializable", "snapshot", "none"]);
    let version = random.pick(&["2", "3", "3"]);
    let mut properties = vec![
        format!("'format-version' = '{version}'"),
        "'commit.status-check.min-wait-ms' = '20'".to_owned(),
        // What rows are lost does not depend on the codec, and how many seeds are done does.
        "'write.parquet.compression-codec' = 'uncompressed'".to_owned(),
        format!(
            "'commit.manifest.min-count-to-merge' = '{}'",
            random.within(2..6)
        ),
    ];
    for statement in ["delete", "update", "merge"] {
        if random.chance(700) {
            properties.push(format!("'write.{statement}.mode' = '{mode}'"));
        }
        properties.push(format!(
            "'write.{statement}.isolation-level' = '{isolation}'"
        ));
    }
    let namespace = "CREATE SCHEMA IF NOT EXISTS default";
    let table = format!(
        "CREATE TABLE t (k BIGINT NOT NULL, p BIGINT NOT NULL, v BIGINT NOT NULL, s BIGINT NOT NULL) {partitioned} TBLPROPERTIES ({})",
        properties.join(", ")
    );
    let session = lake.session()?;
    for statement in [namespace, &table] {
        world.tell("first", statement);
        session.sql(statement).await?.collect().await?;
    }
    Ok(())
}

/// A process from its first life to its last.
async fn live(world: &Arc<World>, ledger: &Ledger, number: usize, mut actors: Vec<Actor>) {
    for life in 0..LIVES_MAX {
        let name = format!("p{number}.{life}");
        let process = Arc::new(Process::new(Arc::clone(world), name));
        let lake = match open(&process).await {
            Ok(lake) => lake,
            Err(error) => panic!("{error}"),
        };
        let work = actors
            .iter_mut()
            .map(|actor| actor.run(&process, &lake, ledger));
        let whole = async {
            join_all(work).await;
            // What was given up is still cleaned up.
            lake.work_ended(CLEANUP_MAX).await
        };
        let is_done = tokio::select! {
            biased;
            () = process.crashed() => false,
            has_ended = whole => {
                assert!(has_ended, "work on files goes on");
                true
            }
        };
        if is_done {
            return;
        }
        process.tell("crashed");
        for actor in &mut actors {
            actor.crashed(world.now_ms(), ledger);
        }
        let pause = world.random().next() % 300;
        world.time.sleep(Duration::from_millis(pause)).await;
    }
}
