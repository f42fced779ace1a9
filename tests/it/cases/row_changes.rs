//! D: rows are deleted and changed as the statement says, and no others.

use crate::lake::TestLake;

/// Ways in which a table may be changed: version and mode.
const WAYS: [(u8, &str); 4] = [
    (2, "copy-on-write"),
    (2, "merge-on-read"),
    (3, "copy-on-write"),
    (3, "merge-on-read"),
];

/// A lake with a table `t` of these columns in one of the ways.
async fn lake_of((version, mode): (u8, &str), columns: &str, rest: &str) -> TestLake {
    lake_with(version, [mode; 3], columns, rest).await
}

/// As [`lake_of`], with modes of DELETE, UPDATE and MERGE.
async fn lake_with(version: u8, modes: [&str; 3], columns: &str, rest: &str) -> TestLake {
    let lake = TestLake::memory().await;
    let [delete, update, merge] = modes;
    lake.run(&format!(
        "CREATE TABLE t ({columns}) {rest} TBLPROPERTIES ('format-version' = '{version}', \
         'write.delete.mode' = '{delete}', 'write.update.mode' = '{update}', \
         'write.merge.mode' = '{merge}')"
    ))
    .await;
    lake
}

#[tokio::test]
async fn d15_repeated_deletes_keep_one_vector_per_file() {
    let lake = lake_of((3, "merge-on-read"), "id INT", "").await;
    lake.run("INSERT INTO t SELECT value FROM range(0, 100)")
        .await;
    for (round, id) in [3, 50, 99, 7].into_iter().enumerate() {
        lake.run(&format!("DELETE FROM t WHERE id = {id}")).await;
        let vectors = "SELECT count(*), sum(record_count) FROM t.delete_files";
        assert_eq!(lake.rows(vectors).await, [format!("1|{}", round + 1)]);
    }
    assert_eq!(
        lake.one("SELECT count(*), sum(id) FROM t").await,
        format!("96|{}", 4950 - 3 - 50 - 99 - 7)
    );
}

#[tokio::test]
async fn d18_deletes_are_listed_under_the_spec_of_their_file() {
    for way in WAYS {
        let lake = lake_of(way, "id INT, city VARCHAR", "PARTITIONED BY (city)").await;
        lake.run("INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, NULL)")
            .await;
        lake.run("DELETE FROM t WHERE id IN (1, 4)").await;
        lake.run("UPDATE t SET id = id + 10 WHERE city = 'b'").await;
        assert_eq!(
            lake.sorted("SELECT id, city FROM t").await,
            ["13|b", "2|a"],
            "{way:?}"
        );
        assert_eq!(lake.rows("SELECT id FROM t WHERE city = 'a'").await, ["2"]);
    }
}

#[tokio::test]
async fn d19_rewriting_brings_no_deleted_row_back() {
    for (version, first) in WAYS {
        for second in ["copy-on-write", "merge-on-read"] {
            let lake = lake_with(version, [first, second, first], "id INT, v INT", "").await;
            lake.run("INSERT INTO t SELECT value, 0 FROM range(0, 50)")
                .await;
            lake.run("DELETE FROM t WHERE id % 5 = 0").await;
            lake.run("UPDATE t SET v = 1 WHERE id < 25").await;
            lake.run("DELETE FROM t WHERE id = 11").await;
            assert_eq!(
                lake.one("SELECT count(*), sum(v), count(*) FILTER (WHERE id % 5 = 0) FROM t")
                    .await,
                "39|19|0",
                "{version} {first} {second}"
            );
        }
    }
}

#[tokio::test]
async fn d20_rows_for_which_a_condition_is_unknown_stay() {
    for way in WAYS {
        let lake = lake_of(way, "x INT, n INT", "").await;
        lake.run("INSERT INTO t VALUES (1, 1), (2, 2), (NULL, 3), (3, 4)")
            .await;
        lake.run("DELETE FROM t WHERE x = 2").await;
        assert_eq!(lake.sorted("SELECT n FROM t").await, ["1", "3", "4"]);
        lake.run("DELETE FROM t WHERE NOT (x = 1)").await;
        assert_eq!(lake.sorted("SELECT n FROM t").await, ["1", "3"]);
        lake.run("DELETE FROM t WHERE x NOT IN (5, NULL)").await;
        assert_eq!(lake.sorted("SELECT n FROM t").await, ["1", "3"]);
        lake.run("UPDATE t SET n = 0 WHERE x <> 7").await;
        assert_eq!(lake.sorted("SELECT n FROM t").await, ["0", "3"], "{way:?}");
    }
}

#[tokio::test]
async fn d21_a_file_whose_rows_all_go_goes_too() {
    for way in WAYS {
        let lake = lake_of(way, "id INT, v INT", "").await;
        lake.run("INSERT INTO t VALUES (1, 1), (2, 2)").await;
        lake.run("INSERT INTO t VALUES (3, 3)").await;
        // By reading: nothing tells that `v * v` is below 5 in the whole of a file.
        lake.run("DELETE FROM t WHERE v * v < 5").await;
        assert_eq!(lake.rows("SELECT id FROM t").await, ["3"], "{way:?}");
        assert_eq!(
            lake.one("SELECT count(*), min(record_count) FROM t.files")
                .await,
            "1|1",
            "{way:?}"
        );
        // By what is known of the file.
        lake.run("DELETE FROM t WHERE id >= 3").await;
        assert_eq!(lake.one("SELECT count(*) FROM t.files").await, "0");
        assert_eq!(lake.one("SELECT count(*) FROM t").await, "0");
        lake.run("INSERT INTO t VALUES (4, 4)").await;
        assert_eq!(lake.rows("SELECT id FROM t").await, ["4"]);
    }
}

#[tokio::test]
async fn d22_without_a_condition_all_rows_go_and_conditions_hold_together() {
    for way in WAYS {
        let lake = lake_of(way, "a INT, b INT", "").await;
        let fill = "INSERT INTO t VALUES (1, 1), (1, 2), (2, 1), (2, 2)";
        lake.run(fill).await;
        assert_eq!(lake.one("DELETE FROM t WHERE a = 1 AND b = 2").await, "1");
        assert_eq!(
            lake.sorted("SELECT a, b FROM t").await,
            ["1|1", "2|1", "2|2"],
            "{way:?}"
        );
        assert_eq!(lake.one("DELETE FROM t").await, "3");
        assert_eq!(lake.one("SELECT count(*) FROM t").await, "0");
        lake.run(fill).await;
        for nothing in [
            "false",
            "1 = 0",
            "NULL",
            "a IN (SELECT a FROM t WHERE false)",
            "EXISTS (SELECT 1 FROM t WHERE a = 9)",
            "a = 1 AND a = 2",
            "a > 1 AND b IN (SELECT b FROM t o WHERE o.b > 9)",
        ] {
            let delete = format!("DELETE FROM t WHERE {nothing}");
            assert_eq!(lake.one(&delete).await, "0", "{delete}");
        }
        assert_eq!(lake.one("SELECT count(*) FROM t").await, "4");
        assert_eq!(lake.one("TRUNCATE TABLE t").await, "4");
        assert_eq!(lake.one("SELECT count(*) FROM t").await, "0", "{way:?}");
    }
}
