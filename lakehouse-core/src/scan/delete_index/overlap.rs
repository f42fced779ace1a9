//! Whether an equality delete file can match a row of a data file, by the metrics of both.

use std::cmp::Ordering;

use crate::scan::evaluate::{ColumnFacts, Facts};
use crate::scan::manifest::ListedFile;
use crate::scan::plan::FileFacts;
use crate::scan::value::Value;

/// Whether some row of `data` may have the key of some row of `delete`. `false` is certain.
pub(super) fn may_overlap(delete: &ListedFile, data: &ListedFile) -> bool {
    let (keys, rows) = (FileFacts(delete), FileFacts(data));
    // A file without ids is damaged; that is found out where it is applied.
    delete
        .equality_ids()
        .unwrap_or_default()
        .iter()
        .all(|id| may_equal(&keys.facts(*id), &rows.facts(*id)))
}

/// Whether two columns may have a value in common, NULL and NaN counting as values.
fn may_equal(keys: &Facts<'_>, rows: &Facts<'_>) -> bool {
    let both =
        |known: fn(&Facts<'_>) -> Option<u64>| known(keys) != Some(0) && known(rows) != Some(0);
    if both(|facts| facts.nulls) {
        return true;
    }
    let only_null = |facts: &Facts<'_>| facts.nulls.is_some() && facts.nulls == facts.values;
    if only_null(keys) || only_null(rows) {
        return false;
    }
    // Bounds leave NaN out.
    if (is_float(keys) || is_float(rows)) && both(|facts| facts.nans) {
        return true;
    }
    let above = |one: Option<Value<'_>>, other: Option<Value<'_>>| match (one, other) {
        (Some(one), Some(other)) => one.compare(other) == Some(Ordering::Greater),
        _ => false,
    };
    !above(keys.lower, rows.upper) && !above(rows.lower, keys.upper)
}

/// Without bounds nothing is concluded from them, so a column without any may be of any type.
fn is_float(facts: &Facts<'_>) -> bool {
    matches!(facts.lower, Some(Value::Float(_))) || matches!(facts.upper, Some(Value::Float(_)))
}
