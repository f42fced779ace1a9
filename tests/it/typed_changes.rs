//! Changes of rows by calls: the same as the statements.

use std::sync::Arc;

use arrow::datatypes::DataType;
use lakehouse::ErrorKind;
use lakehouse::datafusion::logical_expr::out_ref_col;
use lakehouse::datafusion::prelude::{col, exists, lit};
use lakehouse::sql::ChangeCounts;

use crate::lake::TestLake;

async fn filled() -> TestLake {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (id BIGINT, v INT, s STRUCT<a INT, b VARCHAR>);
         INSERT INTO t VALUES (1, 10, {'a': 1, 'b': 'x'}), (2, 20, NULL), (3, NULL, NULL);
         CREATE TABLE s (id BIGINT, v INT);
         INSERT INTO s VALUES (1, 11), (4, 44), (NULL, 0)",
    )
    .await;
    lake
}

#[tokio::test]
async fn rows_are_deleted_and_updated() {
    let lake = filled().await;
    let change = || async { lake.session.change("t").await.unwrap() };
    let counts = change()
        .await
        .delete(col("v").gt_eq(lit(20)))
        .await
        .unwrap();
    assert_eq!(counts.deleted, 1);
    let update = change().await.update().set("v", col("t.id") + lit(100));
    let update = update.set("s.a", lit(7)).filter(col("id").lt(lit(3)));
    let counts = update.execute().await.unwrap();
    let expected = ChangeCounts {
        updated: 1,
        ..ChangeCounts::default()
    };
    assert_eq!(counts, expected);
    assert_eq!(
        lake.sorted("SELECT id, v, s FROM t").await,
        ["1|101|{a: 7, b: x}", "3|NULL|NULL"]
    );
    let all = change().await.delete(lit(true)).await.unwrap();
    assert_eq!(all.deleted, 2);
}

#[tokio::test]
async fn rows_are_merged() {
    let lake = filled().await;
    let source = lake.session.table("s").await.unwrap();
    let target = lake.session.change("t").await.unwrap().with_alias("d");
    let merge = target
        .merge(source, "s")
        .on(col("d.id").eq(col("s.id")))
        .when_matched()
        .and(col("s.v").gt(lit(10)))
        .update([("v", col("d.v") + col("s.v"))])
        .when_not_matched()
        .and(col("s.id").is_not_null())
        .insert([("id", col("s.id")), ("v", lit("5"))])
        .when_not_matched_by_source()
        .and(col("d.v").is_null())
        .delete();
    let counts = merge.execute().await.unwrap();
    let expected = ChangeCounts {
        inserted: 1,
        updated: 1,
        deleted: 1,
    };
    assert_eq!(counts, expected);
    assert_eq!(
        lake.sorted("SELECT id, v FROM t").await,
        ["1|21", "2|20", "4|5"]
    );
}

#[tokio::test]
async fn c13_rows_read_from_the_target_before_others_committed_are_read_again() {
    let lake = filled().await;
    let session = &lake.session;
    let merged = |source| async {
        let target = session.change("t").await.unwrap().with_alias("d");
        let merge = target.merge(source, "s").on(col("d.id").eq(col("s.id")));
        let merge = merge.when_matched().update([("v", col("s.v") + lit(1))]);
        merge.execute().await
    };
    lake.run("ALTER TABLE t CREATE TAG first").await;
    let before = session.table("t").await.unwrap();
    lake.run("UPDATE t SET v = 1000 WHERE id = 1").await;
    let error = merged(before.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("read it again"), "{error}");
    let unchanged = ["1|1000", "2|20", "3|NULL"];
    assert_eq!(lake.sorted("SELECT id, v FROM t").await, unchanged);
    // What is asked for by its version is what is wanted.
    let version = session.table("t.tag_first").await.unwrap();
    merged(version).await.unwrap();
    let as_then = ["1|11", "2|21", "3|NULL"];
    assert_eq!(lake.sorted("SELECT id, v FROM t").await, as_then);
    let now = session.table("t").await.unwrap();
    merged(now).await.unwrap();
    assert_eq!(
        lake.sorted("SELECT id, v FROM t").await,
        ["1|12", "2|22", "3|NULL"]
    );
    lake.run("ALTER TABLE t SET TBLPROPERTIES ('write.merge.isolation-level' = 'snapshot')")
        .await;
    merged(before).await.unwrap();
    assert_eq!(lake.sorted("SELECT id, v FROM t").await, as_then);
}

#[tokio::test]
async fn what_statements_refuse_calls_refuse() {
    let lake = filled().await;
    let change = || async { lake.session.change("t").await.unwrap() };
    let update = change().await.update().set("v", lit(1)).set("V", lit(2));
    let error = update.execute().await.unwrap_err();
    assert!(error.to_string().contains("assigned twice"), "{error}");
    let error = change().await.update().set("v", lit(1.5)).execute().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    let source = || async { lake.session.table("s").await.unwrap() };
    let merge = change().await.merge(source().await, "s");
    let merge = merge.on(col("t.id").eq(col("s.id")));
    let unreached = merge
        .clone()
        .when_matched()
        .delete()
        .when_matched()
        .delete();
    assert!(unreached.execute().await.is_err());
    let absent = merge
        .clone()
        .when_not_matched()
        .insert([("id", col("t.id"))]);
    let error = absent.execute().await.unwrap_err();
    assert!(error.to_string().contains("the target"), "{error}");
    let by_source = merge.clone().when_not_matched_by_source().update_all();
    let error = by_source.execute().await.unwrap_err();
    assert!(
        error.to_string().contains("takes a row of the source"),
        "{error}"
    );
    let named = lake.session.table("s").await.unwrap();
    let named = named.filter(col("v").eq(out_ref_col(DataType::Int32, "t.v")));
    let named = exists(Arc::new(named.unwrap().into_unoptimized_plan()));
    let absent = merge.clone().when_not_matched().and(named);
    let error = absent.insert([("id", lit(1))]).execute().await.unwrap_err();
    assert!(error.to_string().contains("the target"), "{error}");
    let missing = merge.when_not_matched().insert_all();
    let error = missing.execute().await.unwrap_err();
    assert!(error.to_string().contains("has no \"s\""), "{error}");
    let error = lake.session.change("t.snapshots").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(lake.one("SELECT count(*), sum(v) FROM t").await, "3|30");
}
