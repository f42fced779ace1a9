//! S: schemas that change, and tables as they were.
//!
//! SQL cannot change a schema yet; another engine can, and its commits go through the catalog.

use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{NestedField, NestedFieldRef, PrimitiveType, Schema, Type};
use lakehouse::core::catalog::CommitOutcome;
use lakehouse::{ErrorKind, Lakehouse};

use crate::lake::TestLake;

/// Gives a table the columns that `change` makes of its present ones, and a new schema id.
async fn evolve(
    lake: &Lakehouse,
    table: &str,
    change: impl Fn(Vec<NestedFieldRef>) -> Vec<NestedFieldRef>,
) {
    let catalog = lake.catalog("lake").unwrap();
    let base = lake.table(table).await.unwrap().pointer().clone();
    let present = base.metadata.current_schema();
    let fields = change(present.as_struct().fields().to_vec());
    let schema = Schema::builder()
        .with_schema_id(present.schema_id() + 1)
        .with_fields(fields)
        .build()
        .unwrap();
    let updates = vec![
        TableUpdate::AddSchema { schema },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
    ];
    match catalog.commit(&base, Vec::new(), updates).await.unwrap() {
        CommitOutcome::Committed(_) => {}
        other => panic!("{other:?}"),
    }
}

fn field(id: i32, name: &str, kind: PrimitiveType) -> NestedFieldRef {
    Arc::new(NestedField::optional(id, name, Type::Primitive(kind)))
}

#[tokio::test]
async fn s01_a_renamed_column_is_found_in_old_files() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (id INT, city VARCHAR) PARTITIONED BY (truncate(1, city)); \
         INSERT INTO t VALUES (1, 'Oslo'), (2, 'Lima')",
    )
    .await;
    evolve(&lake.lake, "t", |fields| {
        vec![
            Arc::clone(&fields[0]),
            field(2, "town", PrimitiveType::String),
        ]
    })
    .await;
    lake.run("INSERT INTO t VALUES (3, 'Oslo')").await;
    assert_eq!(
        lake.sorted("SELECT id FROM t WHERE town = 'Oslo'").await,
        ["1", "3"]
    );
    assert_eq!(
        lake.rows("SELECT id FROM t WHERE town IS NULL").await,
        [""; 0]
    );
    assert_eq!(
        lake.fails("SELECT city FROM t").await.kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn s03_a_dropped_and_readded_name_shows_nothing_old() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t (id INT, v VARCHAR); INSERT INTO t VALUES (1, 'old')")
        .await;
    evolve(&lake.lake, "t", |fields| vec![Arc::clone(&fields[0])]).await;
    assert_eq!(lake.rows("SELECT * FROM t").await, ["1"]);
    evolve(&lake.lake, "t", |fields| {
        vec![Arc::clone(&fields[0]), field(3, "v", PrimitiveType::String)]
    })
    .await;
    lake.run("INSERT INTO t VALUES (2, 'new')").await;
    assert_eq!(
        lake.rows("SELECT id, v FROM t ORDER BY id").await,
        ["1|NULL", "2|new"]
    );
    assert_eq!(lake.rows("SELECT id FROM t WHERE v = 'old'").await, [""; 0]);
    assert_eq!(lake.rows("SELECT id FROM t WHERE v IS NULL").await, ["1"]);
    assert_eq!(lake.rows("SELECT max(v), count(v) FROM t").await, ["new|1"]);
}

#[tokio::test]
async fn s04_a_write_takes_the_schema_of_now() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (id INT); INSERT INTO t VALUES (1)")
        .await;
    let other = lake.reopen().await;
    assert_eq!(lake.rows("SELECT * FROM t").await, ["1"]);
    evolve(&other, "t", |fields| {
        vec![Arc::clone(&fields[0]), field(2, "v", PrimitiveType::String)]
    })
    .await;
    lake.run("INSERT INTO t VALUES (2, 'two')").await;
    assert_eq!(
        lake.rows("SELECT * FROM t ORDER BY id").await,
        ["1|NULL", "2|two"]
    );
    let table = lake.lake.table("t").await.unwrap();
    assert_eq!(table.snapshot().unwrap().schema_id(), Some(1));
}

#[tokio::test]
async fn s05_the_past_has_its_own_schema() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (id INT, v VARCHAR); INSERT INTO t VALUES (1, 'one'); \
         ALTER TABLE t CREATE TAG before; ALTER TABLE t CREATE BRANCH side",
    )
    .await;
    lake.clock.advance_ms(1_000);
    evolve(&lake.lake, "t", |fields| {
        let added = field(3, "extra", PrimitiveType::Double);
        vec![
            field(2, "renamed", PrimitiveType::String),
            Arc::clone(&fields[0]),
            added,
        ]
    })
    .await;
    lake.clock.advance_ms(1_000);
    lake.run("INSERT INTO t VALUES ('two', 2, 2.5)").await;
    assert_eq!(
        lake.sorted("SELECT * FROM t").await,
        ["one|1|NULL", "two|2|2.5"]
    );
    for past in [
        "VERSION AS OF 'before'",
        "TIMESTAMP AS OF '2026-01-01 00:00:00.5'",
    ] {
        let query = format!("SELECT * FROM t {past} WHERE v = 'one'");
        assert_eq!(lake.rows(&query).await, ["1|one"], "{past}");
    }
    // A branch is read as the table is now.
    assert_eq!(
        lake.rows("SELECT renamed, extra FROM t.branch_side").await,
        ["one|NULL"]
    );
    let joined = "SELECT now.renamed, past.v FROM t now JOIN t.tag_before past ON now.id = past.id";
    assert_eq!(lake.rows(joined).await, ["one|one"]);
}

#[tokio::test]
async fn s06_a_time_without_zone_is_the_sessions() {
    let lake = TestLake::memory().await;
    // The insert happens at midnight UTC, 2026-01-01.
    lake.run("CREATE TABLE t (id INT); INSERT INTO t VALUES (1)")
        .await;
    for (zone, at) in [
        ("UTC", "2026-01-01 00:00:00"),
        ("America/New_York", "2025-12-31 19:00:00"),
        ("+05:30", "2026-01-01 05:30:00"),
    ] {
        lake.run(&format!("SET TIME ZONE '{zone}'")).await;
        let at_that = format!("SELECT count(*) FROM t TIMESTAMP AS OF '{at}'");
        assert_eq!(lake.one(&at_that).await, "1", "{zone}");
        let typed = format!("SELECT count(*) FROM t TIMESTAMP AS OF TIMESTAMP '{at}'");
        assert_eq!(lake.one(&typed).await, "1", "{zone}");
        let earlier = format!(
            "SELECT count(*) FROM t TIMESTAMP AS OF TIMESTAMP '{at}' - INTERVAL '1 second'"
        );
        let error = lake.fails(&earlier).await;
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error.to_string().contains("UTC"),
            "the error names the zone: {error}"
        );
    }
}

#[tokio::test]
async fn s07_the_tenth_metadata_file_is_newer_than_the_ninth() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (id INT)").await;
    for id in 0..12 {
        lake.run(&format!("INSERT INTO t VALUES ({id})")).await;
    }
    let location = lake
        .lake
        .table("t")
        .await
        .unwrap()
        .metadata_location()
        .to_owned();
    assert!(location.contains("/00012-"), "{location}");
    let other = lake.reopen().await;
    assert_eq!(
        other.table("t").await.unwrap().metadata_location(),
        location
    );
}

#[tokio::test]
async fn m10_files_from_before_a_promotion_read_as_the_type_of_now() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (n INT, f FLOAT, d DECIMAL(4, 2)); \
         INSERT INTO t VALUES (1, 1.5, 1.25), (-2147483648, -1.5, -99.99)",
    )
    .await;
    evolve(&lake.lake, "t", |_| {
        let wider = PrimitiveType::Decimal {
            precision: 12,
            scale: 2,
        };
        vec![
            field(1, "n", PrimitiveType::Long),
            field(2, "f", PrimitiveType::Double),
            field(3, "d", wider),
        ]
    })
    .await;
    lake.run("INSERT INTO t VALUES (3000000000, 1e300, 1000000.25)")
        .await;
    let all = [
        "-2147483648|-1.5|-99.99",
        "1|1.5|1.25",
        "3000000000|1e300|1000000.25",
    ];
    assert_eq!(lake.rows("SELECT * FROM t ORDER BY n").await, all);
    assert_eq!(
        lake.rows("SELECT n FROM t WHERE n < 0").await,
        ["-2147483648"]
    );
    assert_eq!(
        lake.rows("SELECT n FROM t WHERE f > 2").await,
        ["3000000000"]
    );
    assert_eq!(lake.rows("SELECT n FROM t WHERE d = 1.25").await, ["1"]);
}
