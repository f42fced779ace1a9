//! A table's columns in one data file, found by field id at every level.
//!
//! A column is never found by name: a column that was dropped and added again under its old name
//! has a new id, and the old values must not come back.

mod conversion;
mod default;
mod file_tree;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Schema as ArrowSchema, SchemaRef, TimeUnit,
};
use datafusion::common::ScalarValue;
use iceberg::spec::{Literal, NameMapping, NestedFieldRef, Schema, Type};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Type as PhysicalType;
use parquet::schema::types::SchemaDescriptor;

pub(crate) use conversion::{Child, Conversion};
use default::missing;
pub(crate) use default::value as default_value;
use file_tree::{FileField, file_fields};

use super::file::LakeFile;
use super::metadata_column::{DeletedSource, MetadataColumns, RowSource};
use super::values;
use crate::error::{Error, Result};
use crate::scan::MetadataColumn;

/// What a scan knows about its table's columns, the same for every file.
#[derive(Debug, Clone)]
pub(crate) struct TableColumns {
    /// The columns in the table's form, with stand-ins for metadata columns.
    pub(crate) iceberg: Arc<Schema>,
    /// The columns as they are read, in the same order.
    pub(crate) read: SchemaRef,
    /// Field ids in files, by the ids of structs that files have under another.
    pub(crate) file_ids: HashMap<i32, i32>,
    /// Where metadata columns come from.
    pub(crate) metadata: MetadataColumns,
    /// Ids of files without ids.
    pub(crate) name_mapping: Option<NameMapping>,
}

/// Where one column of the table comes from in one file.
#[derive(Debug, Clone)]
pub(crate) enum ColumnSource {
    /// A top-level column of the file, by position, and what becomes of it.
    File(usize, Conversion),
    /// The same value in every row.
    Constant(ScalarValue),
    /// A value that follows from the row's place in the file, unless the file stores it.
    Row(RowSource),
    /// Whether the row is deleted; the file has rows that may be.
    Deleted(DeletedSource),
}

impl ColumnSource {
    /// The top-level column of the file that is read, by position.
    pub(crate) fn root(&self) -> Option<usize> {
        match self {
            Self::File(root, _) => Some(*root),
            Self::Constant(_) | Self::Deleted(_) => None,
            Self::Row(row) => row.stored(),
        }
    }

    /// Whether row numbers are read.
    pub(crate) fn is_numbered(&self) -> bool {
        match self {
            Self::File(..) | Self::Constant(_) => false,
            Self::Row(row) => row.is_numbered(),
            Self::Deleted(_) => true,
        }
    }

    /// The same source in decoded batches, which hold the columns `roots` of the file, in order,
    /// and row numbers behind them.
    ///
    /// # Errors
    /// When a column that is needed is not among those.
    pub(crate) fn decoded(&self, roots: &[usize]) -> Result<Self> {
        let place = |root: usize| {
            roots
                .binary_search(&root)
                .map_err(|_| Error::internal("a column that is needed is not among those decoded"))
        };
        Ok(match self {
            Self::File(root, conversion) => Self::File(place(*root)?, conversion.clone()),
            Self::Constant(value) => Self::Constant(value.clone()),
            Self::Row(row) => {
                let stored = row.stored().map(place).transpose()?;
                Self::Row(row.decoded(stored, roots.len()))
            }
            Self::Deleted(flags) => Self::Deleted(flags.decoded(roots.len())),
        })
    }

    /// The column of one batch; `column` gives the file's columns by position.
    ///
    /// # Errors
    /// As [`Conversion::convert`].
    pub(crate) fn array<'a>(
        &self,
        rows: usize,
        column: impl Fn(usize) -> Option<&'a ArrayRef>,
    ) -> Result<ArrayRef> {
        match self {
            Self::Constant(value) => Ok(value.to_array_of_size(rows)?),
            Self::Row(row) => row.array(rows, column),
            Self::Deleted(flags) => flags.array(rows, column),
            Self::File(position, conversion) => {
                let array = column(*position)
                    .ok_or_else(|| Error::internal("a column that is needed was not decoded"))?;
                conversion.convert(array)
            }
        }
    }
}

/// One data file seen with the eyes of its table.
#[derive(Debug)]
pub(crate) struct FileMapping {
    /// The schema to decode the file with: its own, with the types that the decoder can give
    /// directly (views, zones, microseconds of INT96).
    pub(crate) file_schema: SchemaRef,
    /// Sources of the columns that were asked for, by position in the table.
    pub(crate) sources: HashMap<usize, ColumnSource>,
    /// How the file stores each of its top-level columns; `None` for nested ones.
    pub(crate) physical: Vec<Option<PhysicalType>>,
}

impl FileMapping {
    /// Finds `needed` columns in a file, and `wanted` ones where that is possible.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] when a required column is missing,
    /// [`crate::error::ErrorKind::Unsupported`] when a stored type cannot become the table's.
    pub(crate) fn new(
        columns: &TableColumns,
        parquet: &SchemaDescriptor,
        file: &LakeFile,
        needed: &[usize],
        wanted: &[usize],
    ) -> Result<Self> {
        // The Arrow schema that some writers embed is not looked at: ids and Parquet types say all.
        let own = parquet_to_arrow_schema(parquet, None)?;
        let fields = file_fields(&own, parquet, columns.name_mapping.as_ref())?;
        let mut mapping = Mapper {
            fields: &fields,
            file,
            constants: file.constants(),
            hinted: own.fields().iter().map(Arc::clone).collect(),
        };
        let mut sources = HashMap::with_capacity(needed.len() + wanted.len());
        for &position in needed {
            sources.insert(position, mapping.column(columns, position)?);
        }
        for &position in wanted {
            if !sources.contains_key(&position)
                && let Ok(source) = mapping.column(columns, position)
            {
                sources.insert(position, source);
            }
        }
        let hinted = mapping.hinted;
        Ok(Self {
            file_schema: Arc::new(ArrowSchema::new(hinted)),
            sources,
            physical: fields.iter().map(|field| field.physical).collect(),
        })
    }
}

struct Mapper<'a> {
    fields: &'a [FileField],
    file: &'a LakeFile,
    constants: &'a HashMap<i32, Option<Literal>>,
    hinted: Vec<FieldRef>,
}

impl Mapper<'_> {
    fn column(&mut self, columns: &TableColumns, position: usize) -> Result<ColumnSource> {
        let own = columns.iceberg.as_struct().fields();
        let wanted = own
            .get(position)
            .ok_or_else(|| Error::internal("a column lies outside of the schema"))?;
        if let Some(column) = MetadataColumn::from_field_id(wanted.id) {
            let stored = |id| self.stored(id);
            return columns.metadata.source(column, self.file.planned(), stored);
        }
        let target = columns.read.field(position);
        let file_id = file_id(&columns.file_ids, wanted.id);
        let found = self
            .fields
            .iter()
            .enumerate()
            .find(|(_, field)| field.id == Some(file_id));
        if let Some((root, field)) = found
            && *field.field.data_type() != DataType::Null
        {
            let (hinted, conversion) =
                convert(field, &columns.file_ids, wanted, target, &wanted.name)?;
            self.hinted[root] = decoded_for_both(&self.hinted[root], &hinted, &field.field);
            return Ok(ColumnSource::File(root, conversion));
        }
        if let Some(value) = self.constants.get(&wanted.id) {
            let value = match value {
                None => ScalarValue::try_from(target.data_type())?,
                Some(literal) => values::literal_scalar(literal, target.data_type())
                    .ok_or_else(|| unreadable_value("partition value", &wanted.name))?,
            };
            return Ok(ColumnSource::Constant(value));
        }
        Ok(ColumnSource::Constant(missing(
            wanted,
            target.data_type(),
            &wanted.name,
        )?))
    }

    /// The file's top-level column of a field id.
    fn stored(&self, id: i32) -> Option<(usize, DataType)> {
        let mut fields = self.fields.iter().enumerate();
        let (root, field) = fields.find(|(_, field)| field.id == Some(id))?;
        Some((root, field.field.data_type().clone()))
    }
}

fn unreadable_value(what: &str, path: &str) -> Error {
    Error::unsupported(format!(
        "the {what} of column {path:?} cannot be read as the column's type"
    ))
}

/// The id that files have for a field.
fn file_id(ids: &HashMap<i32, i32>, id: i32) -> i32 {
    ids.get(&id).copied().unwrap_or(id)
}

/// The form in which to decode a field, and how it becomes the table's.
fn convert(
    file: &FileField,
    ids: &HashMap<i32, i32>,
    wanted: &NestedFieldRef,
    target: &Field,
    path: &str,
) -> Result<(FieldRef, Conversion)> {
    match (wanted.field_type.as_ref(), target.data_type()) {
        (Type::Struct(wanted), DataType::Struct(targets))
            if matches!(file.field.data_type(), DataType::Struct(_)) =>
        {
            convert_struct(file, ids, wanted.fields(), targets, path)
        }
        (Type::List(wanted), DataType::List(element)) => match file.children.as_slice() {
            [inner] if matches!(file.field.data_type(), DataType::List(_)) => {
                let path = format!("{path}.element");
                check_id(inner, wanted.element_field.id, &path)?;
                let (hinted, conversion) =
                    convert(inner, ids, &wanted.element_field, element, &path)?;
                let conversion = Conversion::List {
                    element: Arc::clone(element),
                    conversion: Box::new(conversion),
                };
                Ok((retyped(&file.field, DataType::List(hinted)), conversion))
            }
            _ => Err(unreadable_type(file, target, path)),
        },
        (Type::Map(wanted), DataType::Map(entries, sorted)) => {
            let wanted = (&wanted.key_field, &wanted.value_field);
            convert_map(file, ids, wanted, (target, entries, *sorted), path)
        }
        (Type::Primitive(_), target_type) if file.children.is_empty() => {
            let hinted = decoded_type(file, target_type);
            let conversion = if hinted == *target_type {
                match hinted.is_floating() {
                    true => Conversion::Float,
                    false => Conversion::Same,
                }
            } else if promotes(&hinted, target_type) {
                Conversion::Cast(target_type.clone())
            } else {
                return Err(unreadable_type(file, target, path));
            };
            Ok((retyped(&file.field, hinted), conversion))
        }
        _ => Err(unreadable_type(file, target, path)),
    }
}

fn convert_struct(
    file: &FileField,
    ids: &HashMap<i32, i32>,
    wanted: &[NestedFieldRef],
    targets: &Fields,
    path: &str,
) -> Result<(FieldRef, Conversion)> {
    if !file.children.is_empty() && file.children.iter().all(|child| child.id.is_none()) {
        return Err(no_ids(path));
    }
    let mut hinted: Vec<FieldRef> = file
        .children
        .iter()
        .map(|child| Arc::clone(&child.field))
        .collect();
    let mut children = Vec::with_capacity(wanted.len());
    for (wanted, target) in wanted.iter().zip(targets) {
        let path = format!("{path}.{}", wanted.name);
        let found = file
            .children
            .iter()
            .enumerate()
            .find(|(_, child)| child.id == Some(file_id(ids, wanted.id)));
        children.push(match found {
            Some((position, child)) if *child.field.data_type() != DataType::Null => {
                let (decoded, conversion) = convert(child, ids, wanted, target, &path)?;
                hinted[position] = decoded;
                Child::File(position, conversion)
            }
            _ => Child::Constant(missing(wanted, target.data_type(), &path)?),
        });
    }
    let conversion = Conversion::Struct {
        fields: targets.clone(),
        children,
    };
    let data_type = DataType::Struct(hinted.into());
    Ok((retyped(&file.field, data_type), conversion))
}

fn convert_map(
    file: &FileField,
    ids: &HashMap<i32, i32>,
    (wanted_key, wanted_value): (&NestedFieldRef, &NestedFieldRef),
    (target, entries, sorted): (&Field, &FieldRef, bool),
    path: &str,
) -> Result<(FieldRef, Conversion)> {
    let (DataType::Map(file_entries, file_sorted), [key, value], DataType::Struct(targets)) = (
        file.field.data_type(),
        file.children.as_slice(),
        entries.data_type(),
    ) else {
        return Err(unreadable_type(file, target, path));
    };
    let [target_key, target_value] = targets.as_ref() else {
        return Err(unreadable_type(file, target, path));
    };
    let (key_path, value_path) = (format!("{path}.key"), format!("{path}.value"));
    check_id(key, wanted_key.id, &key_path)?;
    check_id(value, wanted_value.id, &value_path)?;
    let (hinted_key, key) = convert(key, ids, wanted_key, target_key, &key_path)?;
    let (hinted_value, value) = convert(value, ids, wanted_value, target_value, &value_path)?;
    let inner = DataType::Struct(vec![hinted_key, hinted_value].into());
    let data_type = DataType::Map(retyped(file_entries, inner), *file_sorted);
    let conversion = Conversion::Map {
        entries: Arc::clone(entries),
        fields: targets.clone(),
        sorted,
        key: Box::new(key),
        value: Box::new(value),
    };
    Ok((retyped(&file.field, data_type), conversion))
}

/// Elements, keys and values are what they are by position; an id only has to agree.
fn check_id(file: &FileField, id: i32, path: &str) -> Result<()> {
    match file.id {
        Some(found) if found != id => Err(Error::corrupt(format!(
            "the data file gives {path:?} the field id {found}, the table {id}"
        ))),
        _ => Ok(()),
    }
}

/// The form in which to decode a field of which two columns read different parts; `own` is the
/// form of parts that neither reads.
fn decoded_for_both(one: &FieldRef, other: &FieldRef, own: &FieldRef) -> FieldRef {
    match (one.data_type(), other.data_type(), own.data_type()) {
        (DataType::Struct(one), DataType::Struct(other), DataType::Struct(fields)) => {
            let inner = one.iter().zip(other).zip(fields);
            let inner = inner.map(|((one, other), own)| decoded_for_both(one, other, own));
            retyped(own, DataType::Struct(inner.collect()))
        }
        (_, other, own) if other == own => Arc::clone(one),
        _ => Arc::clone(other),
    }
}

fn retyped(field: &FieldRef, data_type: DataType) -> FieldRef {
    if *field.data_type() == data_type {
        Arc::clone(field)
    } else {
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    }
}

/// The type to decode a leaf with: the table's where the decoder gives it directly.
fn decoded_type(file: &FileField, target: &DataType) -> DataType {
    let own = file.field.data_type();
    let direct = match (own, target) {
        (DataType::Utf8, DataType::Utf8View) | (DataType::Binary, DataType::BinaryView) => true,
        // INT96 has no unit of its own. Only microseconds and coarser units are decoded without
        // an overflow for every date.
        (DataType::Timestamp(..), DataType::Timestamp(TimeUnit::Microsecond, _))
            if file.physical == Some(PhysicalType::INT96) =>
        {
            true
        }
        (DataType::Timestamp(from, Some(_)), DataType::Timestamp(to, Some(_))) => from == to,
        _ => false,
    };
    if direct { target.clone() } else { own.clone() }
}

/// Whether each value of a stored type is a value of the table's type: the format's promotions,
/// narrower forms of integers and times that other writers use, and zones that name the same time.
fn promotes(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    match (from, to) {
        (T::Int8 | T::Int16 | T::UInt8 | T::UInt16, T::Int32 | T::Int64)
        | (T::Int32 | T::UInt32, T::Int64)
        | (T::Float16, T::Float32 | T::Float64)
        | (T::Float32, T::Float64)
        | (T::Date32, T::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, None))
        | (T::Time32(_), T::Time64(TimeUnit::Microsecond))
        | (T::Binary, T::Utf8 | T::Utf8View)
        | (T::Utf8, T::Binary | T::BinaryView) => true,
        // A scale is never changed: the stored digits would mean another number.
        (T::Decimal128(digits, scale), T::Decimal128(more, same)) => {
            scale == same && digits <= more
        }
        // Without zone or in UTC, the stored number is the same.
        (T::Timestamp(from, _), T::Timestamp(to, _)) => finer_or_equal(*from, *to),
        _ => false,
    }
}

fn finer_or_equal(from: TimeUnit, to: TimeUnit) -> bool {
    let rank = |unit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    rank(from) <= rank(to)
}

fn unreadable_type(file: &FileField, target: &Field, path: &str) -> Error {
    Error::unsupported(format!(
        "column {path:?} is stored as {} in the data file, which cannot be read as {}",
        file.field.data_type(),
        target.data_type()
    ))
}

fn no_ids(path: &str) -> Error {
    Error::unsupported(format!(
        "the data file has no field ids and no name mapping tells the fields of column {path:?}; \
         set the table property \"schema.name-mapping.default\""
    ))
}
