//! What a statement costs before it reads data: a version found, a lake opened, ten thousand files
//! planned.

use std::error::Error;

use criterion::Criterion;
use futures::StreamExt;
use lakehouse::core::settings::{Durability, Settings};
use lakehouse::{Lakehouse, Version};
use tokio::runtime::Runtime;

/// Commits of the table whose versions are looked for.
const COMMITS: i64 = 200;

/// Files of the table that is planned, and of one commit to it.
const FILES: i64 = 10_000;
const FILES_PER_COMMIT: i64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let location = folder.path().join("lake").to_string_lossy().into_owned();
    // Only the making of the tables writes, and it is not measured.
    let settings = Settings {
        durability: Durability::None,
        ..Settings::default()
    };
    let lake = runtime.block_on(async {
        let builder = Lakehouse::builder()
            .location(&location)
            .create(true)
            .settings(settings);
        let lake = builder.build().await?;
        prepare(&lake).await?;
        Ok::<_, lakehouse::Error>(lake)
    })?;
    let mut criterion = Criterion::default().configure_from_args();
    resolve(&mut criterion, &runtime, &lake)?;
    open(&mut criterion, &runtime, &location);
    plan(&mut criterion, &runtime, &lake, &location)?;
    criterion.final_summary();
    Ok(())
}

async fn prepare(lake: &Lakehouse) -> lakehouse::Result<()> {
    let session = lake.session()?;
    let run = async |sql: String| -> lakehouse::Result<()> {
        session.sql(&sql).await?.collect().await.map(drop)
    };
    run("CREATE TABLE versions (id BIGINT)".to_owned()).await?;
    for commit in 0..COMMITS {
        run(format!("INSERT INTO versions VALUES ({commit})")).await?;
    }
    run("CREATE TABLE files (id BIGINT, name VARCHAR) PARTITIONED BY (id)".to_owned()).await?;
    for first in (0..FILES).step_by(usize::try_from(FILES_PER_COMMIT).unwrap_or(1)) {
        let last = first + FILES_PER_COMMIT - 1;
        run(format!(
            "INSERT INTO files SELECT value, 'row' FROM generate_series({first}, {last})"
        ))
        .await?;
    }
    Ok(())
}

/// From a time or an id to the snapshot, through SQL and through the Rust API.
fn resolve(
    criterion: &mut Criterion,
    runtime: &Runtime,
    lake: &Lakehouse,
) -> Result<(), Box<dyn Error>> {
    let table = runtime.block_on(lake.table("default.versions"))?;
    let history = table.history();
    let middle = history
        .get(history.len() / 2)
        .ok_or("the table has a history")?;
    let time = middle.made_current_at_ms;
    let session = lake.session()?;
    let id = middle.snapshot_id;
    let sql = format!("EXPLAIN SELECT * FROM versions FOR SYSTEM_VERSION AS OF {id}");
    criterion.bench_function("resolve/as of a time, in Rust", |bencher| {
        bencher.iter(|| table.at(Version::Timestamp(time)));
    });
    criterion.bench_function("resolve/as of a version, explained", |bencher| {
        bencher
            .to_async(runtime)
            .iter(|| async { session.sql(&sql).await?.collect().await });
    });
    Ok(())
}

/// From nothing to the first row of a small table, in a warm process.
fn open(criterion: &mut Criterion, runtime: &Runtime, location: &str) {
    criterion.bench_function("open/to the first row", |bencher| {
        bencher.to_async(runtime).iter(|| async {
            let lake = Lakehouse::open(location).await?;
            let sql = "SELECT * FROM versions LIMIT 1";
            let mut rows = lake.session()?.sql(sql).await?.into_stream();
            let first = rows.next().await.transpose()?;
            Ok::<_, lakehouse::Error>(first)
        });
    });
}

/// Plans a query on ten thousand files of which one or all are read.
fn plan(
    criterion: &mut Criterion,
    runtime: &Runtime,
    lake: &Lakehouse,
    location: &str,
) -> lakehouse::Result<()> {
    let one = "EXPLAIN SELECT * FROM files WHERE id = 5000";
    let all = "EXPLAIN SELECT * FROM files";
    let session = lake.session()?;
    for (name, sql) in [("one of 10,000 files", one), ("10,000 files", all)] {
        criterion.bench_function(&format!("plan/{name}, warm"), |bencher| {
            bencher
                .to_async(runtime)
                .iter(|| async { session.sql(sql).await?.collect().await });
        });
        criterion.bench_function(&format!("plan/{name}, cold"), |bencher| {
            bencher.to_async(runtime).iter(|| async {
                let lake = Lakehouse::open(location).await?;
                lake.session()?.sql(sql).await?.collect().await
            });
        });
    }
    Ok(())
}
