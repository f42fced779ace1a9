//! What the metadata of a file that no manifest lists yet says about its rows.

use iceberg::spec::{DataFile, TableMetadata};

use super::evaluate::{ColumnFacts, Facts};
use super::partition::TupleFacts;
use super::plan::spec_layout;
use super::predicate::Predicate;
use super::strict::file_must_match;
use super::value::Value;

/// Whether all rows of a data file surely match, by its partition and its columns' bounds.
/// `predicate` must be the condition itself.
pub(crate) fn surely_matches(
    predicate: &Predicate,
    metadata: &TableMetadata,
    spec_id: i32,
    file: &DataFile,
) -> bool {
    let Some(layout) = spec_layout(metadata, spec_id) else {
        return *predicate == Predicate::AlwaysTrue;
    };
    let tuple = TupleFacts {
        layout: &layout,
        tuple: file.partition(),
    };
    file.record_count() == 0 || file_must_match(predicate, &OwnFacts(file), &layout, &tuple)
}

/// The bounds and counts that a file was written with.
struct OwnFacts<'a>(&'a DataFile);

impl ColumnFacts for OwnFacts<'_> {
    fn facts(&self, field_id: i32) -> Facts<'_> {
        let file = self.0;
        Facts {
            lower: file.lower_bounds().get(&field_id).and_then(Value::of_datum),
            upper: file.upper_bounds().get(&field_id).and_then(Value::of_datum),
            nulls: file.null_value_counts().get(&field_id).copied(),
            nans: file.nan_value_counts().get(&field_id).copied(),
            values: file.value_counts().get(&field_id).copied(),
        }
    }
}
