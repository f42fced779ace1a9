//! Partition specs that the format crate reads and cannot make: two fields without values of one
//! column, as other engines leave them in tables of format version 1.

use std::collections::HashMap;

use iceberg::spec::{TableMetadata, Transform};

use crate::error::{Error, Result};
use crate::name::quote;

/// Refuses to write to a table with such a spec.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`], with the fields.
pub(super) fn refuse_write(metadata: &TableMetadata) -> Result<()> {
    let mut of_column = HashMap::new();
    let fields = metadata.default_partition_spec().fields().iter();
    for field in fields.filter(|field| field.transform == Transform::Void) {
        if let Some(other) = of_column.insert(field.source_id, &field.name) {
            return Err(Error::unsupported(format!(
                "the dropped partition fields {} and {} of the table are of one column, which this \
                 library does not write; the table can only be read: copy it by CREATE TABLE … AS \
                 SELECT",
                quote(other),
                quote(&field.name)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_fields_without_values_of_one_column_are_refused_by_name() {
        let metadata = |second_source: i32| -> TableMetadata {
            let spec = json!([
                {"source-id": 1, "field-id": 1000, "name": "k_1000", "transform": "void"},
                {"source-id": second_source, "field-id": 1001, "name": "b", "transform": "void"},
            ]);
            let schema = json!({"type": "struct", "schema-id": 0, "fields": [
                {"id": 1, "name": "k", "required": false, "type": "int"},
                {"id": 2, "name": "v", "required": false, "type": "int"},
            ]});
            serde_json::from_value(json!({
                "format-version": 1, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
                "location": "memory:///t", "last-updated-ms": 1, "last-column-id": 2,
                "schema": schema, "schemas": [schema], "current-schema-id": 0,
                "partition-spec": spec, "default-spec-id": 0, "last-partition-id": 1001,
                "partition-specs": [{"spec-id": 0, "fields": spec}],
                "sort-orders": [{"order-id": 0, "fields": []}], "default-sort-order-id": 0,
            }))
            .unwrap()
        };
        refuse_write(&metadata(2)).unwrap();
        let error = refuse_write(&metadata(1)).unwrap_err();
        assert!(error.message().contains("\"k_1000\" and \"b\""), "{error}");
    }
}
