-- Tables of ours for PyIceberg and DuckDB to read. Run by `lake sql --create -f`.

CREATE SCHEMA shop;

CREATE TABLE shop.everything (
    id BIGINT NOT NULL COMMENT 'the key',
    flag BOOLEAN,
    small INT,
    ratio DOUBLE,
    share FLOAT,
    price DECIMAL(12, 2),
    wide DECIMAL(38, 9),
    day DATE,
    ts TIMESTAMP,
    tz TIMESTAMPTZ,
    word VARCHAR,
    raw BINARY
);

INSERT INTO shop.everything VALUES
    (1, true, 1, 0.1, 0.5, 1.28, 12345678901234567890.123456789, DATE '1969-12-31',
     TIMESTAMP '1969-12-31 23:59:59.999999', TIMESTAMPTZ '1969-12-31 23:59:59.999999+00:00',
     'größe 🦀', X'00FF'),
    (2, false, -2147483648, -0.0, -1.5, -0.01, -0.000000001, DATE '2024-02-29',
     TIMESTAMP '2024-02-29 12:30:00', TIMESTAMPTZ '2024-02-29 12:30:00+05:30', '', X''),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO shop.everything
SELECT id + 10, flag, small, CAST('NaN' AS DOUBLE), CAST('inf' AS FLOAT), price, wide, day, ts, tz,
       repeat('long ', 20), raw
FROM shop.everything;

CREATE TABLE shop.by_day (id BIGINT, ts TIMESTAMP) PARTITIONED BY (days(ts));
INSERT INTO shop.by_day VALUES
    (1, TIMESTAMP '1969-12-31 23:59:59'), (2, TIMESTAMP '1970-01-01 00:00:00'),
    (3, TIMESTAMP '1968-02-29 12:00:00.000001'), (4, TIMESTAMP '2024-02-29 23:30:00'), (5, NULL);

CREATE TABLE shop.by_year (id BIGINT, day DATE) PARTITIONED BY (years(day));
INSERT INTO shop.by_year VALUES
    (1, DATE '1969-12-31'), (2, DATE '1970-01-01'), (3, DATE '1900-06-15'), (4, NULL);

CREATE TABLE shop.by_month (id BIGINT, tz TIMESTAMPTZ) PARTITIONED BY (months(tz));
INSERT INTO shop.by_month VALUES
    (1, TIMESTAMPTZ '1969-12-31 23:59:59+00:00'), (2, TIMESTAMPTZ '2024-02-29 23:30:00+00:00'), (3, NULL);

CREATE TABLE shop.by_hour (id BIGINT, ts TIMESTAMP) PARTITIONED BY (hours(ts));
INSERT INTO shop.by_hour VALUES
    (1, TIMESTAMP '1969-12-31 23:59:59'), (2, TIMESTAMP '1970-01-01 00:00:00'), (3, NULL);

CREATE TABLE shop.by_bucket (id INT, big BIGINT, price DECIMAL(9, 2), day DATE, ts TIMESTAMP, word VARCHAR)
PARTITIONED BY (bucket(4, id), bucket(4, big), bucket(4, price), bucket(4, day), bucket(4, ts), bucket(4, word));
INSERT INTO shop.by_bucket VALUES
    (34, 34, 14.20, DATE '2017-11-16', TIMESTAMP '2017-11-16 22:31:08', 'iceberg'),
    (-1, -1, -0.01, DATE '1969-12-31', TIMESTAMP '1969-12-31 23:59:59.999999', '🦀🦀'),
    (0, -9223372036854775808, -1.28, DATE '1970-01-01', TIMESTAMP '1970-01-01 00:00:00', ''),
    (NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE shop.by_truncate (id INT, price DECIMAL(9, 2), word VARCHAR)
PARTITIONED BY (truncate(10, id), truncate(50, price), truncate(2, word));
INSERT INTO shop.by_truncate VALUES
    (1, 10.65, 'iceberg'), (-1, -0.05, 'ic'), (-10, -0.50, 'i'), (-11, -0.51, '🦀🦀🦀'), (NULL, NULL, NULL);

CREATE TABLE shop.by_word (id INT, word VARCHAR) PARTITIONED BY (word);
INSERT INTO shop.by_word VALUES
    (1, 'plain'), (2, 'a#b'), (3, 'a?b'), (4, 'a/b'), (5, 'a%b'), (6, 'a%2Fb'), (7, 'a b'), (8, 'größe'),
    (9, '🦀'), (10, ''), (11, '..'), (12, NULL), (13, '__HIVE_DEFAULT_PARTITION__'), (14, 'a=b&c');

CREATE TABLE shop.nested AS
SELECT 1 AS id, named_struct('x', 1, 'y', 'a') AS s, [1, 2, 3] AS l
UNION ALL
SELECT 2, named_struct('x', NULL, 'y', NULL), [];

CREATE TABLE shop.empty (id INT, word VARCHAR) PARTITIONED BY (word);

CREATE TABLE shop.prices (sku VARCHAR, price DECIMAL(9, 2));
INSERT INTO shop.prices VALUES ('apple', 1.00), ('pear', 2.00);
ALTER TABLE shop.prices CREATE TAG opening;
INSERT INTO shop.prices (price, sku) VALUES (3.00, 'plum');
INSERT INTO shop.prices SELECT sku || ' 2', price + 1 FROM shop.prices;

CREATE SCHEMA shop.back;
CREATE TABLE shop.back.room (id INT, "größe" INT, "with space" VARCHAR);
INSERT INTO shop.back.room VALUES (1, 2, 'x'), (2, NULL, NULL);

-- Partition values of fixed length, two of one length among them, and manifests that were written again.
CREATE TABLE shop.by_uuid (id UUID, other UUID, n INT) PARTITIONED BY (id, other);
INSERT INTO shop.by_uuid VALUES
    ('f79c3e09-677c-4bbd-a479-3f349cb785e7', '00000000-0000-0000-0000-00000000000a', 1),
    ('00000000-0000-0000-0000-00000000000a', 'f79c3e09-677c-4bbd-a479-3f349cb785e7', 2),
    ('7fffffff-ffff-ffff-8000-000000000000', NULL, 3), (NULL, NULL, 4);
INSERT INTO shop.by_uuid VALUES ('f79c3e09-677c-4bbd-a479-3f349cb785e7', '00000000-0000-0000-0000-00000000000a', 5);
DELETE FROM shop.by_uuid WHERE n = 2;
UPDATE shop.by_uuid SET n = 30 WHERE n = 3;

CREATE TABLE shop.by_bytes (f BINARY, g FIXED(3), raw BINARY, n INT)
PARTITIONED BY (f, bucket(4, g), truncate(2, raw));
INSERT INTO shop.by_bytes VALUES
    (X'FBFF00', X'000001', X'FBFF00', 1), (X'FBFF00', X'000002', X'', 2), (NULL, NULL, NULL, 3);
DELETE FROM shop.by_bytes WHERE n = 2;

CREATE TABLE shop.by_decimals (a DECIMAL(9, 2), b DECIMAL(9, 2), c DECIMAL(38, 10), n INT) PARTITIONED BY (a, b, c);
INSERT INTO shop.by_decimals VALUES
    (1.50, -0.01, -1.0000000001, 1), (-9999999.99, 9999999.99, 12345678901234567890.5, 2),
    (0, 1.28, 0.0000000128, 3), (NULL, NULL, NULL, 4);
DELETE FROM shop.by_decimals WHERE n = 2;

CREATE TABLE shop.by_uuid_bucket (id UUID, n INT) PARTITIONED BY (bucket(8, id));
INSERT INTO shop.by_uuid_bucket VALUES
    ('f79c3e09-677c-4bbd-a479-3f349cb785e7', 1), ('00000000-0000-0000-0000-00000000000a', 2), (NULL, 3);
