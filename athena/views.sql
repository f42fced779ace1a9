-- Views for Athena, one statement at a time. A test runs each SELECT in this library.

-- What is sold each day.
CREATE OR REPLACE VIEW gold.daily_revenue AS
SELECT date_trunc('day', booked_at) AS day,
       count(*) AS transactions,
       count(DISTINCT customer_id) AS customers,
       sum(amount) AS revenue
FROM silver.transactions
GROUP BY date_trunc('day', booked_at);

-- What each customer is worth, and where that stands among all.
CREATE OR REPLACE VIEW gold.customer_value AS
SELECT customer_id,
       revenue,
       transactions,
       rank() OVER (ORDER BY revenue DESC) AS place,
       CASE
         WHEN revenue >= 1000 THEN 'gold'
         WHEN revenue >= 100 THEN 'silver'
         ELSE 'bronze'
       END AS segment
FROM (
  SELECT customer_id, sum(amount) AS revenue, count(*) AS transactions
  FROM silver.transactions
  GROUP BY customer_id
) AS customers;

-- The last transaction of each customer.
CREATE OR REPLACE VIEW gold.latest_transaction AS
SELECT customer_id, transaction_id, amount, booked_at
FROM (
  SELECT customer_id, transaction_id, amount, booked_at,
         row_number() OVER (PARTITION BY customer_id ORDER BY booked_at DESC, transaction_id DESC) AS newest
  FROM silver.transactions
) AS numbered
WHERE newest = 1;

-- What was raw and how often it came.
CREATE OR REPLACE VIEW gold.repeated_events AS
SELECT event_id, kind, count(*) AS times
FROM bronze.events
GROUP BY event_id, kind
HAVING count(*) > 1;
