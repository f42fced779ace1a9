-- What only format version 3 has: defaults, and rows that were deleted before the table had that version.

CREATE SCHEMA only_v3;

CREATE TABLE only_v3.upgraded (id BIGINT, word VARCHAR)
TBLPROPERTIES ('format-version' = '2', 'write.delete.mode' = 'merge-on-read', 'write.update.mode' = 'merge-on-read',
               'write.merge.mode' = 'merge-on-read');
INSERT INTO only_v3.upgraded SELECT value, 'w' || value FROM generate_series(0, 29) AS g (value);
INSERT INTO only_v3.upgraded SELECT value, 'w' || value FROM generate_series(30, 39) AS g (value);
DELETE FROM only_v3.upgraded WHERE id % 5 = 0;
UPDATE only_v3.upgraded SET word = 'before' WHERE id % 7 = 1;
ALTER TABLE only_v3.upgraded SET TBLPROPERTIES ('format-version' = '3');
DELETE FROM only_v3.upgraded WHERE id % 7 = 2;
UPDATE only_v3.upgraded SET word = 'after' WHERE id IN (3, 8, 31);
INSERT INTO only_v3.upgraded VALUES (100, 'new'), (101, 'new');
MERGE INTO only_v3.upgraded AS t USING (VALUES (3), (4), (100), (200)) AS s (id) ON t.id = s.id
WHEN MATCHED AND t.word = 'after' THEN DELETE
WHEN MATCHED THEN UPDATE SET word = t.word || ' merged'
WHEN NOT MATCHED THEN INSERT (id, word) VALUES (s.id, 'inserted');
ALTER TABLE only_v3.upgraded SET TBLPROPERTIES ('write.delete.mode' = 'copy-on-write');
DELETE FROM only_v3.upgraded WHERE id IN (6, 36);

CREATE TABLE only_v3.defaults (id BIGINT) TBLPROPERTIES ('format-version' = '3', 'write.update.mode' = 'merge-on-read');
INSERT INTO only_v3.defaults VALUES (1), (2), (3), (4), (5);
ALTER TABLE only_v3.defaults ADD COLUMNS (
    n INT DEFAULT 5, s VARCHAR DEFAULT 'it''s 🦀', d DECIMAL(9, 3) DEFAULT 1.005, day DATE DEFAULT '2026-01-31',
    tz TIMESTAMPTZ DEFAULT '2026-01-31 12:00:00+02:00', yes BOOLEAN DEFAULT true, b BINARY DEFAULT X'00FF',
    x DOUBLE DEFAULT 1.5);
UPDATE only_v3.defaults SET n = 6 WHERE id = 2;
ALTER TABLE only_v3.defaults ALTER COLUMN n SET DEFAULT 7;
INSERT INTO only_v3.defaults (id) VALUES (11);
INSERT INTO only_v3.defaults (id, s) SELECT 12, NULL;
UPDATE only_v3.defaults SET n = DEFAULT WHERE id = 3;
ALTER TABLE only_v3.defaults ALTER COLUMN n TYPE BIGINT;
MERGE INTO only_v3.defaults AS t USING (VALUES (4), (20)) AS s (id) ON t.id = s.id
WHEN MATCHED THEN UPDATE SET s = 'set' WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id);
DELETE FROM only_v3.defaults WHERE n = 5 AND id = 1;
