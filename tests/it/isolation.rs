//! Statements that read their own target again, while somebody else writes to it.
//!
//! Each reads from a gate as well, so that it has chosen what it reads before the other commits.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use lakehouse::ErrorKind;
use lakehouse::core::runtime::spawn;
use tokio::sync::Semaphore;

use crate::lake::{TestLake, rows_of};

/// A table of the ids 1 to 3 that gives no row before it is opened.
#[derive(Debug)]
struct Gate {
    schema: SchemaRef,
    reached: Arc<Semaphore>,
    opened: Arc<Semaphore>,
}

impl PartitionStream for Gate {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, reached) = (Arc::clone(&self.schema), Arc::clone(&self.reached));
        let opened = Arc::clone(&self.opened);
        let rows = async move {
            reached.add_permits(1);
            opened.acquire().await.unwrap().forget();
            let ids = Arc::new(Int64Array::from(vec![1, 2, 3]));
            Ok(RecordBatch::try_new(schema, vec![ids])?)
        };
        let stream = futures::stream::once(rows);
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream,
        ))
    }
}

/// One row in each of three partitions.
async fn filled(properties: &str) -> TestLake {
    let lake = TestLake::memory().await;
    lake.run(&format!(
        "CREATE TABLE t (id BIGINT, part VARCHAR, v BIGINT) PARTITIONED BY (part)
           TBLPROPERTIES ({properties});
         INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30)"
    ))
    .await;
    lake
}

/// Runs a statement that reads from `gate`, and while it waits there the other.
async fn interleaved(
    lake: &TestLake,
    statement: &str,
    other: &str,
) -> lakehouse::Result<Vec<String>> {
    let session = lake.lake.session().unwrap();
    let schema = Schema::new(vec![Field::new("id", DataType::Int64, false)]);
    let gate = Gate {
        schema: Arc::new(schema),
        reached: Arc::new(Semaphore::new(0)),
        opened: Arc::new(Semaphore::new(0)),
    };
    let (reached, opened) = (Arc::clone(&gate.reached), Arc::clone(&gate.opened));
    let table = StreamingTable::try_new(Arc::clone(&gate.schema), vec![Arc::new(gate)]).unwrap();
    session
        .context()
        .register_table("gate", Arc::new(table))
        .unwrap();
    let statement = statement.to_owned();
    let running = spawn(async move { rows_of(session.sql(&statement).await?).await });
    reached.acquire().await.unwrap().forget();
    lake.run(other).await;
    opened.add_permits(8);
    running.await.unwrap()
}

const WAYS: [&str; 3] = [
    "'format-version' = '3'",
    "'format-version' = '2', 'write.update.mode' = 'merge-on-read', \
     'write.delete.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'",
    "'format-version' = '3', 'write.update.mode' = 'copy-on-write', \
     'write.delete.mode' = 'copy-on-write', 'write.merge.mode' = 'copy-on-write'",
];

const INTO_B: &str = "INSERT INTO t VALUES (4, 'b', 99)";
const INTO_C: &str = "INSERT INTO t VALUES (4, 'c', 99)";
const CHANGE_B: &str = "UPDATE t SET v = 21 WHERE part = 'b'";
const DELETE_B: &str = "DELETE FROM t WHERE part = 'b'";
const DELETE_C: &str = "DELETE FROM t WHERE part = 'c'";

/// Statements that change partition `a` by what they read of `b`, and one that reads all.
const STATEMENTS: [(&str, &[&str], &[&str]); 6] = [
    (
        "UPDATE t SET v = (SELECT max(v) FROM t) WHERE part = 'a' AND id IN (SELECT id FROM gate)",
        &[INTO_B, INTO_C, CHANGE_B, DELETE_C],
        &[],
    ),
    (
        "DELETE FROM t WHERE part = 'a' AND id IN (SELECT id FROM gate) \
         AND v < (SELECT sum(v) FROM t AS o WHERE o.part = 'b')",
        &[INTO_B, CHANGE_B, DELETE_B],
        &[INTO_C, DELETE_C],
    ),
    (
        "DELETE FROM t WHERE part = 'a' AND id NOT IN \
         (SELECT o.id FROM T AS o JOIN gate ON o.id = gate.id WHERE o.part = 'b')",
        &[INTO_B, CHANGE_B, DELETE_B],
        &[INTO_C, DELETE_C],
    ),
    (
        "MERGE INTO t USING (SELECT o.id - 1 AS id, o.v FROM t AS o JOIN gate ON o.id = gate.id \
                             WHERE o.part = 'b') AS s \
         ON t.id = s.id AND t.part = 'a' WHEN MATCHED THEN UPDATE SET v = s.v",
        &[INTO_B, CHANGE_B, DELETE_B],
        &[INTO_C, DELETE_C],
    ),
    (
        "INSERT OVERWRITE t PARTITION (part = 'a') \
         SELECT o.id, o.v FROM t AS o JOIN gate ON o.id = gate.id WHERE o.part = 'b'",
        &[INTO_B, CHANGE_B, DELETE_B],
        &[INTO_C, DELETE_C],
    ),
    (
        "INSERT OVERWRITE t WITH ('overwrite-mode' = 'dynamic') \
         SELECT o.id, 'a', o.v FROM t AS o JOIN gate ON o.id = gate.id WHERE o.part = 'b'",
        &[INTO_B, CHANGE_B, DELETE_B],
        &[INTO_C, DELETE_C],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_what_a_statement_reads_of_its_target_must_not_change_meanwhile() {
    for way in WAYS {
        for (statement, conflicting, others) in STATEMENTS {
            for other in conflicting {
                let lake = filled(way).await;
                let error = interleaved(&lake, statement, other).await;
                let error = error.expect_err(&format!("{way}: {statement} beside {other}"));
                assert_eq!(error.kind(), ErrorKind::Conflict, "{statement}: {error}");
                let v = lake.rows("SELECT v FROM t WHERE part = 'a'").await;
                assert_eq!(v, ["10"], "{statement} beside {other}");
            }
            for other in others {
                let lake = filled(way).await;
                let done = interleaved(&lake, statement, other).await;
                done.unwrap_or_else(|error| panic!("{way}: {statement} beside {other}: {error}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_or_does_not_matter_is_no_conflict() {
    let update = "UPDATE t SET v = (SELECT max(v) FROM t) \
                  WHERE part = 'a' AND id IN (SELECT id FROM gate)";
    let lake = filled("'write.update.isolation-level' = 'snapshot'").await;
    interleaved(&lake, update, INTO_B).await.unwrap();
    assert_eq!(lake.one("SELECT v FROM t WHERE part = 'a'").await, "30");
    let overwrite = "INSERT OVERWRITE t WITH ('isolation-level' = 'none') PARTITION (part = 'a') \
                     SELECT id, v + 1 FROM t WHERE id IN (SELECT id FROM gate)";
    let lake = filled("'format-version' = '3'").await;
    interleaved(&lake, overwrite, INTO_B).await.unwrap();
    // A version stays as it is.
    let lake = filled("'format-version' = '3'").await;
    lake.run("ALTER TABLE t CREATE TAG then; ALTER TABLE t CREATE BRANCH other")
        .await;
    for version in ["t FOR VERSION AS OF 'then'", "t.branch_other"] {
        let update = update.replace("FROM t)", &format!("FROM {version})"));
        interleaved(&lake, &update, INTO_B).await.unwrap();
    }
    // Rows that are added conflict with nobody.
    let insert = "INSERT INTO t SELECT o.id, 'a', o.v FROM t AS o JOIN gate ON o.id = gate.id";
    interleaved(&lake, insert, INTO_B).await.unwrap();
}

/// A DELETE of the ids 1 to 3 beside others: how many rows it then has deleted itself.
const DELETE_ALL: &str = "DELETE FROM t WHERE id IN (SELECT id FROM gate)";

async fn in_one_file(properties: &str) -> TestLake {
    let lake = TestLake::memory().await;
    lake.run(&format!(
        "CREATE TABLE t (id BIGINT) TBLPROPERTIES ({properties});
         INSERT INTO t VALUES (1), (2), (3), (4)"
    ))
    .await;
    lake
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_two_deletes_name_are_told_by_the_one_that_was_first() {
    let positions = WAYS[1];
    for level in ["serializable", "snapshot", "none"] {
        for (other, expected) in [
            ("DELETE FROM t WHERE id = 2", "2"),
            ("DELETE FROM t WHERE id IN (1, 2, 3)", "0"),
            (
                "DELETE FROM t WHERE id = 2; DELETE FROM t WHERE id = 3",
                "1",
            ),
            ("DELETE FROM t WHERE id = 4", "3"),
            ("DELETE FROM t", "0"),
            ("ALTER TABLE t SET TBLPROPERTIES ('a' = 'b')", "3"),
        ] {
            let properties = format!("{positions}, 'write.delete.isolation-level' = '{level}'");
            let lake = in_one_file(&properties).await;
            let counts = interleaved(&lake, DELETE_ALL, other).await.unwrap();
            assert_eq!(counts, [expected], "{level}: {other}");
            let left = match other {
                "DELETE FROM t" | "DELETE FROM t WHERE id = 4" => vec![],
                _ => vec!["4"],
            };
            assert_eq!(
                lake.rows("SELECT id FROM t").await,
                left,
                "{level}: {other}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_of_one_file_conflict_by_vectors_by_rewriting_and_where_they_replace_others() {
    let vectors = "'format-version' = '3', 'write.delete.mode' = 'merge-on-read'";
    for way in [vectors, WAYS[2]] {
        for level in ["serializable", "snapshot", "none"] {
            let properties = format!("{way}, 'write.delete.isolation-level' = '{level}'");
            let lake = in_one_file(&properties).await;
            let error = interleaved(&lake, DELETE_ALL, "DELETE FROM t WHERE id = 2").await;
            assert_eq!(
                error.unwrap_err().kind(),
                ErrorKind::Conflict,
                "{properties}"
            );
            assert_eq!(
                lake.rows("SELECT id FROM t ORDER BY id").await,
                ["1", "3", "4"]
            );
        }
    }
    // Both put what they delete together with what was deleted before.
    let lake = in_one_file(WAYS[1]).await;
    lake.run("INSERT INTO t VALUES (5), (6); DELETE FROM t WHERE id = 1")
        .await;
    let error = interleaved(&lake, DELETE_ALL, "DELETE FROM t WHERE id = 2").await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Conflict);
    // Rows that went with their file need no vector.
    let lake = in_one_file(vectors).await;
    let counts = interleaved(&lake, DELETE_ALL, "DELETE FROM t")
        .await
        .unwrap();
    assert_eq!(counts, ["0"]);
}
