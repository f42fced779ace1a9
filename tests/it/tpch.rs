//! The 22 queries of TPC-H, with much memory and with little, beside the engine alone on the same
//! data files.

#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the comparison of engines, which uses more of it"
)]
#[path = "../../benches/src/tpch.rs"]
mod data;

use std::sync::LazyLock;

use datafusion::prelude::{ParquetReadOptions, SessionContext};
use lakehouse::{ErrorKind, Lakehouse, Result, Session, Settings};
use lakehouse_testkit::Answer;
use tempfile::TempDir;
use tpchgen::distribution::Distributions;
use tpchgen::text::TextPool;

use crate::lake::{rows_of, settings};

const SCALE: f64 = 0.02;
/// Several files for the large tables.
const LINES_PER_COMMIT: f64 = 20_000.0;
/// So little that hash tables of the larger joins do not fit, and sorts and aggregates spill.
const LITTLE_BYTES: u64 = 20 << 20;
/// So little that some queries are refused.
const TOO_LITTLE_BYTES: u64 = 6 << 20;
/// A query that spills in little memory.
const SPILLING: usize = 21;
/// Comments are cut from a text of this size; the standard's takes long to make.
const TEXT_BYTES: i32 = 1 << 20;
static TEXT: LazyLock<TextPool> =
    LazyLock::new(|| TextPool::new(TEXT_BYTES, Distributions::static_default()));

async fn open(folder: &TempDir, memory_budget_bytes: Option<u64>) -> Lakehouse {
    let settings = Settings {
        memory_budget_bytes,
        ..settings()
    };
    let builder = Lakehouse::builder().location(folder.path().to_str().unwrap());
    builder.settings(settings).build().await.unwrap()
}

/// The engine with its defaults, on the data files of the session's tables.
async fn bare_engine(session: &Session) -> SessionContext {
    let context = SessionContext::new();
    for table in data::tables() {
        let files = format!("SELECT file_path FROM {table}.files");
        let files = rows_of(session.sql(&files).await.unwrap()).await.unwrap();
        let options = ParquetReadOptions::default();
        let rows = context.read_parquet(files, options).await.unwrap();
        context.register_table(table, rows.into_view()).unwrap();
    }
    context
}

async fn answer(session: &Session, sql: &str) -> Result<Answer> {
    Answer::of(&session.sql(sql).await?.collect().await?)
}

/// How often the operators of a query wrote to disk what did not fit.
async fn spills(session: &Session, sql: &str) -> usize {
    let analysed = session.sql(&format!("EXPLAIN ANALYZE VERBOSE {sql}")).await;
    let plan = rows_of(analysed.unwrap()).await.unwrap().join("\n");
    let counts = plan.split("spill_count=").skip(1);
    counts
        .filter_map(|text| {
            text.split(|sign: char| !sign.is_ascii_digit())
                .next()?
                .parse::<usize>()
                .ok()
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tpch_is_answered_as_by_the_bare_engine_with_much_memory_and_with_little() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder, None).await;
    let load = data::Load {
        scale: SCALE,
        lines_per_commit: LINES_PER_COMMIT,
        text: Some(&TEXT),
    };
    data::load(&lake, load, |_| true, "").await.unwrap();
    let ample = lake.session().unwrap();
    let little = open(&folder, Some(LITTLE_BYTES)).await.session().unwrap();
    let too_little = open(&folder, Some(TOO_LITTLE_BYTES)).await;
    let too_little = too_little.session().unwrap();
    let bare = bare_engine(&ample).await;

    let mut wrong = Vec::new();
    let mut refused = 0;
    for number in 1..=data::QUERY_COUNT {
        let sql = data::query(number).unwrap();
        let expected = bare.sql(sql).await.unwrap().collect().await.unwrap();
        let expected = Answer::of(&expected).unwrap();
        assert!(!expected.rows.is_empty(), "Q{number} shows nothing");
        for (memory, session) in [
            ("much", &ample),
            ("little", &little),
            ("too little", &too_little),
        ] {
            let difference = match answer(session, sql).await {
                Ok(answer) => expected.difference(&answer, &data::order(number)),
                Err(error)
                    if memory == "too little" && error.kind() == ErrorKind::ResourcesExhausted =>
                {
                    refused += 1;
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(text) = difference {
                wrong.push(format!("Q{number} with {memory} memory: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused < data::QUERY_COUNT / 2, "{refused} were refused");
    let sql = data::query(SPILLING).unwrap();
    assert!(spills(&little, sql).await > 0, "nothing was spilled");
    assert_eq!(spills(&ample, sql).await, 0);
}
