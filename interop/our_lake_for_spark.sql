-- More tables of ours for Spark to read, after those of our_lake.sql: format 3, and types that the
-- readers of the others lack. Run by `lake sql --create -f`.

CREATE SCHEMA v3;

CREATE TABLE v3.everything (
    id BIGINT NOT NULL,
    flag BOOLEAN,
    ratio DOUBLE,
    share FLOAT,
    price DECIMAL(12, 2),
    wide DECIMAL(38, 9),
    day DATE,
    ts TIMESTAMP,
    tz TIMESTAMPTZ,
    word VARCHAR,
    raw BINARY
) TBLPROPERTIES ('format-version' = '3');
INSERT INTO v3.everything VALUES
    (1, true, 0.1, 0.5, 1.28, 12345678901234567890.123456789, DATE '1969-12-31',
     TIMESTAMP '1969-12-31 23:59:59.999999', TIMESTAMPTZ '1969-12-31 23:59:59.999999+00:00', 'größe 🦀', X'00FF'),
    (2, false, -0.0, -1.5, -0.01, -0.000000001, DATE '2024-02-29', TIMESTAMP '2024-02-29 12:30:00',
     TIMESTAMPTZ '2024-02-29 12:30:00+05:30', '', X''),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO v3.everything
SELECT id + 10, flag, CAST('NaN' AS DOUBLE), CAST('inf' AS FLOAT), price, wide, day, ts, tz, repeat('long ', 20), raw
FROM v3.everything;

CREATE TABLE v3.by_day (id INT, ts TIMESTAMP, word VARCHAR)
PARTITIONED BY (days(ts), bucket(3, id), truncate(2, word)) TBLPROPERTIES ('format-version' = '3');
INSERT INTO v3.by_day VALUES
    (1, TIMESTAMP '1969-12-31 23:59:59', 'one'), (2, TIMESTAMP '1970-01-01 00:00:00', '🦀🦀🦀'),
    (3, TIMESTAMP '2024-02-29 23:30:00', ''), (4, NULL, NULL);
INSERT INTO v3.by_day SELECT id + 10, ts, word FROM v3.by_day;
ALTER TABLE v3.by_day CREATE TAG twice;
INSERT INTO v3.by_day VALUES (100, TIMESTAMP '1900-01-01 00:00:00', 'long ago');

CREATE TABLE v3.nested TBLPROPERTIES ('format-version' = '3') AS
SELECT 1 AS id, named_struct('x', 1, 'y', named_struct('z', 'a')) AS s, [[1, 2], []] AS l
UNION ALL
SELECT 2, NULL, NULL;

CREATE TABLE v3.larger TBLPROPERTIES ('format-version' = '3') AS
SELECT value AS id, 'w' || CAST(value % 100 AS VARCHAR) AS w, value / 8.0 AS d FROM generate_series(0, 20000) AS t (value);

CREATE TABLE v3.odd_names (id INT, "with space" VARCHAR, "größe" INT, "1st" INT, "dot.ted" INT)
PARTITIONED BY ("with space", "größe", "1st", "dot.ted") TBLPROPERTIES ('format-version' = '3');
INSERT INTO v3.odd_names VALUES (1, 'x', 2, 3, 4), (2, NULL, NULL, NULL, NULL);
