//! Splitting a batch by partition tuple.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Schema as ArrowSchema, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampNanosecondType,
};
use arrow::row::{RowConverter, Rows, SortField};
use iceberg::spec::{
    Literal, PartitionSpec, PrimitiveLiteral, PrimitiveType, Schema, Struct, Transform, Type,
};

use super::transform::apply;
use crate::error::{Error, Result};
use crate::table::field_id;

/// Partition tuple of a row in comparable form; equal tuples have equal keys.
pub(super) type PartitionKey = Arc<[u8]>;

/// The key of a tuple that comes without rows; 0.0 and -0.0 are two, although they are equal.
/// Unlike the keys of rows, it does not begin with a byte that says whether there is a value.
pub(super) fn key_of(partition: &Struct) -> PartitionKey {
    match partition.fields() {
        [] => PartitionKey::default(),
        _ => PartitionKey::from(format!("{partition:?}").into_bytes()),
    }
}

/// Splits batches by the partition spec of a table.
#[derive(Debug)]
pub(super) struct Partitioner {
    fields: Vec<PartitionColumn>,
    converter: Option<RowConverter>,
}

/// One field of the spec.
#[derive(Debug)]
pub(super) struct PartitionColumn {
    pub(super) name: String,
    pub(super) transform: Transform,
    /// The type of the partition values.
    pub(super) result: PrimitiveType,
    source: Option<Source>,
}

/// Where the transform's input stands in a batch.
#[derive(Debug)]
struct Source {
    path: Vec<usize>,
    stored: DataType,
    name: String,
}

/// Rows of one batch that share a partition tuple.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: PartitionKey,
    pub(super) partition: Struct,
    pub(super) rows: RecordBatch,
}

impl Partitioner {
    /// The splitter for new files of `spec`; `stored` is [`crate::table::write_schema`].
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for a transform that cannot be computed.
    pub(super) fn try_new(
        spec: &PartitionSpec,
        schema: &Schema,
        stored: &ArrowSchema,
    ) -> Result<Self> {
        let mut fields = Vec::with_capacity(spec.fields().len());
        let mut sort_fields = Vec::with_capacity(spec.fields().len());
        for field in spec.fields() {
            let column = PartitionColumn::try_new(field, schema, stored)?;
            if let Some(source) = &column.source {
                // The transform of no values has the type of the partition values.
                let none = arrow::array::new_empty_array(&source.stored);
                let values = apply(column.transform, &none)
                    .map_err(|error| error.with_context("partition field", &column.name))?;
                sort_fields.push(SortField::new(values.data_type().clone()));
            }
            fields.push(column);
        }
        let converter = match sort_fields.is_empty() {
            true => None,
            false => Some(RowConverter::new(sort_fields)?),
        };
        Ok(Self { fields, converter })
    }

    /// The fields of the spec, in order.
    pub(super) fn fields(&self) -> &[PartitionColumn] {
        &self.fields
    }

    /// The rows of `batch` by partition; a batch of one partition is passed on as it is.
    pub(super) fn split(&self, batch: &RecordBatch) -> Result<Vec<Group>> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let values = self.fields.iter().map(|field| field.values(batch));
        let values: Vec<Option<ArrayRef>> = values.collect::<Result<_>>()?;
        let Some(converter) = &self.converter else {
            return Ok(vec![self.group(
                PartitionKey::default(),
                &values,
                0,
                batch.clone(),
            )?]);
        };
        let present: Vec<ArrayRef> = values.iter().flatten().map(Arc::clone).collect();
        let keys = converter.convert_columns(&present)?;
        let group = |row: usize, rows: RecordBatch| {
            self.group(Arc::from(keys.row(row).as_ref()), &values, row, rows)
        };
        let Some(Order { indices, ranges }) = order(&keys)? else {
            return Ok(vec![group(0, batch.clone())?]);
        };
        let sorted = match indices {
            Some(indices) => &take_record_batch(batch, &indices)?,
            None => batch,
        };
        let groups = ranges
            .into_iter()
            .map(|(first, range)| group(first, sorted.slice(range.start, range.len())));
        groups.collect()
    }

    fn group(
        &self,
        key: PartitionKey,
        values: &[Option<ArrayRef>],
        row: usize,
        rows: RecordBatch,
    ) -> Result<Group> {
        let literals = self
            .fields
            .iter()
            .zip(values)
            .map(|(field, values)| match values {
                Some(values) => literal(values, row, &field.result),
                None => Ok(None),
            });
        Ok(Group {
            key,
            partition: literals
                .collect::<Result<Vec<Option<Literal>>>>()?
                .into_iter()
                .collect(),
            rows,
        })
    }
}

impl PartitionColumn {
    fn try_new(
        field: &iceberg::spec::PartitionField,
        schema: &Schema,
        stored: &ArrowSchema,
    ) -> Result<Self> {
        let source = schema.field_by_id(field.source_id);
        let result = match source {
            Some(source) => field.transform.result_type(&source.field_type)?,
            // The column of a field that was dropped in format version 1 may be gone.
            None if field.transform == Transform::Void => Type::Primitive(PrimitiveType::Int),
            None => {
                return Err(Error::corrupt(format!(
                    "partition field {:?} is made of a column that the schema does not have",
                    field.name
                )));
            }
        };
        let Type::Primitive(result) = result else {
            return Err(Error::corrupt(format!(
                "partition field {:?} is made of a column that is not primitive",
                field.name
            )));
        };
        let source = match field.transform {
            Transform::Void => None,
            _ => Some(Source::find(field, stored)?),
        };
        Ok(Self {
            name: field.name.clone(),
            transform: field.transform,
            result,
            source,
        })
    }

    /// The partition values of all rows; `None` when the field is NULL in every row.
    fn values(&self, batch: &RecordBatch) -> Result<Option<ArrayRef>> {
        let Some(source) = &self.source else {
            return Ok(None);
        };
        let input = column_at(batch, &source.path)?;
        // Views and dictionaries become the stored form, so that keys of all batches compare.
        let input = match input.data_type() == &source.stored {
            true => input,
            false => cast(&input, &source.stored)?,
        };
        let values = apply(self.transform, &input)
            .map_err(|error| error.with_context("column", &source.name))?;
        Ok(Some(values))
    }
}

impl Source {
    fn find(field: &iceberg::spec::PartitionField, stored: &ArrowSchema) -> Result<Self> {
        let mut pending: Vec<(Vec<usize>, _)> = vec![(Vec::new(), stored.fields())];
        while let Some((path, fields)) = pending.pop() {
            for (index, candidate) in fields.iter().enumerate() {
                let mut path = path.clone();
                path.push(index);
                if field_id(candidate.metadata()) == Some(field.source_id) {
                    return Ok(Self {
                        path,
                        stored: candidate.data_type().clone(),
                        name: candidate.name().clone(),
                    });
                }
                if let DataType::Struct(children) = candidate.data_type() {
                    pending.push((path, children));
                }
            }
        }
        Err(Error::corrupt(format!(
            "partition field {:?} is made of a column inside a list or map",
            field.name
        )))
    }
}

/// The column at a path of positions; a row whose parent is NULL is NULL.
pub(super) fn column_at(batch: &RecordBatch, path: &[usize]) -> Result<ArrayRef> {
    let (first, nested) = path
        .split_first()
        .ok_or_else(|| Error::internal("a column path must not be empty"))?;
    nested_column(batch.column(*first), nested)
}

/// The field of a struct column at a path of positions; a row whose parent is NULL is NULL.
pub(crate) fn nested_column(column: &ArrayRef, path: &[usize]) -> Result<ArrayRef> {
    let mut column = Arc::clone(column);
    let mut nulls: Option<NullBuffer> = None;
    for position in path {
        let parent = column
            .as_struct_opt()
            .ok_or_else(|| Error::internal("a nested column path must lead through structs"))?;
        nulls = NullBuffer::union(nulls.as_ref(), parent.nulls());
        column = Arc::clone(parent.column(*position));
    }
    if nulls.is_none() {
        return Ok(column);
    }
    let nulls = NullBuffer::union(nulls.as_ref(), column.nulls());
    let masked = column.to_data().into_builder().nulls(nulls).build()?;
    Ok(make_array(masked))
}

/// Rows brought into groups: the rows in group order (`None` when they are in it already), and for
/// each group its first row in the batch and its place in the order.
struct Order {
    indices: Option<UInt32Array>,
    ranges: Vec<(usize, Range<usize>)>,
}

/// `None` when all rows have the same key.
fn order(keys: &Rows) -> Result<Option<Order>> {
    let first = keys.row(0);
    if keys.iter().all(|key| key == first) {
        return Ok(None);
    }
    let mut known = HashMap::new();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut last = None;
    let mut runs = 0_usize;
    for (row, key) in keys.iter().enumerate() {
        let row = u32::try_from(row)
            .map_err(|_| Error::invalid("a batch must have less than 2^32 rows"))?;
        let group = match last {
            Some((last_key, group)) if last_key == key => group,
            _ => {
                runs += 1;
                *known.entry(key).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                })
            }
        };
        last = Some((key, group));
        groups[group].push(row);
    }
    let mut ranges = Vec::with_capacity(groups.len());
    let mut start = 0;
    for group in &groups {
        ranges.push((group[0] as usize, start..start + group.len()));
        start += group.len();
    }
    // One run for each group: the rows stand together already.
    let indices = (runs > groups.len()).then(|| groups.concat().into());
    Ok(Some(Order { indices, ranges }))
}

/// One value in the form that file metadata holds.
fn literal(values: &ArrayRef, row: usize, value_type: &PrimitiveType) -> Result<Option<Literal>> {
    if values.is_null(row) {
        return Ok(None);
    }
    use PrimitiveLiteral as L;
    let value = match values.data_type() {
        DataType::Boolean => L::Boolean(values.as_boolean().value(row)),
        DataType::Int32 => L::Int(values.as_primitive::<Int32Type>().value(row)),
        DataType::Date32 => L::Int(values.as_primitive::<Date32Type>().value(row)),
        DataType::Int64 => L::Long(values.as_primitive::<Int64Type>().value(row)),
        DataType::Time64(TimeUnit::Microsecond) => {
            L::Long(values.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            L::Long(values.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            L::Long(values.as_primitive::<TimestampNanosecondType>().value(row))
        }
        DataType::Float32 => L::Float(values.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => L::Double(values.as_primitive::<Float64Type>().value(row).into()),
        DataType::Decimal128(_, _) => L::Int128(values.as_primitive::<Decimal128Type>().value(row)),
        DataType::Utf8 => L::String(values.as_string::<i32>().value(row).to_owned()),
        DataType::LargeBinary => L::Binary(values.as_binary::<i64>().value(row).to_vec()),
        DataType::FixedSizeBinary(_) => {
            let bytes = values.as_fixed_size_binary().value(row);
            match (value_type, <[u8; 16]>::try_from(bytes)) {
                (PrimitiveType::Uuid, Ok(bytes)) => L::UInt128(u128::from_be_bytes(bytes)),
                _ => L::Binary(bytes.to_vec()),
            }
        }
        other => {
            return Err(Error::internal(format!(
                "partition values cannot be of type {other}"
            )));
        }
    };
    Ok(Some(Literal::Primitive(value)))
}
