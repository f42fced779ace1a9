//! What a scan finds at each snapshot, in a process that nothing disturbs.

use std::collections::{BTreeMap, HashMap};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use lakehouse::{Lakehouse, Result, Session};

use crate::lake::{extras_of, rows_of};
use crate::model::Row;

/// The rows of one snapshot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Sorted.
    pub(crate) rows: Vec<Row>,
    /// The ids of rows, by key, where the table has them.
    pub(crate) row_ids: BTreeMap<i64, Vec<i64>>,
    /// The names of all columns.
    pub(crate) columns: Vec<String>,
    /// The values of the columns that came later, by name and key.
    pub(crate) extras: BTreeMap<(String, i64), Vec<Option<i64>>>,
}

/// The rows of all snapshots of the table.
pub(crate) async fn all(
    lake: &Lakehouse,
    has_row_ids: bool,
) -> Result<HashMap<i64, Result<Found>>> {
    let session = lake.session()?;
    let mut found = HashMap::new();
    for snapshot in lake.table("t").await?.snapshots() {
        let id = snapshot.snapshot_id();
        found.insert(id, one(&session, id, has_row_ids).await);
    }
    Ok(found)
}

async fn one(session: &Session, snapshot: i64, has_row_ids: bool) -> Result<Found> {
    let row_id = if has_row_ids { ", _row_id" } else { "" };
    let query = format!("SELECT *{row_id} FROM t FOR VERSION AS OF {snapshot}");
    let answer = session.sql(&query).await?;
    let schema = answer.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    let mut found = Found {
        columns: names.filter(|name| name != "_row_id").collect(),
        ..Found::default()
    };
    let batches = answer.collect().await?;
    for batch in &batches {
        let rows = rows_of(batch)?;
        if has_row_ids {
            let ids = batch
                .column(batch.num_columns() - 1)
                .as_primitive::<Int64Type>()
                .values();
            for (row, id) in rows.iter().zip(ids) {
                found.row_ids.entry(row.k).or_default().push(*id);
            }
        }
        for (name, values) in extras_of(batch)? {
            for (row, value) in rows.iter().zip(values) {
                let of_key = found.extras.entry((name.clone(), row.k)).or_default();
                of_key.push(value);
            }
        }
        found.rows.extend(rows);
    }
    found.rows.sort_unstable();
    Ok(found)
}
