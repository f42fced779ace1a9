//! Metadata columns in a scan: constants of a file, and values that follow from a row's place in it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringViewArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema as ArrowSchema};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use iceberg::spec::{
    NestedField, NestedFieldRef, PrimitiveType, Schema, SchemaRef, TableMetadata, Type,
};
use parquet::arrow::RowNumber;
use parquet::file::metadata::ParquetMetaData;

use super::field_mapping::ColumnSource;
use crate::error::{Error, Result};
use crate::scan::{DeletedRows, MetadataColumn, PartitionUnion, ScanFile};

/// The metadata columns of a scan, behind the table's own.
#[derive(Debug, Clone)]
pub(crate) struct MetadataColumns {
    columns: Vec<MetadataColumn>,
    union: Arc<PartitionUnion>,
}

impl MetadataColumns {
    /// `columns` of a table whose partition fields are `union`.
    pub(super) fn new(columns: Vec<MetadataColumn>, union: Arc<PartitionUnion>) -> Self {
        Self { columns, union }
    }

    /// No columns, of a table.
    pub(super) fn none(metadata: &TableMetadata) -> Self {
        Self::new(Vec::new(), Arc::new(PartitionUnion::new(metadata)))
    }

    /// The columns, in the order in which they are read.
    pub(super) fn columns(&self) -> &[MetadataColumn] {
        &self.columns
    }

    /// The columns as they are read.
    ///
    /// # Errors
    /// As [`MetadataColumn::field`].
    pub(super) fn fields(&self) -> Result<Vec<FieldRef>> {
        let fields = self.columns.iter();
        fields
            .map(|column| Ok(Arc::new(column.field(&self.union)?)))
            .collect()
    }

    /// A table's schema with stand-ins for the columns behind its own, so that a place in it is one
    /// in the columns that are read.
    ///
    /// # Errors
    /// When the format crate refuses the schema.
    pub(super) fn schema_with(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        if self.columns.is_empty() {
            return Ok(Arc::clone(schema));
        }
        let own = schema.as_struct().fields().iter().map(Arc::clone);
        let stand_ins = self.columns.iter().map(|column| -> NestedFieldRef {
            let kind = Type::Primitive(PrimitiveType::String);
            NestedField::optional(column.field_id(), column.name(), kind).into()
        });
        let schema = Schema::builder().with_fields(own.chain(stand_ins));
        Ok(Arc::new(schema.build()?))
    }

    /// Where a metadata column comes from in a file; `stored` finds the file's own column of a
    /// field id.
    ///
    /// # Errors
    /// When the file stores the column in another type.
    pub(super) fn source(
        &self,
        column: MetadataColumn,
        file: &ScanFile,
        stored: impl FnOnce(i32) -> Option<(usize, DataType)>,
    ) -> Result<ColumnSource> {
        Ok(match column {
            MetadataColumn::Pos => ColumnSource::Row(RowSource::new(None, Inherited::Place(0))),
            MetadataColumn::RowId => {
                let inherited = file.first_row_id.map_or(Inherited::Null, Inherited::Place);
                row_source(column, stored(column.field_id()), inherited)?
            }
            MetadataColumn::LastUpdatedSequenceNumber => {
                let inherited = match file.first_row_id {
                    Some(_) => Inherited::Value(file.sequence_number),
                    None => Inherited::Null,
                };
                row_source(column, stored(column.field_id()), inherited)?
            }
            MetadataColumn::Deleted if !file.deletes.is_empty() => {
                ColumnSource::Deleted(DeletedSource::default())
            }
            constant => {
                let array = self.constants(constant, &[file])?;
                ColumnSource::Constant(ScalarValue::try_from_array(&array, 0)?)
            }
        })
    }

    /// The value that a column has in each of some files; for columns that are constant in a file.
    fn constants(&self, column: MetadataColumn, files: &[&ScanFile]) -> Result<ArrayRef> {
        let files = files.iter();
        Ok(match column {
            MetadataColumn::File => Arc::new(StringViewArray::from_iter_values(
                files.map(|file| file.path()),
            )),
            MetadataColumn::SpecId => Arc::new(Int32Array::from_iter_values(
                files.map(|file| file.spec_id()),
            )),
            MetadataColumn::Partition => {
                let tuples: Vec<_> = files.map(|file| file.partition_tuple()).collect();
                self.union.of_files(&tuples)?
            }
            // Of files without deletes.
            MetadataColumn::Deleted => {
                Arc::new(BooleanArray::from_iter(files.map(|_| Some(false))))
            }
            MetadataColumn::Pos
            | MetadataColumn::RowId
            | MetadataColumn::LastUpdatedSequenceNumber => {
                return Err(Error::internal("a row's own value was taken for a file's"));
            }
        })
    }

    /// The columns that have one value in a file and are known before it is read.
    fn of_files(&self) -> Vec<MetadataColumn> {
        use MetadataColumn as M;
        let columns = self.columns.iter().copied();
        columns
            .filter(|column| matches!(column, M::File | M::SpecId | M::Partition))
            .collect()
    }

    /// Whether a filter looks at nothing but the file that a row is in.
    pub(super) fn is_about_files(&self, filter: &Expr) -> bool {
        let known = self.of_files();
        let columns = filter.column_refs();
        !columns.is_empty()
            && !filter.is_volatile()
            && columns
                .iter()
                .all(|column| known.iter().any(|known| known.name() == column.name))
    }

    /// Whether deleted rows come back, because one of the columns that are looked at flags them.
    pub(super) fn has_flags(&self, mut looked_at: impl Iterator<Item = usize>) -> bool {
        looked_at.any(|index| self.columns.get(index) == Some(&MetadataColumn::Deleted))
    }

    /// Takes out the files that `filters` tell to hold no wanted row; gives the number taken out.
    ///
    /// What cannot be evaluated takes out nothing: the engine filters once more.
    pub(super) fn prune(
        &self,
        files: &mut Vec<ScanFile>,
        filters: &[Expr],
        state: &dyn Session,
    ) -> Result<usize> {
        let about_files = filters.iter().filter(|filter| self.is_about_files(filter));
        let Some(filter) = conjunction(about_files.cloned()) else {
            return Ok(0);
        };
        let rows: Vec<&ScanFile> = files.iter().collect();
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for column in self.of_files() {
            fields.push(column.field(&self.union)?);
            arrays.push(self.constants(column, &rows)?);
        }
        let schema = Arc::new(ArrowSchema::new(fields));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options)?;
        let Ok(wanted) = evaluate(&batch, filter, state) else {
            return Ok(0);
        };
        let Some(wanted) = wanted.as_boolean_opt() else {
            return Ok(0);
        };
        let before = files.len();
        let mut row = 0;
        files.retain(|_| {
            let keep = wanted.is_valid(row) && wanted.value(row);
            row += 1;
            keep
        });
        Ok(before - files.len())
    }
}

fn evaluate(batch: &RecordBatch, filter: Expr, state: &dyn Session) -> EngineResult<ArrayRef> {
    let schema = DFSchema::try_from(batch.schema())?;
    let filter = state.create_physical_expr(filter, &schema)?;
    filter.evaluate(batch)?.into_array(batch.num_rows())
}

fn row_source(
    column: MetadataColumn,
    stored: Option<(usize, DataType)>,
    inherited: Inherited,
) -> Result<ColumnSource> {
    match (stored, inherited) {
        (Some((_, other)), _) if other != DataType::Int64 => Err(Error::unsupported(format!(
            "column {:?} is stored as {other} in the data file, which cannot be read as Int64",
            column.name()
        ))),
        (None, Inherited::Null) => Ok(ColumnSource::Constant(ScalarValue::Int64(None))),
        (None, Inherited::Value(value)) => {
            Ok(ColumnSource::Constant(ScalarValue::Int64(Some(value))))
        }
        (stored, inherited) => Ok(ColumnSource::Row(RowSource::new(
            stored.map(|(root, _)| root),
            inherited,
        ))),
    }
}

/// The value of a row whose file does not store one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Inherited {
    Null,
    /// The same for all rows of the file.
    Value(i64),
    /// The row's place in its file, counted from here.
    Place(i64),
}

/// A whole number of each row: what the file stores, else what the row inherits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowSource {
    /// The file's column, by position.
    stored: Option<usize>,
    inherited: Inherited,
    /// The column of row numbers, by position in decoded batches.
    numbers: usize,
}

impl RowSource {
    fn new(stored: Option<usize>, inherited: Inherited) -> Self {
        Self {
            stored,
            inherited,
            numbers: 0,
        }
    }

    /// The file's column that is read.
    pub(super) fn stored(&self) -> Option<usize> {
        self.stored
    }

    /// Whether row numbers are read.
    pub(super) fn is_numbered(&self) -> bool {
        matches!(self.inherited, Inherited::Place(_))
    }

    /// The same source in decoded batches: `stored` is where the file's column is, `numbers` where
    /// row numbers are.
    pub(super) fn decoded(&self, stored: Option<usize>, numbers: usize) -> Self {
        Self {
            stored,
            inherited: self.inherited,
            numbers,
        }
    }

    /// The values in one batch.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] when ids leave the range of 64 bits.
    pub(super) fn array<'a>(
        &self,
        rows: usize,
        column: impl Fn(usize) -> Option<&'a ArrayRef>,
    ) -> Result<ArrayRef> {
        let long = |position: usize| {
            column(position)
                .and_then(|array| array.as_primitive_opt::<Int64Type>())
                .ok_or_else(|| Error::internal("a column of row numbers was not decoded"))
        };
        let stored = self.stored.map(long).transpose()?;
        if let Some(stored) = stored.filter(|stored| stored.null_count() == 0) {
            return Ok(Arc::new(stored.clone()));
        }
        let inherited: Int64Array = match self.inherited {
            Inherited::Null => {
                return Ok(match stored {
                    Some(stored) => Arc::new(stored.clone()),
                    None => new_null_array(&DataType::Int64, rows),
                });
            }
            Inherited::Value(value) => Int64Array::from_value(value, rows),
            Inherited::Place(first) => long(self.numbers)?
                .try_unary(|number| {
                    first.checked_add(number).ok_or_else(|| {
                        arrow::error::ArrowError::ArithmeticOverflow(format!(
                            "row id {first} + {number}"
                        ))
                    })
                })
                .map_err(|error| {
                    Error::corrupt("the ids of a file's rows leave the range of 64 bits")
                        .with_source(error)
                })?,
        };
        let Some(stored) = stored else {
            return Ok(Arc::new(inherited));
        };
        let merged = stored.iter().zip(&inherited);
        let merged: Int64Array = merged.map(|(own, other)| own.or(other)).collect();
        Ok(Arc::new(merged))
    }
}

/// Whether each row is deleted, by its number in the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeletedSource {
    rows: Option<Arc<DeletedRows>>,
    /// The column of row numbers, by position in decoded batches.
    numbers: usize,
}

impl DeletedSource {
    /// The source, once the deleted rows are known; `None` when there are none.
    pub(super) fn new(rows: Option<Arc<DeletedRows>>) -> Self {
        Self { rows, numbers: 0 }
    }

    /// The same source in decoded batches: `numbers` is where row numbers are.
    pub(super) fn decoded(&self, numbers: usize) -> Self {
        Self {
            rows: self.rows.as_ref().map(Arc::clone),
            numbers,
        }
    }

    /// The flags of one batch.
    ///
    /// # Errors
    /// When no row numbers were decoded.
    pub(super) fn array<'a>(
        &self,
        rows: usize,
        column: impl Fn(usize) -> Option<&'a ArrayRef>,
    ) -> Result<ArrayRef> {
        let Some(deleted) = &self.rows else {
            return Ok(Arc::new(BooleanArray::from(vec![false; rows])));
        };
        let numbers = column(self.numbers).and_then(|array| array.as_primitive_opt::<Int64Type>());
        let numbers =
            numbers.ok_or_else(|| Error::internal("a column of row numbers was not decoded"))?;
        let is_deleted =
            |number: &i64| u64::try_from(*number).is_ok_and(|number| deleted.contains(number));
        let flags = numbers.values().iter().map(is_deleted);
        Ok(Arc::new(BooleanArray::from_iter(flags.map(Some))))
    }
}

/// The column of row numbers, as the Parquet reader makes it.
pub(super) fn row_numbers() -> FieldRef {
    Arc::new(Field::new("row number", DataType::Int64, false).with_extension_type(RowNumber))
}

/// The footer with row groups numbered by their order. The reader counts rows by the number that
/// a file gives each group, and not every writer gives right ones.
///
/// # Errors
/// When the file has more row groups than the format can number.
pub(super) fn numbered(footer: &Arc<ParquetMetaData>) -> Result<Arc<ParquetMetaData>> {
    let ordinal = |index: usize| {
        i16::try_from(index).map_err(|_| {
            Error::unsupported("the data file has more row groups than can be numbered")
        })
    };
    let mut groups = footer.row_groups().iter().enumerate();
    if groups.all(|(index, group)| {
        group
            .ordinal()
            .is_some_and(|own| usize::try_from(own) == Ok(index))
    }) {
        return Ok(Arc::clone(footer));
    }
    let mut builder = footer.as_ref().clone().into_builder();
    let groups = builder.take_row_groups();
    for (index, group) in groups.into_iter().enumerate() {
        let group = group.into_builder().set_ordinal(ordinal(index)?).build()?;
        builder = builder.add_row_group(group);
    }
    Ok(Arc::new(builder.build()))
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ArrowReaderMetadata;
    use parquet::file::properties::WriterProperties;

    use super::*;

    #[test]
    fn row_groups_are_numbered_by_their_order() {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
        let batch = RecordBatch::try_from_iter([("v", values)]).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(2))
            .build();
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let read = ArrowReaderMetadata::load(&Bytes::from(bytes), Default::default()).unwrap();
        let right = Arc::clone(read.metadata());
        assert!(Arc::ptr_eq(&right, &numbered(&right).unwrap()));
        // As a writer does that leaves the number at zero.
        let mut builder = right.as_ref().clone().into_builder();
        for group in builder.take_row_groups() {
            let group = group.into_builder().set_ordinal(0).build().unwrap();
            builder = builder.add_row_group(group);
        }
        let wrong = Arc::new(builder.build());
        assert_eq!(*numbered(&wrong).unwrap(), *right);
    }

    #[test]
    fn stored_values_win_over_inherited_ones() {
        let stored: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, None]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![3, 4, 9]));
        let columns = [stored, numbers];
        let values = |inherited| {
            let source = RowSource::new(Some(5), inherited).decoded(Some(0), 1);
            let array = source.array(3, |position| columns.get(position)).unwrap();
            array.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
        };
        assert_eq!(
            values(Inherited::Place(100)),
            [Some(7), Some(104), Some(109)]
        );
        assert_eq!(values(Inherited::Value(2)), [Some(7), Some(2), Some(2)]);
        assert_eq!(values(Inherited::Null), [Some(7), None, None]);
        let source = RowSource::new(None, Inherited::Place(i64::MAX)).decoded(None, 1);
        assert!(source.array(3, |position| columns.get(position)).is_err());
    }
}
