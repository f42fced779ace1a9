//! C and J: several writers on one lake, and what stands in the files they write.

use futures::future::join_all;
use iceberg::spec::{Manifest, ManifestList};

use crate::lake::TestLake;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c05_c06_c07_rows_of_all_writers_survive() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (writer INT, n INT)").await;
    let lakes = [lake.lake.clone(), lake.reopen().await, lake.reopen().await];
    let writers = lakes.iter().enumerate().map(|(writer, lake)| {
        let session = lake.session().unwrap();
        async move {
            for n in 0..5 {
                let insert = format!("INSERT INTO t VALUES ({writer}, {n})");
                session.sql(&insert).await.unwrap();
            }
        }
    });
    join_all(writers).await;
    assert_eq!(lake.rows("SELECT count(*), count(DISTINCT writer * 10 + n) FROM t").await, ["15|15"]);
    let names = "SELECT count(*), count(DISTINCT path) FROM t.manifests";
    let names = lake.one(names).await;
    let (all, distinct) = names.split_once('|').unwrap();
    assert_eq!(all, distinct);
    let lists = "SELECT count(*) = count(DISTINCT manifest_list) FROM t.snapshots";
    assert_eq!(lake.one(lists).await, "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c08_two_first_inserts_both_stay() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (n INT)").await;
    let other = lake.reopen().await.session().unwrap();
    let (first, second) = futures::join!(
        lake.session.sql("INSERT INTO t VALUES (1)"),
        other.sql("INSERT INTO t VALUES (2)"),
    );
    first.unwrap();
    second.unwrap();
    assert_eq!(lake.rows("SELECT n FROM t ORDER BY n").await, ["1", "2"]);
    let roots = "SELECT count(*) FROM t.snapshots WHERE parent_id IS NULL";
    assert_eq!(lake.one(roots).await, "1");
}

#[tokio::test]
async fn c18_totals_build_on_the_parents() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (n INT); INSERT INTO t VALUES (1), (2); INSERT INTO t VALUES (3); \
         INSERT INTO t VALUES (4), (5), (6)",
    )
    .await;
    let totals = "SELECT summary['total-records'], summary['total-data-files'] FROM t.snapshots \
                  ORDER BY committed_at";
    assert_eq!(lake.rows(totals).await, ["2|1", "3|2", "6|3"]);
}

#[tokio::test]
async fn c19_a_table_stays_itself() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (n INT)").await;
    let before = lake.lake.table("t").await.unwrap().metadata().uuid();
    lake.run("INSERT INTO t VALUES (1); ALTER TABLE t CREATE TAG x").await;
    assert_eq!(lake.reopen().await.table("t").await.unwrap().metadata().uuid(), before);
    lake.run("DROP TABLE t; CREATE TABLE t (n INT)").await;
    assert_ne!(lake.lake.table("t").await.unwrap().metadata().uuid(), before);
}

#[tokio::test]
async fn j01_j02_c17_c20_manifests_are_whole() {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT NOT NULL, v VARCHAR) PARTITIONED BY (bucket(2, id)); \
         INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO t VALUES (4, 'd')",
    )
    .await;
    let table = lake.lake.table("t").await.unwrap();
    let location = table.snapshot().unwrap().manifest_list();
    let bytes = table.storage().read(location).await.unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"field-id\":500"));
    let list = ManifestList::parse_with_version(&bytes, table.format_version()).unwrap();
    for manifest in list.entries() {
        assert!(manifest.added_files_count.is_some(), "{manifest:?}");
        assert!(manifest.added_rows_count.is_some(), "{manifest:?}");
        let bytes = table.storage().read(&manifest.manifest_path).await.unwrap();
        let header = String::from_utf8_lossy(&bytes).into_owned();
        assert!(header.contains("\"field-id\":100"));
        let (entries, metadata) = Manifest::parse_avro(&bytes).unwrap().into_parts();
        assert_eq!(metadata.schema().as_struct(), table.schema().as_struct());
        assert!(entries.iter().all(|entry| entry.sequence_number().is_none()));
        let data = iceberg::spec::DataContentType::Data;
        assert!(entries.iter().all(|entry| entry.content_type() == data));
    }
}
