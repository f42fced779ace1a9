//! A lake that travels in time: books are kept on TPC-H's orders, closed, corrected, damaged and
//! rolled back, and the same question is asked as of a time, a version and a tag.
//!
//! ```text
//! cargo run --example time_travel [SCALE] [FOLDER]
//! ```
//!
//! The scale is 0.01 unless given (about 60,000 order lines; 1 makes six million), the folder a
//! temporary one. Every claim that is printed is also asserted.

#[path = "tpch/rows.rs"]
mod rows;

use std::error::Error;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type};
use arrow::temporal_conversions::timestamp_ms_to_datetime;
use arrow::util::pretty::pretty_format_batches;
use lakehouse::sql::Session;
use lakehouse::{Lakehouse, Table, Version};
use tpchgen::distribution::Distributions;
use tpchgen::text::TextPool;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Comments are cut from a text of this many bytes; it plays no role in what is told here.
const TEXT_BYTES: i32 = 1 << 20;

/// The question that is asked again and again.
const QUESTION: &str = "\
SELECT n_name AS nation, count(*) AS lines,
       sum(l_extendedprice * (1 - l_discount)) AS revenue
FROM lineitem
JOIN orders ON o_orderkey = l_orderkey
JOIN customer ON c_custkey = o_custkey
JOIN nation ON n_nationkey = c_nationkey
JOIN region ON r_regionkey = n_regionkey
WHERE r_name = 'EUROPE' AND l_shipdate BETWEEN DATE '1995-01-01' AND DATE '1995-03-31'
GROUP BY n_name
ORDER BY n_name";

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let scale: f64 = arguments.next().map_or(Ok(0.01), |text| text.parse())?;
    let temporary = tempfile::tempdir()?;
    let folder = arguments
        .next()
        .map_or_else(|| temporary.path().to_path_buf(), Into::into);

    let lake = Lakehouse::open(folder.to_string_lossy()).await?;
    let books = Books {
        session: lake.session()?,
        lake,
    };
    books.load(scale, &folder).await?;
    let closed = books.close().await?;
    let corrected = books.correct().await?;
    books.second_delivery(scale).await?;
    books.travel(&closed, &corrected).await?;
    books.compare().await?;
    books.mistake_and_rollback(scale).await
}

/// The lake of this story, and the session it is told in.
struct Books {
    lake: Lakehouse,
    session: Session,
}

/// What the question answered at one moment, and how to find that moment again.
struct Moment {
    answer: Vec<RecordBatch>,
    snapshot_id: i64,
    time: String,
}

impl Books {
    async fn load(&self, scale: f64, folder: &Path) -> Outcome {
        chapter("A lake is made, and the first delivery of orders arrives");
        println!("TPC-H at scale {scale} in {}\n", folder.display());
        for table in &rows::TABLES {
            let batches = delivery(table, scale, 1)?;
            let columns = rows::definition(&batches[0].schema());
            let partitions = match table.name {
                "orders" => " PARTITIONED BY (years(o_orderdate))",
                "lineitem" => " PARTITIONED BY (years(l_shipdate))",
                _ => "",
            };
            let create = format!("CREATE TABLE {} ({columns}){partitions}", table.name);
            self.session.sql(&create).await?.collect().await?;
            let rows = self.insert(table.name, batches).await?;
            println!("{:>10} rows in {}{partitions}", rows, table.name);
        }
        Ok(())
    }

    /// The books are closed: a tag keeps what they say, whatever happens to the table.
    async fn close(&self) -> Outcome<Moment> {
        chapter("The books of the first quarter of 1995 are closed");
        for table in ["orders", "lineitem"] {
            self.run(&format!("ALTER TABLE {table} CREATE TAG close_1"))
                .await?;
        }
        println!("The question of this story, asked now and again:\n");
        show(QUESTION);
        self.moment().await
    }

    /// A wrong price is corrected as book-keepers do: by a row that reverses and one that replaces.
    async fn correct(&self) -> Outcome<Moment> {
        chapter("A line was billed at ten times its price: reverse it and replace it");
        let found = self
            .ask(
                "SELECT l_orderkey, l_linenumber, l_extendedprice\n\
                 FROM lineitem\n\
                 JOIN orders ON o_orderkey = l_orderkey\n\
                 JOIN customer ON c_custkey = o_custkey\n\
                 JOIN nation ON n_nationkey = c_nationkey\n\
                 WHERE n_name = 'GERMANY'\n  \
                   AND l_shipdate BETWEEN DATE '1995-01-01' AND DATE '1995-03-31'\n\
                 ORDER BY l_extendedprice DESC, l_orderkey, l_linenumber LIMIT 1",
            )
            .await?;
        let key = found[0].column(0).as_primitive::<Int64Type>().value(0);
        let line = found[0].column(1).as_primitive::<Int32Type>().value(0);
        // One statement, one commit: nobody ever sees the reversal without the replacement.
        let copy = |quantity: &str, price: &str, reason: &str| {
            format!(
                "SELECT l_orderkey, l_partkey, l_suppkey, l_linenumber,\n       \
                        {quantity}, {price}, l_discount, l_tax, l_returnflag, l_linestatus, l_shipdate,\n       \
                        l_commitdate, l_receiptdate, l_shipinstruct, l_shipmode, '{reason}'\n\
                 FROM lineitem WHERE l_orderkey = {key} AND l_linenumber = {line}"
            )
        };
        let reversal = copy("-l_quantity", "-l_extendedprice", "reversal");
        let price = "CAST(l_extendedprice / 10 AS DECIMAL(15, 2))";
        let replacement = copy("l_quantity", price, "replacement");
        self.run(&format!(
            "INSERT INTO lineitem\n{reversal}\nUNION ALL\n{replacement}"
        ))
        .await?;
        for table in ["orders", "lineitem"] {
            self.run(&format!("ALTER TABLE {table} CREATE TAG close_1_corrected"))
                .await?;
        }
        println!("What the correction added, by comparing the table with its own past:\n");
        let added = self
            .ask(
                "SELECT l_orderkey, l_linenumber, l_quantity, l_extendedprice, l_comment\n\
                 FROM lineitem\n\
                 EXCEPT\n\
                 SELECT l_orderkey, l_linenumber, l_quantity, l_extendedprice, l_comment\n\
                 FROM lineitem FOR VERSION AS OF 'close_1'\n\
                 ORDER BY l_quantity",
            )
            .await?;
        assert_eq!(row_count(&added), 2, "a reversal and a replacement");
        self.moment().await
    }

    async fn second_delivery(&self, scale: f64) -> Outcome {
        chapter("The second delivery arrives and is closed");
        for table in rows::TABLES
            .iter()
            .filter(|table| is_delivered_twice(table))
        {
            let rows = self.insert(table.name, delivery(table, scale, 2)?).await?;
            println!("{rows:>10} rows more in {}", table.name);
            self.run(&format!("ALTER TABLE {} CREATE TAG close_2", table.name))
                .await?;
        }
        self.question("").await?;
        Ok(())
    }

    /// The same question, as of three kinds of moments.
    async fn travel(&self, closed: &Moment, corrected: &Moment) -> Outcome {
        chapter("The same question as of a tag, a version and a time");
        let by_tag = self.question("FOR VERSION AS OF 'close_1'").await?;
        assert_same(&by_tag, &closed.answer);

        let version = format!("FOR SYSTEM_VERSION AS OF {}", corrected.snapshot_id);
        assert_same(&self.question(&version).await?, &corrected.answer);

        let time = &closed.time;
        let time_clause = format!("FOR SYSTEM_TIME AS OF TIMESTAMP '{time}'");
        assert_same(&self.question(&time_clause).await?, &closed.answer);

        println!("Or every table of the session at once:\n");
        self.run(&format!("SET lakehouse.as_of = TIMESTAMP '{time}'"))
            .await?;
        assert_same(&self.question("").await?, &closed.answer);
        self.run("RESET lakehouse.as_of").await?;

        println!("In Rust, a table at a version is a value:\n");
        let tagged = self
            .table("lineitem")
            .await?
            .at(Version::Tag("close_1".to_owned()))?;
        let current = self.table("lineitem").await?;
        for (name, table) in [("close_1", &tagged), ("now", &current)] {
            let snapshot = table.snapshot_id().ok_or("rows were inserted")?;
            println!("  lineitem at {name} is snapshot {snapshot}");
        }
        assert_eq!(tagged.snapshot_id(), Some(closed.snapshot_id));
        Ok(())
    }

    /// What changed from one close to the next, by nation.
    async fn compare(&self) -> Outcome {
        chapter("What changed in between");
        let at = |tag: &str| {
            QUESTION
                .replacen(
                    "FROM lineitem",
                    &format!("FROM lineitem FOR VERSION AS OF '{tag}'"),
                    1,
                )
                .replacen(
                    "JOIN orders",
                    &format!("JOIN orders FOR VERSION AS OF '{tag}'"),
                    1,
                )
                .replace("\nORDER BY n_name", "")
        };
        let changes = self
            .ask(&format!(
                "WITH closed AS (\n{}\n), corrected AS (\n{}\n)\n\
                 SELECT corrected.nation, closed.revenue AS before, corrected.revenue AS after,\n       \
                        corrected.revenue - closed.revenue AS change\n\
                 FROM corrected LEFT JOIN closed ON closed.nation = corrected.nation\n\
                 ORDER BY corrected.nation",
                at("close_1"),
                at("close_1_corrected"),
            ))
            .await?;
        let change = changes.iter().flat_map(|batch| decimals(batch, 3));
        let changed: Vec<i128> = change.filter(|change| *change != 0).collect();
        assert!(
            matches!(changed[..], [less] if less < 0),
            "the correction touched Germany alone"
        );
        Ok(())
    }

    async fn mistake_and_rollback(&self, scale: f64) -> Outcome {
        chapter("A mistake: a job delivers the second part again");
        let good = self.moment().await?;
        let lines = rows::TABLES.iter().find(|table| table.name == "lineitem");
        let batches = delivery(lines.ok_or("TPC-H has order lines")?, scale, 2)?;
        self.insert("lineitem", batches).await?;
        let doubled = self.question("").await?;
        assert!(revenue(&doubled) > revenue(&good.answer));

        println!("The table's snapshots say when it happened:\n");
        let snapshots = self
            .ask(
                "SELECT committed_at, snapshot_id, parent_id, operation\n\
                 FROM lineitem.snapshots ORDER BY committed_at",
            )
            .await?;
        assert_eq!(row_count(&snapshots), 4);

        println!("Back to the snapshot before it, and the books are right again:\n");
        let id = good.snapshot_id;
        self.run(&format!(
            "CALL system.rollback_to_snapshot('default.lineitem', {id})"
        ))
        .await?;
        assert_same(&self.question("").await?, &good.answer);

        let table = self.table("lineitem").await?;
        assert_eq!(table.snapshot_id(), Some(id));
        let undone = table
            .history()
            .iter()
            .filter(|entry| !entry.is_current_ancestor)
            .count();
        println!("Nothing is forgotten: the history still knows {undone} snapshot rolled back.");
        assert_eq!(undone, 1);
        Ok(())
    }

    /// Inserts a delivery in one commit and gives the number of its rows.
    async fn insert(&self, table: &str, batches: Vec<RecordBatch>) -> Outcome<usize> {
        let rows = row_count(&batches);
        self.session.register_batches("delivery", batches).await?;
        let insert = format!("INSERT INTO {table} SELECT * FROM delivery");
        self.session.sql(&insert).await?.collect().await?;
        Ok(rows)
    }

    /// Asks the question now, and notes how to come back to now.
    async fn moment(&self) -> Outcome<Moment> {
        let answer = self.question("").await?;
        let table = self.table("lineitem").await?;
        let now = table
            .history()
            .last()
            .copied()
            .ok_or("nothing was written yet")?;
        let time = timestamp_ms_to_datetime(now.made_current_at_ms).ok_or("no such time")?;
        Ok(Moment {
            answer,
            snapshot_id: now.snapshot_id,
            time: time.to_string(),
        })
    }

    async fn table(&self, name: &str) -> Outcome<Table> {
        Ok(self.lake.table(&format!("default.{name}")).await?)
    }

    /// Asks the question with a version clause on the order lines, or with none.
    async fn question(&self, clause: &str) -> Outcome<Vec<RecordBatch>> {
        let from = format!("FROM lineitem {clause}");
        println!("  the same question … {} …\n", from.trim_end());
        let sql = QUESTION.replacen("FROM lineitem", &from, 1);
        self.answer(&sql).await
    }

    /// Shows a statement and runs it.
    async fn run(&self, sql: &str) -> Outcome {
        show(sql);
        self.session.sql(sql).await?.collect().await?;
        Ok(())
    }

    /// Shows a query and its rows.
    async fn ask(&self, sql: &str) -> Outcome<Vec<RecordBatch>> {
        show(sql);
        self.answer(sql).await
    }

    async fn answer(&self, sql: &str) -> Outcome<Vec<RecordBatch>> {
        let batches = self.session.sql(sql).await?.collect().await?;
        println!("{}\n", pretty_format_batches(&batches)?);
        Ok(batches)
    }
}

/// The rows of a table that come with delivery 1 or 2; small tables come whole with the first.
fn delivery(table: &rows::TpchTable, scale: f64, number: i32) -> Outcome<Vec<RecordBatch>> {
    let text = TextPool::new(TEXT_BYTES, Distributions::static_default());
    let deliveries = if is_delivered_twice(table) { 2 } else { 1 };
    Ok(table.batches(&rows::Source { scale, text: &text }, number, deliveries)?)
}

fn is_delivered_twice(table: &rows::TpchTable) -> bool {
    matches!(table.name, "orders" | "lineitem")
}

fn row_count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// The sum of the answer's last column, in its smallest unit.
fn revenue(answer: &[RecordBatch]) -> i128 {
    answer.iter().flat_map(|batch| decimals(batch, 2)).sum()
}

fn decimals(batch: &RecordBatch, column: usize) -> impl Iterator<Item = i128> {
    batch
        .column(column)
        .as_primitive::<Decimal128Type>()
        .iter()
        .flatten()
}

#[track_caller]
fn assert_same(left: &[RecordBatch], right: &[RecordBatch]) {
    let text = |batches| {
        pretty_format_batches(batches)
            .map(|table| table.to_string())
            .ok()
    };
    assert!(row_count(left) > 0, "the question has an answer");
    assert_eq!(text(left), text(right), "the past does not change");
}

fn chapter(title: &str) {
    println!("\n== {title} ==\n");
}

fn show(sql: &str) {
    for line in sql.lines() {
        println!("  {line}");
    }
    println!();
}
