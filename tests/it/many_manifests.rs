//! Commits to a table of many manifests hold a bounded number of them at a time.
//!
//! Memory is counted for a whole process, so each measurement has one of its own.

use std::collections::HashMap;
use std::process::Command;

use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Datum, Literal, Struct};
use lakehouse::core::commit::{Change, CherryPick, FileChange, Isolation, RewriteManifests};
use lakehouse::core::name::Name;
use lakehouse::core::scan::{Comparison, Predicate};
use lakehouse::core::settings::{CacheSettings, Durability};
use lakehouse::core::write::WrittenFile;
use lakehouse::{Lakehouse, Session, Settings, Table};
use lakehouse_test_allocator as allocator;

use crate::lake::rows_of;

const MANIFESTS: &str = "LAKE_MANIFESTS";
const WORK: &str = "LAKE_WORK";
/// What stands before the bytes in the output of such a process.
const PEAK: &str = "peak: ";
/// Few and many; both are more than are read at a time.
const FEW: usize = 24;
const MANY: usize = 120;
const FILES_PER_MANIFEST: usize = 24;
const BOUND_BYTES: usize = 1_024;
const COLUMNS: i32 = 12;
const WORKS: [&str; 3] = ["validate", "rewrite", "cherry-pick"];

fn peak_bytes(work: &str, manifests: usize) -> usize {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "many_manifests::of_another_test"])
        .args(["--ignored", "--nocapture"])
        .env(WORK, work)
        .env(MANIFESTS, manifests.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{work}: {text}\n{errors}");
    let peak = text.lines().find_map(|line| line.split_once(PEAK));
    peak.unwrap().1.trim().parse().unwrap()
}

#[test]
fn memory_of_commits_does_not_grow_with_manifests() {
    for work in WORKS {
        let (few, many) = (peak_bytes(work, FEW), peak_bytes(work, MANY));
        // What grows is the list, and files that are changed themselves: few of each manifest.
        assert!(
            many < few * 2,
            "{work}: {few} bytes with {FEW} manifests, {many} with {MANY}"
        );
    }
}

#[tokio::test]
#[ignore = "runs in processes that another test starts"]
async fn of_another_test() {
    let Ok(work) = std::env::var(WORK) else {
        return;
    };
    let manifests = std::env::var(MANIFESTS).unwrap().parse().unwrap();
    let settings = Settings {
        durability: Durability::None,
        caches: CacheSettings {
            manifest_bytes_max: 0,
            ..CacheSettings::default()
        },
        ..Settings::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().to_str().unwrap();
    let lake = Lakehouse::builder().location(location).settings(settings);
    let lake = lake.build().await.unwrap();
    let columns: Vec<String> = (2..=COLUMNS).map(|id| format!("c{id} VARCHAR")).collect();
    let session = lake.session().unwrap();
    let create = format!(
        "CREATE TABLE t (p INT, {}) PARTITIONED BY (p) TBLPROPERTIES (
           'format-version' = '2', 'commit.manifest-merge.enabled' = 'false')",
        columns.join(", ")
    );
    session.sql(&create).await.unwrap();
    for manifest in 0..manifests {
        let files = (0..FILES_PER_MANIFEST).map(|number| file(manifest, number));
        let change = FileChange::append(&table(&lake).await, files.collect());
        commit(&lake, change).await;
    }
    let base = table(&lake).await;
    let replaced = |table: &Table| {
        FileChange::replace_partitions(table, vec![file(manifests, 0)]).staged(Some("w".to_owned()))
    };
    let change: Change = match work.as_str() {
        "validate" => {
            // A file of each manifest goes, so that all are written anew.
            commit(&lake, FileChange::delete_rows(&base, is_part(0))).await;
            FileChange::overwrite_rows(&base, is_part(1), Vec::new())
                .with_isolation(Isolation::Serializable)
                .into()
        }
        "rewrite" => {
            let bytes = number(&session, "SELECT max(length) FROM t.manifests").await;
            let sql = format!(
                "ALTER TABLE t SET TBLPROPERTIES ('commit.manifest.target-size-bytes' = '{bytes}')"
            );
            session.sql(&sql).await.unwrap();
            RewriteManifests::default().into()
        }
        _ => {
            commit(&lake, replaced(&base)).await;
            let staged = table(&lake).await.snapshots();
            let staged = staged.iter().map(|snapshot| snapshot.snapshot_id());
            let known = base.snapshots();
            let is_new = |id: &i64| known.iter().all(|known| known.snapshot_id() != *id);
            let snapshot_id = staged.into_iter().find(is_new).unwrap();
            let append = FileChange::append(&base, vec![file(manifests + 1, 1)]);
            commit(&lake, append).await;
            CherryPick { snapshot_id }.into()
        }
    };
    let held = allocator::start();
    commit(&lake, change).await;
    println!("\n{PEAK}{}", allocator::stop(held).peak_bytes);
    let files = number(&session, "SELECT count(*) FROM t.files").await;
    assert_eq!(files, expected(&work, manifests));
}

/// How many files there are after the work.
fn expected(work: &str, manifests: usize) -> usize {
    match work {
        "validate" => manifests * (FILES_PER_MANIFEST - 2),
        "rewrite" => manifests * FILES_PER_MANIFEST,
        _ => manifests * (FILES_PER_MANIFEST - 1) + 2,
    }
}

fn is_part(part: i32) -> Predicate {
    Predicate::Compare {
        field_id: 1,
        comparison: Comparison::Eq,
        literal: Datum::int(part),
    }
}

/// A file that is only named: as many in each manifest as there are partitions.
fn file(manifest: usize, number: usize) -> WrittenFile {
    let part = i32::try_from(number).unwrap();
    let bound = |id| (id, Datum::string("x".repeat(BOUND_BYTES)));
    let bounds: HashMap<i32, Datum> = (2..=COLUMNS).map(bound).collect();
    let data_file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!("/nowhere/{manifest}-{number}.parquet"))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::int(part))]))
        .record_count(3)
        .file_size_in_bytes(100)
        .lower_bounds(bounds)
        .build()
        .unwrap();
    WrittenFile {
        data_file,
        spec_id: 0,
    }
}

async fn table(lake: &Lakehouse) -> Table {
    lake.table("t").await.unwrap()
}

async fn commit(lake: &Lakehouse, change: impl Into<Change>) {
    let table = table(lake).await;
    let lake = lake.lake();
    let (_, catalog) = lake.catalog(&Name::new(lake.default_catalog())).unwrap();
    let ident = table.ident().clone();
    let committed = lake.commits().commit(catalog, &ident, change).await;
    committed.unwrap();
}

/// The one number that a query answers.
async fn number(session: &Session, query: &str) -> usize {
    let rows = rows_of(session.sql(query).await.unwrap()).await.unwrap();
    rows[0].parse().unwrap()
}
