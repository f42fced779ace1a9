-- Rows changed again and again: {mode}, format version {version}. Keys are never changed, and no value is set to what
-- it was, so that another reader can tell which rows a statement changed.

CREATE SCHEMA {schema};

CREATE TABLE {schema}.again (id BIGINT, word VARCHAR, price DECIMAL(9, 2), day DATE, s STRUCT<a: BIGINT, b: VARCHAR>)
TBLPROPERTIES ({properties}, 'write.parquet.row-group-size-bytes' = '2048', 'write.parquet.page-row-limit' = '20');
INSERT INTO {schema}.again
SELECT value, 'w' || value, CAST(value AS DECIMAL(9, 2)) / 4, DATE '1969-12-31',
       named_struct('a', value, 'b', 'b' || value)
FROM generate_series(0, 199) AS g (value);
INSERT INTO {schema}.again
SELECT value, NULL, NULL, DATE '2024-02-29', NULL FROM generate_series(200, 249) AS g (value);
DELETE FROM {schema}.again WHERE id % 7 = 0;
DELETE FROM {schema}.again WHERE id % 11 = 3;
UPDATE {schema}.again SET word = coalesce(word, 'none') || '!', s.a = -id WHERE id % 10 = 1;
UPDATE {schema}.again SET price = -1 WHERE id BETWEEN 95 AND 105;
MERGE INTO {schema}.again AS t
USING (SELECT value * 5 AS id, 'merged' || value AS word FROM generate_series(30, 60) AS g (value)) AS s
ON t.id = s.id
WHEN MATCHED AND s.id % 2 = 0 THEN DELETE
WHEN MATCHED THEN UPDATE SET word = s.word
WHEN NOT MATCHED THEN INSERT (id, word) VALUES (s.id, s.word)
WHEN NOT MATCHED BY SOURCE AND t.id = 2 THEN UPDATE SET word = 'by source'
WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN DELETE;
DELETE FROM {schema}.again WHERE id IN (1, 201, 205, 300);
DELETE FROM {schema}.again WHERE id < 100 AND id % 2 = 0;

CREATE TABLE {schema}.parts (id BIGINT, grp INT, day DATE, word VARCHAR) PARTITIONED BY (grp)
TBLPROPERTIES ({properties});
INSERT INTO {schema}.parts
SELECT value, CAST(value % 4 AS INT), DATE '2024-01-01', 'w' || value FROM generate_series(0, 59) AS g (value);
INSERT INTO {schema}.parts VALUES (1000, NULL, NULL, NULL), (1001, NULL, DATE '1969-12-31', 'no group'), (61, 1, NULL, '');
DELETE FROM {schema}.parts WHERE id % 3 = 0;
DELETE FROM {schema}.parts WHERE grp = 2;
ALTER TABLE {schema}.parts ADD PARTITION FIELD months(day);
INSERT INTO {schema}.parts
SELECT value, CAST(value % 4 AS INT), DATE '2024-02-01', 'w' || value FROM generate_series(100, 139) AS g (value);
UPDATE {schema}.parts SET grp = grp + 10 WHERE id % 10 = 5;
ALTER TABLE {schema}.parts DROP PARTITION FIELD grp;
INSERT INTO {schema}.parts
SELECT value, CAST(value % 4 AS INT), DATE '2024-03-01', 'w' || value FROM generate_series(200, 219) AS g (value);
MERGE INTO {schema}.parts AS t
USING (SELECT value AS id FROM generate_series(0, 260, 13) AS g (value)) AS s ON t.id = s.id
WHEN MATCHED AND t.grp = 1 THEN DELETE
WHEN MATCHED THEN UPDATE SET word = 'merged' || t.id, day = DATE '1968-05-01'
WHEN NOT MATCHED THEN INSERT (id, grp, day, word) VALUES (s.id, 99, DATE '2024-03-01', 'new');
DELETE FROM {schema}.parts WHERE word IS NULL OR id IN (101, 200, 201);

CREATE TABLE {schema}.evolved (id INT, a VARCHAR, b INT, s STRUCT<x: INT, y: VARCHAR>, f FLOAT, d DECIMAL(5, 2))
TBLPROPERTIES ({properties});
INSERT INTO {schema}.evolved
SELECT value, 'a' || value, value, named_struct('x', value, 'y', 'y' || value), value / 4.0, value
FROM generate_series(0, 19) AS g (value);
DELETE FROM {schema}.evolved WHERE b IN (3, 4);
ALTER TABLE {schema}.evolved RENAME COLUMN a TO label;
ALTER TABLE {schema}.evolved ADD COLUMN c DOUBLE AFTER id;
ALTER TABLE {schema}.evolved ALTER COLUMN id TYPE BIGINT;
ALTER TABLE {schema}.evolved ALTER COLUMN f TYPE DOUBLE;
ALTER TABLE {schema}.evolved ALTER COLUMN d TYPE DECIMAL(9, 2);
ALTER TABLE {schema}.evolved ADD COLUMN s.z BIGINT;
ALTER TABLE {schema}.evolved RENAME COLUMN s.y TO w;
UPDATE {schema}.evolved SET c = id / 2.0, s.z = id, d = 1234567.5 WHERE id < 6;
INSERT INTO {schema}.evolved (id, c, label, b)
SELECT value, value / 2.0, 'l' || value, value FROM generate_series(20, 39) AS g (value);
DELETE FROM {schema}.evolved WHERE c IS NULL AND id % 4 = 0;
DELETE FROM {schema}.evolved WHERE c = 12.5 OR label = 'a11' OR s.w = 'y13';
ALTER TABLE {schema}.evolved DROP COLUMN b;
ALTER TABLE {schema}.evolved DROP COLUMN s.x;
ALTER TABLE {schema}.evolved ADD COLUMN b VARCHAR;
UPDATE {schema}.evolved SET b = label WHERE id % 10 = 9;
ALTER TABLE {schema}.evolved WRITE ORDERED BY label DESC, id;
MERGE INTO {schema}.evolved AS t
USING (SELECT value AS id FROM generate_series(14, 50, 3) AS g (value)) AS s ON t.id = s.id
WHEN MATCHED AND s.id % 2 = 0 THEN UPDATE SET b = 'merged', s.z = -1
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED THEN INSERT (id, label, s) VALUES (s.id, 'new', named_struct('w', 'n', 'z', s.id));
