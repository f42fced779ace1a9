//! Nobody sees rows before they were looked at: a load is written to a branch, audited, mended and
//! published; another one is thrown away; a third is staged under an id while the table goes on; and
//! what slipped through is rolled back.
//!
//! ```text
//! cargo run --example branches_and_audit
//! ```
//!
//! Every claim that is printed is also asserted.

#[path = "shown/statement.rs"]
mod statement;

use std::error::Error;

use lakehouse::sql::Session;
use lakehouse::{ErrorKind, Lakehouse};
use statement::{ask, chapter};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What readers of the table ask.
const TOTALS: &str = "SELECT day, count(*) AS sales, sum(amount) AS total FROM sales\n\
                      GROUP BY day ORDER BY day";

/// What an auditor asks of a branch: rows that must not be.
const WRONG: &str = "SELECT shop, amount FROM sales.branch_audit\n\
                     WHERE amount IS NULL OR amount <= 0 ORDER BY shop";

#[tokio::main]
async fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let lake = Lakehouse::open(folder.path().to_string_lossy()).await?;
    let session = lake.session()?;
    begin(&session).await?;
    write_and_audit(&session).await?;
    throw_away(&session).await?;
    stage(&session).await?;
    publish(&session).await?;
    roll_back(&session).await
}

async fn begin(session: &Session) -> Outcome {
    chapter("A table that people read while it is loaded");
    ask(
        session,
        "CREATE TABLE sales (day DATE, shop VARCHAR, amount DECIMAL(9, 2)) PARTITIONED BY (day)",
    )
    .await?;
    ask(
        session,
        "INSERT INTO sales VALUES (DATE '2026-03-01', 'Oslo', 100), (DATE '2026-03-01', 'Lima', 250)",
    )
    .await?;
    ask(session, "ALTER TABLE sales CREATE TAG first_day").await?;
    Ok(())
}

/// Write, audit, publish by a branch.
async fn write_and_audit(session: &Session) -> Outcome {
    chapter("The second day is written to a branch");
    ask(session, "ALTER TABLE sales CREATE BRANCH audit").await?;
    ask(
        session,
        "INSERT INTO sales.branch_audit VALUES\n  \
         (DATE '2026-03-02', 'Oslo', 120), (DATE '2026-03-02', 'Lima', -80),\n  \
         (DATE '2026-03-02', 'Pune', NULL)",
    )
    .await?;
    println!("Readers see what they saw before, the auditor sees the load:\n");
    assert_eq!(ask(session, TOTALS).await?, ["2026-03-01 | 2 | 350.00"]);
    assert_eq!(ask(session, WRONG).await?, ["Lima | -80.00", "Pune | "]);

    println!("The branch is mended as any table is:\n");
    let updated = ask(
        session,
        "UPDATE sales.branch_audit SET amount = -amount WHERE amount < 0",
    )
    .await?;
    let deleted = ask(
        session,
        "DELETE FROM sales.branch_audit WHERE amount IS NULL",
    )
    .await?;
    assert_eq!((updated, deleted), (one("1"), one("1")));
    assert!(ask(session, WRONG).await?.is_empty());

    println!("Nothing is wrong any more, so the table becomes what the branch is, in one step:\n");
    ask(
        session,
        "CALL system.fast_forward('sales', 'main', 'audit')",
    )
    .await?;
    ask(session, "ALTER TABLE sales DROP BRANCH audit").await?;
    assert_eq!(
        ask(session, TOTALS).await?,
        ["2026-03-01 | 2 | 350.00", "2026-03-02 | 2 | 200.00"]
    );
    Ok(())
}

/// A load that fails its audit leaves nothing behind.
async fn throw_away(session: &Session) -> Outcome {
    chapter("A load that nobody can mend");
    let before = ask(session, TOTALS).await?;
    ask(session, "ALTER TABLE sales CREATE BRANCH audit").await?;
    ask(
        session,
        "INSERT OVERWRITE sales.branch_audit VALUES (DATE '2026-03-03', 'Oslo', 0)",
    )
    .await?;
    assert_eq!(ask(session, WRONG).await?, ["Oslo | 0.00"]);
    ask(session, "ALTER TABLE sales DROP BRANCH audit").await?;
    assert_eq!(ask(session, TOTALS).await?, before);

    println!("A branch that main has left behind cannot become main: rows would be lost.\n");
    ask(session, "ALTER TABLE sales CREATE BRANCH audit").await?;
    for target in ["sales.branch_audit", "sales"] {
        let insert = format!("INSERT INTO {target} VALUES (DATE '2026-03-03', 'Lima', 70)");
        ask(session, &insert).await?;
    }
    let refused = ask(
        session,
        "CALL system.fast_forward('sales', 'main', 'audit')",
    )
    .await;
    let error = refused.err().ok_or("must be refused")?;
    println!("  -> {error}\n");
    ask(session, "ALTER TABLE sales DROP BRANCH audit").await?;
    Ok(())
}

/// Write, audit, publish by an id: there may be any number of loads in the air at once.
async fn stage(session: &Session) -> Outcome {
    chapter("Two changes are staged under ids, and the table goes on meanwhile");
    ask(
        session,
        "ALTER TABLE sales SET TBLPROPERTIES ('write.wap.enabled' = 'true')",
    )
    .await?;
    let before = ask(session, TOTALS).await?;
    for (id, change) in [
        (
            "load-7",
            "INSERT INTO sales VALUES (DATE '2026-03-04', 'Pune', 500)",
        ),
        (
            "load-8",
            "UPDATE sales SET amount = 1.25 * amount WHERE shop = 'Oslo'",
        ),
    ] {
        ask(session, &format!("SET lakehouse.wap_id = '{id}'")).await?;
        ask(session, change).await?;
    }
    ask(session, "RESET lakehouse.wap_id").await?;
    assert_eq!(ask(session, TOTALS).await?, before);

    println!(
        "A staged change is a snapshot that no branch has; the auditor reads it as a version:\n"
    );
    let staged = ask(
        session,
        "SELECT snapshot_id FROM sales.snapshots WHERE summary['wap.id'] = 'load-7'",
    )
    .await?;
    let [snapshot] = staged.as_slice() else {
        return Err("one snapshot was staged under this id".into());
    };
    let audit = format!(
        "SELECT shop, amount FROM sales FOR VERSION AS OF {snapshot} WHERE day = DATE '2026-03-04'"
    );
    assert_eq!(ask(session, &audit).await?, ["Pune | 500.00"]);

    println!("Somebody else writes in between:\n");
    ask(
        session,
        "INSERT INTO sales VALUES (DATE '2026-03-04', 'Oslo', 1)",
    )
    .await?;
    Ok(())
}

async fn publish(session: &Session) -> Outcome {
    chapter("One of them is published, on top of what came meanwhile");
    ask(session, "CALL system.publish_changes('sales', 'load-7')").await?;
    let day = "SELECT shop, amount FROM sales WHERE day = DATE '2026-03-04' ORDER BY shop";
    assert_eq!(ask(session, day).await?, ["Oslo | 1.00", "Pune | 500.00"]);

    println!("Twice would be once too often:\n");
    let again = ask(session, "CALL system.publish_changes('sales', 'load-7')").await;
    let error = again.err().ok_or("must be refused")?;
    println!("  -> {error}\n");
    assert_ne!(error.kind(), ErrorKind::Internal);
    assert_eq!(ask(session, day).await?, ["Oslo | 1.00", "Pune | 500.00"]);
    Ok(())
}

async fn roll_back(session: &Session) -> Outcome {
    chapter("What slipped through all audits is rolled back");
    let good = ask(session, TOTALS).await?;
    let head = ask(
        session,
        "SELECT snapshot_id FROM sales.refs WHERE name = 'main'",
    )
    .await?;
    ask(session, "UPDATE sales SET amount = amount * 100").await?;
    assert_ne!(ask(session, TOTALS).await?, good);
    let head = &head[0];
    ask(
        session,
        &format!("CALL system.rollback_to_snapshot('sales', {head})"),
    )
    .await?;
    assert_eq!(ask(session, TOTALS).await?, good);

    println!("And the tag of the first day says what it said on the first day:\n");
    let first = TOTALS.replace("FROM sales", "FROM sales FOR VERSION AS OF 'first_day'");
    assert_eq!(ask(session, &first).await?, ["2026-03-01 | 2 | 350.00"]);
    Ok(())
}

fn one(row: &str) -> Vec<String> {
    vec![row.to_owned()]
}
