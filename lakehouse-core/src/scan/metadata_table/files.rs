//! The metadata table `files`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, Int32Array, Int32Builder, Int64Array,
    Int64Builder, ListBuilder, RecordBatch, StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use iceberg::spec::{DataFile, Datum, PrimitiveType, Schema, TableMetadata, Type};

use super::arrays::{literals, maps};
use super::schema_of;
use crate::error::Result;
use crate::scan::manifest::ReadManifest;
use crate::scan::partition::PartitionLayout;
use crate::scan::partition_union::PartitionUnion;
use crate::scan::plan::RowIds;
use crate::scan::value::Value;

/// A column that files may have metrics of.
struct LeafColumn {
    field_id: i32,
    name: String,
    kind: PrimitiveType,
}

/// The shape of a table's `files`: it follows from the specs and the current schema.
pub(super) struct FilesTable {
    partition: PartitionUnion,
    leaves: Vec<LeafColumn>,
    schema: SchemaRef,
}

impl FilesTable {
    pub(super) fn new(metadata: &TableMetadata) -> Result<Self> {
        let mut table = Self {
            partition: PartitionUnion::new(metadata),
            leaves: leaf_columns(metadata.current_schema()),
            schema: schema_of(Vec::new()),
        };
        // Columns without rows have the types that columns with rows have.
        let fields = table
            .columns(&[], &[], &PartitionLayout::default())?
            .into_iter()
            .map(|(name, nullable, column)| Field::new(name, column.data_type().clone(), nullable))
            .collect();
        table.schema = schema_of(fields);
        Ok(table)
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The live files of one manifest.
    pub(super) fn batch(&self, read: &ReadManifest) -> Result<RecordBatch> {
        let mut row_ids = RowIds::new(&read.file);
        let (files, first_row_ids): (Vec<_>, Vec<_>) = read
            .manifest
            .entries
            .iter()
            .map(|entry| (entry, row_ids.next(entry)))
            .filter(|(entry, _)| entry.is_alive())
            .map(|(entry, first_row_id)| (entry.data_file(), first_row_id))
            .unzip();
        let columns = self.columns(&files, &first_row_ids, &read.manifest.layout)?;
        let columns = columns.into_iter().map(|(_, _, column)| column).collect();
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }

    /// Name, nullability and values of each column.
    fn columns(
        &self,
        files: &[&DataFile],
        first_row_ids: &[Option<i64>],
        layout: &PartitionLayout,
    ) -> Result<Vec<(&'static str, bool, ArrayRef)>> {
        let rows = || files.iter();
        let content = rows().map(|file| file.content_type() as i32);
        let format = rows().map(|file| file.file_format().to_string().to_ascii_uppercase());
        let specs = rows().map(|_| layout.spec_id);
        let mut columns: Vec<(&'static str, bool, ArrayRef)> = vec![
            (
                "content",
                false,
                Arc::new(Int32Array::from_iter_values(content)),
            ),
            (
                "file_path",
                false,
                Arc::new(StringArray::from_iter_values(
                    rows().map(|file| file.file_path()),
                )),
            ),
            (
                "file_format",
                false,
                Arc::new(StringArray::from_iter_values(format)),
            ),
            (
                "spec_id",
                false,
                Arc::new(Int32Array::from_iter_values(specs)),
            ),
        ];
        if !self.partition.is_empty() {
            let tuples: Vec<_> = rows().map(|file| (layout, file.partition())).collect();
            columns.push(("partition", false, self.partition.array(&tuples)?));
        }
        columns.push((
            "record_count",
            false,
            longs(rows().map(|f| long(f.record_count()))),
        ));
        columns.push((
            "file_size_in_bytes",
            false,
            longs(rows().map(|file| long(file.file_size_in_bytes()))),
        ));
        columns.extend(metric_maps(files)?);
        columns.extend(file_details(files, first_row_ids));
        columns.push(("readable_metrics", false, self.readable_metrics(files)?));
        Ok(columns)
    }

    fn readable_metrics(&self, files: &[&DataFile]) -> Result<ArrayRef> {
        let mut fields = Vec::with_capacity(self.leaves.len());
        let mut arrays = Vec::with_capacity(self.leaves.len());
        for leaf in &self.leaves {
            let metrics = leaf_metrics(leaf, files)?;
            fields.push(Field::new(&leaf.name, metrics.data_type().clone(), false));
            arrays.push(metrics);
        }
        let fields: Fields = fields.into();
        Ok(Arc::new(StructArray::try_new_with_length(
            fields,
            arrays,
            None,
            files.len(),
        )?))
    }
}

/// All primitive fields by full name, nested ones too.
fn leaf_columns(schema: &Schema) -> Vec<LeafColumn> {
    let mut leaves = Vec::new();
    collect_leaves(
        schema,
        &Type::Struct(schema.as_struct().clone()),
        None,
        &mut leaves,
    );
    leaves.sort_by(|a, b| a.name.cmp(&b.name));
    leaves
}

fn collect_leaves(schema: &Schema, kind: &Type, id: Option<i32>, leaves: &mut Vec<LeafColumn>) {
    match kind {
        Type::Primitive(kind) => {
            let named = id.and_then(|id| Some((id, schema.name_by_field_id(id)?)));
            leaves.extend(named.map(|(field_id, name)| LeafColumn {
                field_id,
                name: name.to_owned(),
                kind: kind.clone(),
            }));
        }
        Type::Struct(fields) => {
            for field in fields.fields() {
                collect_leaves(schema, &field.field_type, Some(field.id), leaves);
            }
        }
        Type::List(list) => {
            let element = &list.element_field;
            collect_leaves(schema, &element.field_type, Some(element.id), leaves);
        }
        Type::Map(map) => {
            for field in [&map.key_field, &map.value_field] {
                collect_leaves(schema, &field.field_type, Some(field.id), leaves);
            }
        }
    }
}

fn leaf_metrics(leaf: &LeafColumn, files: &[&DataFile]) -> Result<ArrayRef> {
    let id = leaf.field_id;
    let count = |counts: fn(&DataFile) -> &HashMap<i32, u64>| {
        longs(files.iter().map(|file| long(*counts(file).get(&id)?)))
    };
    let bound = |bounds: fn(&DataFile) -> &HashMap<i32, Datum>| -> Result<ArrayRef> {
        let values: Vec<_> = files
            .iter()
            .map(|file| Value::of_datum(bounds(file).get(&id)?)?.to_datum(&leaf.kind))
            .collect();
        literals(&leaf.kind, &values)
    };
    let columns = [
        ("column_size", count(DataFile::column_sizes)),
        ("value_count", count(DataFile::value_counts)),
        ("null_value_count", count(DataFile::null_value_counts)),
        ("nan_value_count", count(DataFile::nan_value_counts)),
        ("lower_bound", bound(DataFile::lower_bounds)?),
        ("upper_bound", bound(DataFile::upper_bounds)?),
    ];
    let (fields, arrays): (Vec<_>, Vec<_>) = columns
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    Ok(Arc::new(StructArray::try_new(fields.into(), arrays, None)?))
}

fn metric_maps(files: &[&DataFile]) -> Result<Vec<(&'static str, bool, ArrayRef)>> {
    let counts = |counts: fn(&DataFile) -> &HashMap<i32, u64>| {
        let rows = files.iter().map(|file| known(counts(file)));
        maps(
            Int32Builder::new(),
            Int64Builder::new(),
            rows,
            |keys, values, (key, value)| {
                keys.append_value(*key);
                values.append_option(long(*value));
            },
        )
    };
    let bounds = |bounds: fn(&DataFile) -> &HashMap<i32, Datum>| {
        let rows = files.iter().map(|file| known(bounds(file)));
        maps(
            Int32Builder::new(),
            BinaryBuilder::new(),
            rows,
            |keys, values, (key, value)| {
                keys.append_value(*key);
                values.append_option(value.to_bytes().ok());
            },
        )
    };
    Ok(vec![
        ("column_sizes", true, counts(DataFile::column_sizes)?),
        ("value_counts", true, counts(DataFile::value_counts)?),
        (
            "null_value_counts",
            true,
            counts(DataFile::null_value_counts)?,
        ),
        (
            "nan_value_counts",
            true,
            counts(DataFile::nan_value_counts)?,
        ),
        ("lower_bounds", true, bounds(DataFile::lower_bounds)?),
        ("upper_bounds", true, bounds(DataFile::upper_bounds)?),
    ])
}

/// The entries in order of key; the decoded form does not tell an empty map from an absent one.
fn known<V>(map: &HashMap<i32, V>) -> Option<BTreeMap<&i32, &V>> {
    (!map.is_empty()).then(|| map.iter().collect())
}

fn file_details(
    files: &[&DataFile],
    first_row_ids: &[Option<i64>],
) -> Vec<(&'static str, bool, ArrayRef)> {
    let rows = || files.iter();
    let mut offsets = ListBuilder::new(Int64Builder::new()).with_field(element(DataType::Int64));
    let mut equality = ListBuilder::new(Int32Builder::new()).with_field(element(DataType::Int32));
    for file in files {
        offsets.append_option(
            file.split_offsets()
                .map(|offsets| offsets.iter().copied().map(Some)),
        );
        equality.append_option(file.equality_ids().map(|ids| ids.into_iter().map(Some)));
    }
    let referenced: Vec<_> = rows().map(|file| file.referenced_data_file()).collect();
    vec![
        (
            "key_metadata",
            true,
            Arc::new(BinaryArray::from_iter(
                rows().map(|file| file.key_metadata()),
            )),
        ),
        ("split_offsets", true, Arc::new(offsets.finish())),
        ("equality_ids", true, Arc::new(equality.finish())),
        (
            "sort_order_id",
            true,
            Arc::new(Int32Array::from_iter(
                rows().map(|file| file.sort_order_id()),
            )),
        ),
        ("first_row_id", true, longs(first_row_ids.iter().copied())),
        (
            "referenced_data_file",
            true,
            Arc::new(StringArray::from(referenced)),
        ),
        (
            "content_offset",
            true,
            longs(rows().map(|file| file.content_offset())),
        ),
        (
            "content_size_in_bytes",
            true,
            longs(rows().map(|file| file.content_size_in_bytes())),
        ),
    ]
}

fn element(kind: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", kind, true))
}

fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn long(value: u64) -> Option<i64> {
    i64::try_from(value).ok()
}
