//! The metadata table `position_deletes`: each row that a position delete file or deletion vector
//! of the snapshot names.

use std::iter::once;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, StringViewArray,
    UInt32Array, new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, SchemaRef};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{Datum, FormatVersion, ManifestContentType, TableMetadata, Type};

use super::arrays::{ints, longs};
use super::entries::entry_facts;
use super::partition_union::PartitionUnion;
use super::pruning::{DELETED_FROM, Pruning};
use super::walk::{self, Reach};
use super::{BatchStream, MetadataRead, first_rows, schema_of};
use crate::error::{Error, Result};
use crate::runtime::Reservation;
use crate::scan::delete_file::{DeleteFile, DeleteKind};
use crate::scan::evaluate::{ColumnFacts, Facts};
use crate::scan::manifest::ReadManifest;
use crate::scan::manifest_cache::ManifestCache;
use crate::scan::plan::FileFacts;
use crate::scan::value::Value;
use crate::table::{self, Table};

/// How many delete files are read at a time.
const FILE_READS_MAX: usize = 4;

/// Data files, by location, with one of their rows each.
pub(crate) type Positions = (StringViewArray, Int64Array);

/// What reads the delete files of a table, within the budget of one query.
pub(crate) trait PositionReader: std::fmt::Debug + Send + Sync {
    /// A share of the query's memory budget; `name` stands in its error messages.
    fn reservation(&self, name: &'static str) -> Reservation;

    /// All that a position delete file or deletion vector names, in its order.
    fn positions(&self, file: Arc<DeleteFile>) -> BoxStream<'static, Result<Positions>>;
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    FilePath,
    Pos,
    Row,
    Partition,
    SpecId,
    DeleteFilePath,
    ContentOffset,
    ContentSizeInBytes,
}

impl Column {
    fn all(metadata: &TableMetadata, union: &PartitionUnion) -> Vec<Self> {
        let mut columns = vec![Self::FilePath, Self::Pos, Self::Row];
        if !union.is_empty() {
            columns.push(Self::Partition);
        }
        columns.extend([Self::SpecId, Self::DeleteFilePath]);
        // Where a vector lies in its file; older tables have none.
        if metadata.format_version() >= FormatVersion::V3 {
            columns.extend([Self::ContentOffset, Self::ContentSizeInBytes]);
        }
        columns
    }
}

/// The columns that a read asks for.
#[derive(Debug)]
struct Shape {
    union: Arc<PartitionUnion>,
    row: DataType,
    columns: Vec<Column>,
    schema: SchemaRef,
}

pub(super) fn schema(metadata: &TableMetadata) -> Result<SchemaRef> {
    Ok(Shape::new(metadata, None)?.schema)
}

/// The rows, file by file.
pub(super) fn scan(
    table: &Table,
    cache: &ManifestCache,
    read: MetadataRead,
    reader: &Arc<dyn PositionReader>,
) -> Result<BatchStream> {
    let metadata = table.metadata();
    let shape = Arc::new(Shape::new(metadata, read.projection.as_deref())?);
    let union = Arc::clone(&shape.union);
    let pruning = Arc::new(Pruning::new(read.predicate, union, metadata));
    let in_manifests = Arc::clone(&pruning);
    let manifests = walk::manifests(table, cache, Reach::Snapshot, move |file| {
        let is_live = file.has_added_files() || file.has_existing_files();
        let is_wanted = is_live && file.content == ManifestContentType::Deletes;
        is_wanted && in_manifests.may_hold(file)
    });
    let files = walk::read_each(table, cache, manifests, read.rows_max, move |read| {
        delete_files(&read, &pruning)
    });
    let reader = Arc::clone(reader);
    let batches = files
        .map(|files| files.flatten())
        .map_ok(|files| stream::iter(files.into_iter().map(Ok::<_, Error>)))
        .try_flatten()
        .map_ok(move |file| {
            let (shape, file) = (Arc::clone(&shape), Arc::new(file));
            let positions = reader.positions(Arc::clone(&file.file));
            positions
                .map(move |positions| shape.batch(&file, &positions?))
                .boxed()
        })
        .try_flatten_unordered(read.rows_max.map_or(FILE_READS_MAX, |_| 1))
        .boxed();
    Ok(first_rows(batches, read.rows_max))
}

/// A delete file with the partition that it is of.
struct PartitionedFile {
    file: Arc<DeleteFile>,
    partition: Vec<Option<Datum>>,
}

/// The live delete files of a manifest that name rows by position.
fn delete_files(read: &ReadManifest, pruning: &Pruning) -> Result<Vec<PartitionedFile>> {
    let positions = pruning.union.positions(&read.manifest.layout);
    let mut files = Vec::new();
    for entry in read
        .manifest
        .entries
        .iter()
        .filter(|entry| entry.is_alive())
    {
        let file = DeleteFile::new(entry, read)?;
        if file.kind() == DeleteKind::Equality {
            continue;
        }
        let partition = pruning
            .union
            .values(&positions, entry.data_file().partition());
        let referenced = file.referenced_path();
        let metrics = FileFacts(entry.data_file());
        let mut facts = entry_facts(entry, &read.file, partition);
        facts.deleted_from = match &referenced {
            Some(path) => Facts {
                lower: Some(Value::Text(path)),
                upper: Some(Value::Text(path)),
                ..Facts::default()
            },
            None => Facts {
                // Counts of the column are another matter than its bounds.
                nulls: None,
                values: None,
                ..metrics.facts(DELETED_FROM)
            },
        };
        if pruning.is_empty() || pruning.may_keep(&facts) {
            let partition = facts.partition;
            let file = Arc::new(file);
            files.push(PartitionedFile { file, partition });
        }
    }
    Ok(files)
}

impl Shape {
    fn new(metadata: &TableMetadata, projection: Option<&[usize]>) -> Result<Self> {
        let union = Arc::new(PartitionUnion::new(metadata));
        let mut columns = Column::all(metadata, &union);
        if let Some(projection) = projection {
            columns = projection.iter().map(|&place| columns[place]).collect();
        }
        let row = Type::Struct(metadata.current_schema().as_struct().clone());
        let mut shape = Self {
            union,
            row: table::read_type(&row)?,
            columns,
            schema: schema_of(Vec::new()),
        };
        let fields = shape.columns.iter().map(|column| shape.field(*column));
        shape.schema = schema_of(fields.collect::<Result<_>>()?);
        Ok(shape)
    }

    fn field(&self, column: Column) -> Result<Field> {
        Ok(match column {
            Column::FilePath => Field::new("file_path", DataType::Utf8, false),
            Column::Pos => Field::new("pos", DataType::Int64, false),
            Column::Row => Field::new("row", self.row.clone(), true),
            Column::Partition => {
                let no_values = self.union.columns().iter().map(|_| Vec::new());
                let partition = self.union.structs(no_values)?;
                Field::new("partition", partition.data_type().clone(), false)
            }
            Column::SpecId => Field::new("spec_id", DataType::Int32, false),
            Column::DeleteFilePath => Field::new("delete_file_path", DataType::Utf8, false),
            Column::ContentOffset => Field::new("content_offset", DataType::Int64, true),
            Column::ContentSizeInBytes => {
                Field::new("content_size_in_bytes", DataType::Int64, true)
            }
        })
    }

    fn batch(&self, of: &PartitionedFile, (paths, rows): &Positions) -> Result<RecordBatch> {
        let columns = self.columns.iter().map(|column| match column {
            Column::FilePath => Ok(cast(paths, &DataType::Utf8)?),
            Column::Pos => Ok(Arc::new(rows.clone()) as ArrayRef),
            Column::Row => Ok(new_null_array(&self.row, rows.len())),
            of_file => repeated(&self.of_file(*of_file, of)?, rows.len()),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns.collect::<Result<_>>()?,
            &options,
        )?)
    }

    /// A column that has one value for all rows of a delete file.
    fn of_file(&self, column: Column, of: &PartitionedFile) -> Result<ArrayRef> {
        let file = of.file.data_file();
        Ok(match column {
            Column::Partition => {
                let values = of.partition.iter().map(|value| vec![value.clone()]);
                self.union.structs(values)?
            }
            Column::SpecId => ints(once(Some(of.file.spec_id))),
            Column::DeleteFilePath => Arc::new(StringArray::from_iter_values(once(of.file.path()))),
            Column::ContentOffset => longs(once(file.content_offset())),
            Column::ContentSizeInBytes => longs(once(file.content_size_in_bytes())),
            Column::FilePath | Column::Pos | Column::Row => {
                return Err(Error::internal("the column differs from row to row"));
            }
        })
    }
}

/// An array of one value, made longer.
fn repeated(value: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    let firsts = UInt32Array::from(vec![0; rows]);
    Ok(take(value, &firsts, None)?)
}
