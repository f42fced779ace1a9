//! M: what filters and statistics must not do.

use crate::lake::TestLake;

/// Rows of several files, so that bounds can prune.
async fn lake(definition: &str, rows: &[&str]) -> TestLake {
    let lake = TestLake::memory().await;
    lake.run(&format!("CREATE TABLE t ({definition})")).await;
    for row in rows {
        lake.run(&format!("INSERT INTO t VALUES {row}")).await;
    }
    lake
}

#[tokio::test]
async fn m02_nan_and_zeros_are_found_with_pruning() {
    let rows = [
        "(1, 'NaN')",
        "(2, '-0.0')",
        "(3, '0.0')",
        "(4, 1), (5, 'NaN')",
        "(6, NULL)",
    ];
    let lake = lake("n INT, f DOUBLE", &rows).await;
    for (filter, expected) in [
        ("f BETWEEN -0.0 AND 0.0", vec!["2", "3"]),
        ("f > 1", vec!["1", "5"]),
        ("f >= 1", vec!["1", "4", "5"]),
        ("f <> 1", vec!["1", "2", "3", "5"]),
        ("f NOT IN (1, 7)", vec!["1", "2", "3", "5"]),
        ("NOT (f < 6)", vec!["1", "5"]),
        ("f = CAST('NaN' AS DOUBLE)", vec!["1", "5"]),
    ] {
        let found = lake
            .sorted(&format!("SELECT n FROM t WHERE {filter}"))
            .await;
        assert_eq!(found, expected, "{filter}");
    }
}

/// Each text in a file of its own, so that its bounds are cut from it alone.
#[tokio::test]
async fn m04_texts_beyond_their_bounds_are_found() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t (s VARCHAR)").await;
    let texts: Vec<String> = ["a", "é", "\u{d7ff}", "\u{ffff}", "\u{10ffff}", "🦀"]
        .into_iter()
        .flat_map(|letter| {
            [
                letter.repeat(15),
                letter.repeat(40),
                format!("{}b", letter.repeat(16)),
            ]
        })
        .collect();
    for text in &texts {
        lake.run(&format!("INSERT INTO t VALUES ('{text}')")).await;
    }
    for text in &texts {
        let found = format!("SELECT s FROM t WHERE s = '{text}'");
        assert_eq!(lake.rows(&found).await, [text.as_str()]);
        for (comparison, holds) in [
            ("<=", (|one, other| one <= other) as fn(&str, &str) -> bool),
            (">=", |one, other| one >= other),
            (">", |one, other| one > other),
        ] {
            let count = texts.iter().filter(|other| holds(other, text)).count();
            let found = format!("SELECT count(*) FROM t WHERE s {comparison} '{text}'");
            assert_eq!(lake.one(&found).await, count.to_string(), "{found}");
        }
        let starts: String = text.chars().take(16).collect();
        let count = texts
            .iter()
            .filter(|other| other.starts_with(&starts))
            .count();
        let found = format!("SELECT count(*) FROM t WHERE s LIKE '{starts}%'");
        assert_eq!(lake.one(&found).await, count.to_string(), "{found}");
    }
}

#[tokio::test]
async fn m06_casts_around_columns_stay() {
    let rows = [
        "(1, 1.0000000001, 10.49, '2026-01-01 23:59:59.999999', '5')",
        "(2, 1, 10, '2026-01-02 00:00:00', '11')",
        "(3, 2.5, 11.20, '2026-01-02 12:00:00', '9')",
    ];
    let lake = lake(
        "n INT, f DOUBLE, d DECIMAL(6, 2), ts TIMESTAMP, s VARCHAR",
        &rows,
    )
    .await;
    for (filter, expected) in [
        ("CAST(f AS REAL) = CAST(1 AS REAL)", vec!["1", "2"]),
        ("CAST(d AS BIGINT) = 10", vec!["1", "2"]),
        ("CAST(ts AS DATE) = DATE '2026-01-02'", vec!["2", "3"]),
        ("CAST(ts AS DATE) > DATE '2026-01-01'", vec!["2", "3"]),
        ("CAST(s AS INT) > 10", vec!["2"]),
        ("CAST(f AS INT) = 2", vec!["3"]),
        ("CAST(d AS DECIMAL(6, 1)) = 10.5", vec!["1"]),
        ("CAST(d AS INT) IN (10, 12)", vec!["1", "2"]),
        ("CAST(d AS INT) BETWEEN 10 AND 10", vec!["1", "2"]),
        ("TRY_CAST(d AS INT) = 11", vec!["3"]),
        (
            "CAST(ts AS TIMESTAMP(0)) = TIMESTAMP '2026-01-01 23:59:59'",
            vec!["1"],
        ),
        (
            "CAST(ts AS TIMESTAMP(9)) >= CAST('2026-01-01 23:59:59.999999001' AS TIMESTAMP(9))",
            vec!["2", "3"],
        ),
        (
            "CAST(ts AS TIMESTAMP(9)) <= CAST('2026-01-01 23:59:59.999999001' AS TIMESTAMP(9))",
            vec!["1"],
        ),
        (
            "CAST(ts AS TIMESTAMP(9)) = CAST('2026-01-01 23:59:59.999999001' AS TIMESTAMP(9))",
            vec![],
        ),
        ("CAST(n AS VARCHAR) = '2'", vec!["2"]),
    ] {
        let found = lake
            .sorted(&format!("SELECT n FROM t WHERE {filter}"))
            .await;
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test]
async fn m09_literals_outside_of_the_type_do_not_wrap() {
    let rows = [
        "(1, -2147483648, 0.01)",
        "(2, 0, 99.99)",
        "(3, 2147483647, NULL)",
        "(4, NULL, 1)",
    ];
    let lake = lake("n INT, i INT, d DECIMAL(4, 2)", &rows).await;
    for (filter, expected) in [
        ("i < 2147483648", vec!["1", "2", "3"]),
        ("i <= 4294967296", vec!["1", "2", "3"]),
        ("i = 4294967296", vec![]),
        ("i = -2147483649", vec![]),
        ("i <> 2147483648", vec!["1", "2", "3"]),
        ("i > 2147483648", vec![]),
        ("i > -9223372036854775808", vec!["1", "2", "3"]),
        ("i IN (0, 4294967296)", vec!["2"]),
        ("i < 1e20", vec!["1", "2", "3"]),
        ("d < 1000000", vec!["1", "2", "4"]),
        ("d = 0.014", vec![]),
        ("d < 0.014", vec!["1"]),
    ] {
        let found = lake
            .sorted(&format!("SELECT n FROM t WHERE {filter}"))
            .await;
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test]
async fn m11_partition_fields_and_a_column_filter_together() {
    let lake = TestLake::memory().await;
    let rows = "SELECT CAST(value AS INT), \
                CASE value % 4 WHEN 0 THEN 'a' WHEN 1 THEN 'b' WHEN 2 THEN 'é' END, \
                TIMESTAMP '1969-11-15 12:30:00' \
                + CAST(concat(CAST(value * 5 AS VARCHAR), ' days') AS INTERVAL) \
                FROM generate_series(0, 47)";
    let columns = "n INT, kind VARCHAR, ts TIMESTAMP";
    lake.run(&format!(
        "CREATE TABLE t ({columns}) PARTITIONED BY (kind, months(ts)); INSERT INTO t {rows}; \
         CREATE TABLE whole ({columns}); INSERT INTO whole {rows}"
    ))
    .await;
    let kinds = [
        "kind = 'a'",
        "kind <> 'a'",
        "kind IS NULL",
        "kind IN ('b', 'é') OR n = 3",
        "NOT (kind > 'a')",
    ];
    let times = [
        "ts >= TIMESTAMP '1970-01-01 00:00:00' AND ts < TIMESTAMP '1970-04-20 00:00:00'",
        "ts < TIMESTAMP '1969-12-31 23:59:59.999999'",
        "ts = TIMESTAMP '1969-12-30 12:30:00'",
        "ts NOT BETWEEN TIMESTAMP '1969-12-15 12:30:00' AND TIMESTAMP '1970-06-01 00:00:00'",
    ];
    let numbers = [
        "n <> 6",
        "n BETWEEN 9 AND 30",
        "n > 40 OR n < 3",
        "NOT (n = 9)",
    ];
    let mut found = 0;
    for (kind, time) in kinds.iter().flat_map(|kind| times.map(|time| (kind, time))) {
        for number in numbers {
            let filter = format!("SELECT n FROM t WHERE ({kind}) AND ({time}) AND ({number})");
            let pruned = lake.sorted(&filter).await;
            let whole = filter.replace("FROM t", "FROM whole");
            assert_eq!(pruned, lake.sorted(&whole).await, "{filter}");
            found += pruned.len();
        }
    }
    assert!(found > 100, "{found}");
    let one = "EXPLAIN SELECT n FROM t WHERE kind = 'a' AND ts < TIMESTAMP '1969-12-01 00:00:00'";
    let plan = lake.rows(one).await.join("\n");
    assert!(plan.contains("files=1/"), "{plan}");
}

#[tokio::test]
async fn m12_texts_order_by_their_bytes() {
    let rows = [
        "('Z'), ('a')",
        "('é')",
        "('\u{ffff}')",
        "('🦀')",
        "('日本')",
    ];
    let lake = lake("s VARCHAR", &rows).await;
    let ordered = ["Z", "a", "é", "日本", "\u{ffff}", "🦀"];
    assert_eq!(lake.rows("SELECT s FROM t ORDER BY s").await, ordered);
    assert_eq!(lake.rows("SELECT min(s), max(s) FROM t").await, ["Z|🦀"]);
    assert_eq!(
        lake.rows("SELECT s FROM t WHERE s > '\u{ffff}'").await,
        ["🦀"]
    );
    let between = "SELECT s FROM t WHERE s > 'é' AND s < '🦀' ORDER BY s";
    assert_eq!(lake.rows(between).await, ["日本", "\u{ffff}"]);
}
