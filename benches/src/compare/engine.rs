//! The engines that are compared, each over the same data files.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::io::FileIO;
use iceberg::table::StaticTable;
use iceberg_datafusion::IcebergStaticTableProvider;
use lakehouse::sql::Session;
use lakehouse::{Clock, Error, Lakehouse, Result, SystemClock};
use lakehouse_testkit::Answer;

use super::duckdb::DuckDb;
use super::machine;
use crate::tpch;

/// One table's files: what every engine reads.
#[derive(Debug, Clone)]
pub(super) struct TableFiles {
    pub(super) name: &'static str,
    pub(super) metadata: String,
    /// The snapshot to read; the current one unless given.
    pub(super) snapshot_id: Option<i64>,
    pub(super) data: Vec<String>,
}

/// The files of all tables.
#[derive(Debug)]
pub(super) struct Files(pub(super) Vec<TableFiles>);

impl Files {
    /// Asks the lake which files its tables have now.
    pub(super) async fn of(lake: &Lakehouse) -> Result<Self> {
        let session = lake.session()?;
        let mut files = Vec::new();
        for name in tpch::tables() {
            let data = data_files(&session, name).await?;
            let table = lake.table(&format!("default.{name}")).await?;
            let metadata = table.metadata_location().to_owned();
            files.push(TableFiles {
                name,
                metadata,
                snapshot_id: None,
                data,
            });
        }
        Ok(Self(files))
    }
}

/// The data files of a table without deletes.
pub(super) async fn data_files(session: &Session, table: &str) -> Result<Vec<String>> {
    let sql = format!("SELECT file_path FROM {table}.files ORDER BY file_path");
    let batches = session.sql(&sql).await?.collect().await?;
    let rows = Answer::of(&batches)?.rows;
    Ok(rows.into_iter().flatten().flatten().collect())
}

/// What one run of a query gave.
pub(super) struct Run {
    pub(super) elapsed: Duration,
    pub(super) answer: Answer,
    /// The most memory the engine's process held so far, for one that runs in its own.
    pub(super) peak_bytes: Option<u64>,
}

/// What one run of a query gave whose rows were counted and dropped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drained {
    pub(super) elapsed: Duration,
    pub(super) rows: u64,
}

/// An engine that is ready to run queries.
pub(super) enum Engine {
    Lakehouse {
        name: &'static str,
        session: Session,
    },
    DataFusion {
        name: &'static str,
        context: Box<SessionContext>,
    },
    DuckDb(DuckDb),
}

/// Engines that are ready, and those that are not with the reason.
type Started = (Vec<Engine>, Vec<(String, String)>);

/// Starts the engines of these names; one that cannot run here is left out with the reason.
pub(super) async fn start(
    names: &[String],
    lake: &Lakehouse,
    folder: &Path,
    files: &Files,
) -> Result<Started> {
    let mut engines = Vec::new();
    let mut not_run = Vec::new();
    for name in names {
        match start_one(name, lake, folder, files).await {
            Ok(engine) => engines.push(engine),
            Err(error) => {
                eprintln!("{name} is not run: {error}");
                not_run.push((name.clone(), error.to_string()));
            }
        }
    }
    Ok((engines, not_run))
}

/// Starts one engine; `lake` is open at `folder`.
pub(super) async fn start_one(
    name: &str,
    lake: &Lakehouse,
    folder: &Path,
    files: &Files,
) -> Result<Engine> {
    match name {
        "lakehouse" => Ok(Engine::Lakehouse {
            name: "lakehouse",
            session: lake.session()?,
        }),
        "lakehouse-files" => Ok(Engine::Lakehouse {
            name: "lakehouse-files",
            session: without_columns(lake, folder).await?.session()?,
        }),
        "datafusion" => {
            let context = bare_datafusion(files).await?;
            Ok(Engine::DataFusion {
                name: "datafusion",
                context: Box::new(context),
            })
        }
        "iceberg-datafusion" => {
            let context = iceberg_datafusion(files).await?;
            Ok(Engine::DataFusion {
                name: "iceberg-datafusion",
                context: Box::new(context),
            })
        }
        "duckdb-parquet" => Ok(Engine::DuckDb(DuckDb::start(
            "duckdb-parquet",
            "parquet",
            files,
        )?)),
        "duckdb-iceberg" => Ok(Engine::DuckDb(DuckDb::start(
            "duckdb-iceberg",
            "iceberg",
            files,
        )?)),
        other => Err(Error::invalid(format!("there is no engine {other}"))),
    }
}

/// The lake at `folder` opened again, so that it keeps no columns in memory.
pub(super) async fn without_columns(lake: &Lakehouse, folder: &Path) -> Result<Lakehouse> {
    let mut settings = lake.settings().clone();
    settings.caches.column_bytes_max = Some(0);
    let builder = Lakehouse::builder().location(folder.to_string_lossy());
    builder.settings(settings).build().await
}

impl Engine {
    /// The name in results.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Lakehouse { name, .. } | Self::DataFusion { name, .. } => name,
            Self::DuckDb(engine) => engine.name(),
        }
    }

    /// Runs a query from its text to its last row.
    pub(super) async fn run(&mut self, sql: &str) -> Result<Run> {
        if let Self::DuckDb(engine) = self {
            return engine.run(sql);
        }
        let clock = SystemClock;
        let started = clock.instant();
        let batches = match self {
            Self::Lakehouse { session, .. } => session.sql(sql).await?.collect().await?,
            Self::DataFusion { context, .. } => context.sql(sql).await?.collect().await?,
            Self::DuckDb(_) => Vec::new(),
        };
        let elapsed = clock.instant().duration_since(started);
        Ok(Run {
            elapsed,
            peak_bytes: None,
            answer: Answer::of(&batches)?,
        })
    }

    /// Runs a query from its text to its last row, and keeps no row.
    pub(super) async fn drain(&mut self, sql: &str) -> Result<Drained> {
        let clock = SystemClock;
        let started = clock.instant();
        let rows = match self {
            Self::Lakehouse { session, .. } => count(session.sql(sql).await?.into_stream()).await?,
            Self::DataFusion { context, .. } => {
                count(context.sql(sql).await?.execute_stream().await?).await?
            }
            Self::DuckDb(engine) => return engine.drain(sql),
        };
        let elapsed = clock.instant().duration_since(started);
        Ok(Drained { elapsed, rows })
    }
}

async fn count(rows: SendableRecordBatchStream) -> Result<u64> {
    let counted = rows.try_fold(0, async |count, batch| Ok(count + batch.num_rows() as u64));
    Ok(counted.await?)
}

/// DataFusion as it comes, over the bare Parquet files.
pub(super) async fn bare_datafusion(files: &Files) -> Result<SessionContext> {
    let context = context();
    for table in &files.0 {
        let urls = table
            .data
            .iter()
            .map(ListingTableUrl::parse)
            .collect::<Result<_, _>>()?;
        let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
            .with_session_config_options(&context.copied_config());
        let config = ListingTableConfig::new_with_multi_paths(urls)
            .with_listing_options(options)
            .infer_schema(&context.state())
            .await?;
        // The cache that tables of CREATE EXTERNAL TABLE have.
        let cache = context
            .runtime_env()
            .cache_manager
            .get_file_statistic_cache();
        let provider = ListingTable::try_new(config)?.with_cache(cache);
        context.register_table(table.name, Arc::new(provider))?;
    }
    Ok(context)
}

/// DataFusion with the format crate's own table provider.
async fn iceberg_datafusion(files: &Files) -> Result<SessionContext> {
    let context = context();
    for table in &files.0 {
        let ident = TableIdent::from_strs(["default", table.name])?;
        let io = FileIO::new_with_fs();
        let loaded = StaticTable::from_metadata_file(&table.metadata, ident, io).await?;
        let provider = IcebergStaticTableProvider::try_new_from_table(loaded.into_table()).await?;
        context.register_table(table.name, Arc::new(provider))?;
    }
    Ok(context)
}

fn context() -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(machine::cores());
    SessionContext::new_with_config(config)
}
