-- What else changes a table, format version {version}: overwriting, truncating, branches, what was staged.

CREATE SCHEMA {schema};

CREATE TABLE {schema}.overwritten (id BIGINT, name VARCHAR, day DATE) PARTITIONED BY (day)
TBLPROPERTIES ({properties});
INSERT INTO {schema}.overwritten
SELECT value, 'w' || value, DATE '2024-01-01' + CAST(value % 4 AS INT) FROM generate_series(0, 19) AS g (value);
INSERT INTO {schema}.overwritten VALUES (100, NULL, NULL), (101, 'x', DATE '2024-01-03');
INSERT OVERWRITE {schema}.overwritten PARTITION (day = '2024-01-03') SELECT id * 10, name FROM {schema}.overwritten
WHERE id < 5;
INSERT OVERWRITE {schema}.overwritten WITH ('overwrite-mode' = 'dynamic')
VALUES (300, 'ten', DATE '2024-01-01'), (301, 'five', DATE '2024-01-05'), (302, 'none', NULL);
INSERT OVERWRITE {schema}.overwritten PARTITION (day = '2024-01-02') SELECT id, name FROM {schema}.overwritten
WHERE false;
DELETE FROM {schema}.overwritten WHERE day = DATE '2024-01-04';
DELETE FROM {schema}.overwritten WHERE id = 301;
INSERT OVERWRITE {schema}.overwritten SELECT id + 1, name, day FROM {schema}.overwritten WHERE name IS NOT NULL;

CREATE TABLE {schema}.truncated (id BIGINT, name VARCHAR) TBLPROPERTIES ({properties});
INSERT INTO {schema}.truncated VALUES (1, 'a'), (2, 'b'), (3, NULL);
DELETE FROM {schema}.truncated WHERE id = 2;
TRUNCATE TABLE {schema}.truncated;
INSERT INTO {schema}.truncated VALUES (4, 'd'), (5, 'e');

CREATE TABLE {schema}.emptied (id BIGINT, name VARCHAR) TBLPROPERTIES ({properties});
INSERT INTO {schema}.emptied VALUES (1, 'a'), (2, 'b'), (3, NULL);
DELETE FROM {schema}.emptied WHERE id < 3;
DELETE FROM {schema}.emptied WHERE id = 3;

CREATE TABLE {schema}.branched (id BIGINT, name VARCHAR) TBLPROPERTIES ({properties}, 'write.wap.enabled' = 'true');
INSERT INTO {schema}.branched SELECT value, 'w' || value FROM generate_series(0, 9) AS g (value);
ALTER TABLE {schema}.branched CREATE TAG opening;
ALTER TABLE {schema}.branched CREATE BRANCH audit;
INSERT INTO {schema}.branched.branch_audit VALUES (10, 'only there');
DELETE FROM {schema}.branched.branch_audit WHERE id IN (1, 2);
ALTER TABLE {schema}.branched CREATE BRANCH left_behind;
UPDATE {schema}.branched.branch_audit SET name = 'changed' || id WHERE id > 7;
MERGE INTO {schema}.branched.branch_audit AS t USING (VALUES (3, 'three'), (30, 'thirty')) AS s (id, name) ON t.id = s.id
WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT *;
CALL system.fast_forward('{schema}.branched', 'main', 'audit');
DELETE FROM {schema}.branched.branch_left_behind WHERE id = 5;
SET spark.wap.id = 'job-1';
INSERT INTO {schema}.branched VALUES (40, 'published');
SET spark.wap.id = 'job-2';
INSERT INTO {schema}.branched VALUES (41, 'picked');
SET spark.wap.id = 'job-3';
INSERT INTO {schema}.branched VALUES (42, 'never');
RESET lakehouse.wap_id;
CALL system.publish_changes('{schema}.branched', 'job-1');
ALTER TABLE {schema}.branched UNSET TBLPROPERTIES ('write.wap.enabled');
