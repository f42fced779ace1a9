//! Statements that are shown, run, and shown with their answer.

use arrow::util::display::array_value_to_string;
use arrow::util::pretty::pretty_format_batches;
use lakehouse::{Result, Session};

/// Shows a statement and what it answers; gives each row as text, `1 | Oslo`.
pub(crate) async fn ask(session: &Session, sql: &str) -> Result<Vec<String>> {
    for line in sql.lines() {
        println!("  {line}");
    }
    println!();
    let batches = session.sql(sql).await?.collect().await?;
    if !batches.is_empty() {
        println!("{}\n", pretty_format_batches(&batches)?);
    }
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = batch
                .columns()
                .iter()
                .map(|column| array_value_to_string(column, row))
                .collect::<std::result::Result<_, _>>()?;
            rows.push(cells.join(" | "));
        }
    }
    Ok(rows)
}

/// Begins a part of the story.
pub(crate) fn chapter(title: &str) {
    println!("\n== {title} ==\n");
}
