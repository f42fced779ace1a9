//! Conditions on rows as questions about manifests and files.

use iceberg::spec::{DataContentType, Literal, ManifestFile, Struct, TableMetadata};

use super::evaluate::may_match;
use super::partition::{PartitionLayout, SummaryFacts, TupleFacts, project};
use super::placed_file::PlacedFile;
use super::plan::{FileFacts, spec_layout};
use super::predicate::Predicate;
use super::strict::file_must_match;
use super::value::Value;

/// How many rows of a file match a condition, as far as manifests tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matched {
    /// Surely none.
    None,
    /// It cannot be told without reading the file.
    Unknown,
    /// Surely all.
    All,
}

/// Whether a manifest may list a data file with a matching row.
pub(crate) fn manifest_may_match(
    predicate: &Predicate,
    manifest: &ManifestFile,
    metadata: &TableMetadata,
) -> bool {
    let layout = spec_layout(metadata, manifest.partition_spec_id);
    match (layout, &manifest.partitions) {
        (Some(layout), Some(summaries)) => {
            let layout = &layout;
            may_match(
                &project(predicate, layout),
                &SummaryFacts { layout, summaries },
            )
        }
        _ => true,
    }
}

/// How many rows of a data file match.
pub(crate) fn matched_rows(predicate: &Predicate, file: &PlacedFile) -> Matched {
    let layout = file.layout.as_ref();
    let tuple = TupleFacts {
        layout,
        tuple: file.file().partition(),
    };
    let columns = FileFacts(file.file());
    if !may_match(&project(predicate, layout), &tuple) || !may_match(predicate, &columns) {
        Matched::None
    } else if file.file().record_count() == 0
        || file_must_match(predicate, &columns, layout, &tuple)
    {
        Matched::All
    } else {
        Matched::Unknown
    }
}

/// Whether a delete file may delete a row that matches.
pub(crate) fn delete_may_match(
    predicate: &Predicate,
    file: &PlacedFile,
    metadata: &TableMetadata,
) -> bool {
    let layout = file.layout.as_ref();
    let tuple = TupleFacts {
        layout,
        tuple: file.file().partition(),
    };
    // Some writers list deletes under the newest spec, whatever the spec of the data file.
    let is_placed = metadata.partition_specs_iter().len() == 1
        || file.file().content_type() == DataContentType::EqualityDeletes;
    (!is_placed || may_match(&project(predicate, layout), &tuple))
        && may_match(predicate, &FileFacts(file.file()))
}

/// Whether all rows that a delete file deletes match, by its partition alone.
pub(crate) fn delete_must_match(predicate: &Predicate, file: &PlacedFile) -> bool {
    struct Unknown;
    impl super::evaluate::ColumnFacts for Unknown {
        fn facts(&self, _: i32) -> super::evaluate::Facts<'_> {
            super::evaluate::Facts::default()
        }
    }
    let layout = file.layout.as_ref();
    let tuple = TupleFacts {
        layout,
        tuple: file.file().partition(),
    };
    file_must_match(predicate, &Unknown, layout, &tuple)
}

/// Whether a manifest may list a file of a partition, by the summaries of its list.
pub(crate) fn manifest_may_hold(
    manifest: &ManifestFile,
    layout: &PartitionLayout,
    tuple: &Struct,
) -> bool {
    let Some(summaries) = &manifest.partitions else {
        return true;
    };
    let facts = SummaryFacts { layout, summaries };
    layout
        .columns
        .iter()
        .zip(tuple.fields())
        .all(|(column, value)| {
            let known = facts.of_field(column.field_id);
            match (value, &column.result_type) {
                (None, _) => known.nulls != Some(0),
                (Some(Literal::Primitive(value)), Some(kind)) => {
                    let Some(value) = Value::of(kind, value) else {
                        return true;
                    };
                    use std::cmp::Ordering::{Greater, Less};
                    matches!(value, Value::Float(v) if v.is_nan())
                        || !known.lower_is(Greater, value) && !known.upper_is(Less, value)
                }
                _ => true,
            }
        })
}
