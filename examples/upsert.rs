//! Rows that change: a delivery is merged into the stock, rows are updated and deleted, and the
//! stock as it was before answers still, and gives back what was deleted by mistake.
//!
//! ```text
//! cargo run --example upsert
//! ```
//!
//! Every claim that is printed is also asserted.

#[path = "shown/statement.rs"]
mod statement;

use std::error::Error;

use lakehouse::datafusion::prelude::{col, lit};
use lakehouse::sql::{ChangeCounts, Session};
use lakehouse::{ErrorKind, Lakehouse};
use statement::{ask, chapter};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What is asked again and again.
const STOCK: &str = "SELECT sku, price, pieces, checks FROM stock";

#[tokio::main]
async fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let lake = Lakehouse::open(folder.path().to_string_lossy()).await?;
    let session = lake.session()?;
    open_shop(&session).await?;
    merge_delivery(&session).await?;
    merge_again(&session).await?;
    refuse_two_for_one(&session).await?;
    update_and_delete(&session).await?;
    merge_in_rust(&session).await?;
    look_back(&session).await
}

async fn open_shop(session: &Session) -> Outcome {
    chapter("The stock of a shop, and a delivery with what changed");
    ask(
        session,
        "CREATE TABLE stock (sku VARCHAR NOT NULL, price DECIMAL(9, 2), pieces INT, checks INT)",
    )
    .await?;
    ask(
        session,
        "INSERT INTO stock VALUES\n  \
         ('apple', 1.20, 10, 0), ('bread', 3.50, 4, 0), ('candle', 8.00, 0, 0),\n  \
         ('date', 0.30, 90, 0), ('egg', 0.40, 60, 0)",
    )
    .await?;
    ask(session, "ALTER TABLE stock CREATE TAG opening").await?;
    ask(
        session,
        "CREATE TABLE delivery (sku VARCHAR, price DECIMAL(9, 2), pieces INT, op VARCHAR)",
    )
    .await?;
    ask(
        session,
        "INSERT INTO delivery VALUES\n  \
         ('apple', NULL, 5, 'refill'), ('bread', 3.80, 6, 'refill'),\n  \
         ('date', NULL, 0, 'withdrawn'), ('fig', 0.70, 25, 'new'), ('grape', 2.00, 0, 'withdrawn')",
    )
    .await?;
    Ok(())
}

/// All clauses at once; for each row the first one that is true counts.
async fn merge_delivery(session: &Session) -> Outcome {
    chapter("One statement, one commit: updated, inserted and deleted");
    let counts = ask(
        session,
        "MERGE INTO stock AS t\n\
         USING delivery AS s ON t.sku = s.sku\n\
         WHEN MATCHED AND s.op = 'withdrawn' THEN DELETE\n\
         WHEN MATCHED THEN UPDATE SET pieces = t.pieces + s.pieces, price = coalesce(s.price, t.price)\n\
         WHEN NOT MATCHED AND s.op = 'new' THEN\n  \
           INSERT (sku, price, pieces, checks) VALUES (s.sku, s.price, s.pieces, 0)\n\
         WHEN NOT MATCHED BY SOURCE AND t.pieces = 0 THEN DELETE\n\
         WHEN NOT MATCHED BY SOURCE THEN UPDATE SET checks = t.checks + 1",
    )
    .await?;
    println!("Six rows: one inserted, three updated, two deleted; the grapes were never ours.\n");
    assert_eq!(counts, ["6 | 1 | 3 | 2"]);
    let stock = ask(session, &format!("{STOCK} ORDER BY sku")).await?;
    assert_eq!(
        stock,
        [
            "apple | 1.20 | 15 | 0",
            "bread | 3.80 | 10 | 0",
            "egg | 0.40 | 60 | 1",
            "fig | 0.70 | 25 | 0",
        ]
    );
    Ok(())
}

/// A merge that changes only what differs can be run again.
async fn merge_again(session: &Session) -> Outcome {
    chapter("A list of prices, merged twice");
    let merge = "MERGE INTO stock AS t\n\
                 USING (VALUES ('egg', 0.45), ('fig', 0.70), ('honey', 6.00)) AS s(sku, price)\n\
                 ON t.sku = s.sku\n\
                 WHEN MATCHED AND t.price IS DISTINCT FROM s.price THEN UPDATE SET price = s.price\n\
                 WHEN NOT MATCHED THEN INSERT (sku, price, pieces, checks) VALUES (sku, price, 0, 0)";
    assert_eq!(ask(session, merge).await?, ["2 | 1 | 1 | 0"]);
    let snapshots = "SELECT count(*) AS snapshots FROM stock.snapshots";
    let before = ask(session, snapshots).await?;
    println!("The second time there is nothing to do, so there is no snapshot either:\n");
    assert_eq!(ask(session, merge).await?, ["0 | 0 | 0 | 0"]);
    assert_eq!(ask(session, snapshots).await?, before);
    Ok(())
}

/// Which of two values a row gets is nobody's to guess.
async fn refuse_two_for_one(session: &Session) -> Outcome {
    chapter("Two rows of the source for one of the target");
    let merge = "MERGE INTO stock AS t\n\
                 USING (VALUES ('egg', 1), ('egg', 2)) AS s(sku, more) ON t.sku = s.sku\n\
                 WHEN MATCHED THEN UPDATE SET pieces = t.pieces + s.more";
    let error = ask(session, merge).await.err().ok_or("must be refused")?;
    println!("  -> {error}\n");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let eggs = ask(session, "SELECT pieces FROM stock WHERE sku = 'egg'").await?;
    assert_eq!(eggs, ["60"], "a statement that fails changes nothing");
    println!("Let the query decide, and it is an upsert again:\n");
    let merge = merge.replace(
        "(VALUES ('egg', 1), ('egg', 2)) AS s(sku, more)",
        "(SELECT sku, sum(more) AS more FROM (VALUES ('egg', 1), ('egg', 2)) AS r(sku, more)\n       \
         GROUP BY sku) AS s",
    );
    assert_eq!(ask(session, &merge).await?, ["1 | 0 | 1 | 0"]);
    Ok(())
}

async fn update_and_delete(session: &Session) -> Outcome {
    chapter("UPDATE and DELETE, with subqueries and other tables");
    let updated = ask(
        session,
        "UPDATE stock SET price = round(price * 1.1, 2), checks = checks + 1\n\
         WHERE price < (SELECT avg(price) FROM stock)",
    )
    .await?;
    assert_eq!(updated, ["3"]);
    let refilled = ask(
        session,
        "UPDATE stock SET pieces = stock.pieces + delivery.pieces\n\
         FROM delivery WHERE stock.sku = delivery.sku AND delivery.op = 'refill'",
    )
    .await?;
    assert_eq!(refilled, ["2"]);
    let deleted = ask(
        session,
        "DELETE FROM stock WHERE sku NOT IN (SELECT sku FROM delivery) AND pieces < 100",
    )
    .await?;
    assert_eq!(deleted, ["2"]);
    let stock = ask(session, &format!("{STOCK} ORDER BY sku")).await?;
    assert_eq!(
        stock,
        [
            "apple | 1.32 | 20 | 1",
            "bread | 3.80 | 16 | 0",
            "fig | 0.77 | 25 | 1",
        ]
    );
    Ok(())
}

/// The same as calls, for programs that have rows and expressions rather than text.
async fn merge_in_rust(session: &Session) -> Outcome {
    chapter("A merge in Rust");
    let source = session
        .context()
        .sql("SELECT 'fig' AS sku, 5 AS sold UNION ALL SELECT 'kiwi', 3")
        .await?;
    let counts = session
        .change("stock")
        .await?
        .merge(source, "sales")
        .on(col("stock.sku").eq(col("sales.sku")))
        .when_matched()
        .and(col("pieces").gt_eq(col("sold")))
        .update([("pieces", col("pieces") - col("sold"))])
        .when_not_matched()
        .insert([("sku", col("sales.sku")), ("pieces", lit(0) - col("sold"))])
        .execute()
        .await?;
    println!("  {counts:?}\n");
    let expected = ChangeCounts {
        inserted: 1,
        updated: 1,
        deleted: 0,
    };
    assert_eq!(counts, expected);
    let stock = ask(
        session,
        &format!("{STOCK} WHERE sku IN ('fig', 'kiwi') ORDER BY sku"),
    )
    .await?;
    assert_eq!(stock, ["fig | 0.77 | 20 | 1", "kiwi |  | -3 | "]);
    Ok(())
}

async fn look_back(session: &Session) -> Outcome {
    chapter("Before all that");
    let opening = ask(
        session,
        &format!("{STOCK} FOR VERSION AS OF 'opening' ORDER BY sku"),
    )
    .await?;
    assert_eq!(
        opening,
        [
            "apple | 1.20 | 10 | 0",
            "bread | 3.50 | 4 | 0",
            "candle | 8.00 | 0 | 0",
            "date | 0.30 | 90 | 0",
            "egg | 0.40 | 60 | 0",
        ]
    );
    println!("The eggs should have stayed, so they come back from the past:\n");
    let back = ask(
        session,
        "INSERT INTO stock SELECT * FROM stock FOR VERSION AS OF 'opening' WHERE sku = 'egg'",
    )
    .await?;
    assert_eq!(back, ["1"]);
    println!("And each commit tells what it was and what it did:\n");
    let operations = ask(
        session,
        "SELECT operation, summary['added-records'] AS added, summary['total-records'] AS total\n\
         FROM stock.snapshots ORDER BY committed_at",
    )
    .await?;
    assert_eq!(operations.len(), 9);
    assert_eq!(operations[0], "append | 5 | 5");
    Ok(())
}
