//! Columns that every table has and no `*` shows.

use lakehouse::ErrorKind;
use lakehouse::core::scan::MetadataColumn;

use crate::lake::TestLake;

async fn two_files() -> TestLake {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (id INT, p VARCHAR) PARTITIONED BY (p); \
         INSERT INTO t VALUES (1, 'x'), (2, 'x'); \
         ALTER TABLE t CREATE TAG first; \
         INSERT INTO t VALUES (3, NULL)",
    )
    .await;
    lake
}

#[tokio::test]
async fn they_come_when_named_and_only_then() {
    let lake = two_files().await;
    assert_eq!(
        lake.sorted("SELECT * FROM t").await,
        ["1|x", "2|x", "3|NULL"]
    );
    let files = lake.sorted("SELECT file_path FROM t.files").await;
    let mut named = lake.sorted("SELECT DISTINCT _file FROM t").await;
    named.sort_unstable();
    assert_eq!(named, files);
    assert_eq!(
        lake.rows("SELECT id, _POS, _spec_id, _partition, _deleted FROM t ORDER BY id")
            .await,
        [
            "1|0|0|{p: x}|false",
            "2|1|0|{p: x}|false",
            "3|0|0|{p: NULL}|false"
        ]
    );
    assert_eq!(
        lake.rows("SELECT *, _pos FROM t WHERE _pos > 0").await,
        ["2|x|1"]
    );
    assert_eq!(lake.rows("SELECT * FROM t WHERE _pos = 1").await, ["2|x"]);
    assert_eq!(
        lake.rows("SELECT t.* FROM t WHERE t._pos = 1").await,
        ["2|x"]
    );
    for shown in ["DESCRIBE t", "SHOW COLUMNS IN t"] {
        let rows = lake.rows(shown).await.join("\n");
        assert!(!rows.contains("_pos"), "{rows}");
    }
    let columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 't'";
    assert_eq!(lake.sorted(columns).await, ["id", "p"]);
}

#[tokio::test]
async fn they_are_columns_like_others() {
    let lake = two_files().await;
    lake.run(
        "CREATE TABLE u (id INT, _spec_id VARCHAR); INSERT INTO u VALUES (1, 'mine'), (3, 'too')",
    )
    .await;
    for (query, rows) in [
        (
            "SELECT max(_pos), count(*) FROM t GROUP BY _file ORDER BY 2",
            vec!["0|1", "1|2"],
        ),
        (
            "SELECT a.id FROM t a JOIN t b ON a._file = b._file AND a._pos = b._pos ORDER BY 1",
            vec!["1", "2", "3"],
        ),
        (
            "SELECT * FROM t a JOIN t b ON a._file = b._file AND a._pos = b._pos WHERE a.id = 1",
            vec!["1|x|1|x"],
        ),
        (
            "SELECT b.*, a._pos FROM t a JOIN u b USING (id) ORDER BY 1",
            vec!["1|mine|0", "3|too|0"],
        ),
        (
            "SELECT id FROM t WHERE _pos = (SELECT max(_pos) FROM t)",
            vec!["2"],
        ),
        (
            "SELECT id FROM u WHERE EXISTS (SELECT 1 FROM t WHERE t.id = u.id AND _pos = 0) ORDER BY id",
            vec!["1", "3"],
        ),
        (
            "SELECT * FROM (SELECT id, _pos AS place FROM t) WHERE place = 1",
            vec!["2|1"],
        ),
        (
            "WITH c AS (SELECT *, _pos FROM t) SELECT * FROM c WHERE _pos = 1",
            vec!["2|x|1"],
        ),
        (
            "SELECT _pos, id FROM t VERSION AS OF 'first' ORDER BY id",
            vec!["0|1", "1|2"],
        ),
        (
            "SELECT x.id FROM t.tag_first x WHERE x._partition.p = 'x' ORDER BY 1",
            vec!["1", "2"],
        ),
        ("SELECT id FROM t WHERE _partition['p'] IS NULL", vec!["3"]),
        // A column of the table hides the metadata column of its name.
        ("SELECT _spec_id FROM u ORDER BY id", vec!["mine", "too"]),
        ("SELECT * FROM u ORDER BY id", vec!["1|mine", "3|too"]),
        // An alias of the query is what ORDER BY and GROUP BY mean.
        (
            "SELECT id % 2 AS _pos, count(*) FROM t GROUP BY _pos ORDER BY _pos",
            vec!["0|1", "1|2"],
        ),
        ("SELECT count(_pos) FROM t", vec!["3"]),
    ] {
        assert_eq!(lake.rows(query).await, rows, "{query}");
    }
    assert!(
        lake.fails("SELECT _pos FROM t a, t b")
            .await
            .to_string()
            .contains("mbiguous")
    );
    assert_eq!(
        lake.fails("SELECT _partition FROM u").await.kind(),
        ErrorKind::NotFound
    );
    // NATURAL joins by the tables' own columns.
    let natural = "SELECT a._pos, b._pos FROM t a NATURAL JOIN t b ORDER BY 1";
    assert_eq!(lake.rows(natural).await, ["0|0", "1|1"]);
    lake.run("CREATE TABLE copy AS SELECT *, _file AS file FROM t; INSERT INTO t SELECT * FROM t WHERE _pos = 1")
        .await;
    assert_eq!(lake.sorted("SELECT id FROM t").await, ["1", "2", "2", "3"]);
    assert_eq!(lake.one("SELECT count(DISTINCT file) FROM copy").await, "2");
}

#[tokio::test]
async fn files_are_pruned_by_them() {
    let lake = two_files().await;
    let path = lake.one("SELECT _file FROM t WHERE id = 3").await;
    for condition in [
        format!("_file = '{path}'"),
        "_partition.p IS NULL".to_owned(),
        "_spec_id = 0 AND _partition['p'] IS DISTINCT FROM 'x'".to_owned(),
    ] {
        let query = format!("SELECT id FROM t WHERE {condition}");
        assert_eq!(lake.rows(&query).await, ["3"]);
        let plan = lake.rows(&format!("EXPLAIN {query}")).await.join("\n");
        assert!(plan.contains("files=1/2"), "{plan}");
    }
    assert_eq!(
        lake.rows("SELECT id FROM t WHERE _spec_id <> 0").await,
        [""; 0]
    );
    assert_eq!(
        lake.one("SELECT count(*) FROM t WHERE _file LIKE '%.parquet'")
            .await,
        "3"
    );
}

#[tokio::test]
async fn row_ids_follow_the_place_of_a_row() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE v2 (id INT); INSERT INTO v2 VALUES (1); \
         CREATE TABLE t (id INT) TBLPROPERTIES ('format-version' = '3'); \
         INSERT INTO t VALUES (1), (2); INSERT INTO t VALUES (3)",
    )
    .await;
    let lineage = "_row_id, _last_updated_sequence_number";
    assert_eq!(
        lake.rows(&format!("SELECT id, {lineage} FROM t ORDER BY id"))
            .await,
        ["1|0|1", "2|1|1", "3|2|2"]
    );
    assert_eq!(lake.rows("SELECT id FROM t WHERE _row_id = 1").await, ["2"]);
    assert_eq!(
        lake.rows(&format!("SELECT {lineage} FROM v2")).await,
        ["NULL|NULL"]
    );
}

#[tokio::test]
async fn data_frames_have_them_too() {
    let lake = two_files().await;
    let frame = lake.session.table_with_metadata_columns("t").await.unwrap();
    let names: Vec<String> = frame
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    let expected = MetadataColumn::ALL.iter().map(|column| column.name());
    assert_eq!(names[2..], expected.collect::<Vec<_>>());
    let rows = frame
        .select_columns(&["_pos", "id"])
        .unwrap()
        .collect()
        .await
        .unwrap();
    assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
    let plain = lake.session.table("t").await.unwrap();
    assert_eq!(plain.schema().fields().len(), 2);
}
