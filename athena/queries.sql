-- Checks of a lake, in Athena's spelling; they run in this library as they stand, which a test shows.
-- Each answers with its name and with how many rows fail it: 0 is well.
--
-- The tables: bronze.events as they came, silver.transactions as they are worked with.

-- Every transaction is there once.
SELECT 'transactions_are_unique' AS check_name, count(*) AS failed
FROM (
  SELECT transaction_id
  FROM silver.transactions
  GROUP BY transaction_id
  HAVING count(*) > 1
) AS repeated;

-- What must be known is known.
SELECT 'required_columns_are_filled' AS check_name,
       count(*) FILTER (WHERE transaction_id IS NULL OR customer_id IS NULL OR booked_at IS NULL) AS failed
FROM silver.transactions;

-- Amounts are such as can be.
SELECT 'amounts_are_plausible' AS check_name, count(*) AS failed
FROM silver.transactions
WHERE amount <= 0 OR amount > 1000000;

-- Nothing was lost on the way from bronze.
SELECT 'every_event_is_a_transaction' AS check_name, count(DISTINCT e.event_id) AS failed
FROM bronze.events AS e
LEFT JOIN silver.transactions AS t ON t.transaction_id = e.event_id
WHERE t.transaction_id IS NULL;

-- Nothing was made up on the way.
SELECT 'every_transaction_was_an_event' AS check_name, count(*) AS failed
FROM silver.transactions AS t
WHERE NOT EXISTS (SELECT 1 FROM bronze.events AS e WHERE e.event_id = t.transaction_id);

-- Sums agree, day by day.
WITH bronze_days AS (
  SELECT date_trunc('day', happened_at) AS day, sum(amount) AS total
  FROM (SELECT DISTINCT event_id, happened_at, amount FROM bronze.events) AS events
  GROUP BY date_trunc('day', happened_at)
),
silver_days AS (
  SELECT date_trunc('day', booked_at) AS day, sum(amount) AS total
  FROM silver.transactions
  GROUP BY date_trunc('day', booked_at)
)
SELECT 'sums_agree_by_day' AS check_name, count(*) AS failed
FROM bronze_days AS b
FULL OUTER JOIN silver_days AS s ON s.day = b.day
WHERE coalesce(b.total, 0) <> coalesce(s.total, 0);

-- The last load is not older than a day.
SELECT 'data_is_fresh' AS check_name,
       CASE WHEN max(booked_at) > current_timestamp - interval '1' day THEN 0 ELSE 1 END AS failed
FROM silver.transactions;

-- What was known yesterday is still so: nobody rewrites the past.
SELECT 'yesterday_is_unchanged' AS check_name, count(*) AS failed
FROM (
  SELECT transaction_id, customer_id, amount
  FROM silver.transactions FOR TIMESTAMP AS OF (current_timestamp - interval '1' day)
  EXCEPT
  SELECT transaction_id, customer_id, amount
  FROM silver.transactions
) AS changed;

-- No version was taken back.
SELECT 'history_is_straight' AS check_name, count(*) AS failed
FROM "silver"."transactions$history"
WHERE NOT is_current_ancestor;

-- No file is empty, and they are not so many that the table wants compaction.
SELECT 'files_are_few' AS check_name,
       CASE WHEN count(*) > 1000 THEN count(*) ELSE count(*) FILTER (WHERE record_count = 0) END AS failed
FROM "silver"."transactions$files";
