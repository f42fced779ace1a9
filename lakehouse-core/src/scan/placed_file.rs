//! The files of a manifest with all that their entries inherit, as commits carry them on.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFile, DataFileFormat, Literal, ManifestStatus, PartitionSpec,
    PrimitiveLiteral, PrimitiveType, Struct, StructType, Transform,
};

use super::delete_file::DELETED_PATH_ID;
use super::manifest::{ColumnBound, DecodedManifest, ListedEntry, ListedFile, ReadManifest};
use super::partition::PartitionLayout;
use super::plan::{RowIds, file_sequence_number, sequence_number};
use super::value::Value;
use crate::error::{Error, Result};

/// A file of a manifest, live or deleted, with what its entry inherits filled in.
#[derive(Debug, Clone)]
pub(crate) struct PlacedFile {
    entry: Arc<ListedEntry>,
    pub(crate) layout: Arc<PartitionLayout>,
    pub(crate) spec_id: i32,
    /// The snapshot that added the file, or deleted it.
    pub(crate) snapshot_id: i64,
    /// The data sequence number; negative in a manifest that no list names yet, where it is not
    /// set.
    pub(crate) sequence_number: i64,
    /// The sequence number of the commit that added the file.
    pub(crate) file_sequence_number: i64,
    /// The row id of the first row, own or inherited.
    pub(crate) first_row_id: Option<i64>,
}

/// All files of a manifest, in its order.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] for a live file without a sequence number.
pub(crate) fn placed_files(read: &ReadManifest) -> Result<Vec<PlacedFile>> {
    let mut row_ids = RowIds::new(&read.file);
    let entries = read.manifest.entries.iter();
    entries
        .map(|entry| {
            let inherited = row_ids.next(entry);
            let number = sequence_number(entry, &read.file);
            if number.is_none() && entry.is_alive() {
                return Err(Error::corrupt(
                    "an existing file has no sequence number, and only added files inherit one; \
                     rewrite the manifest",
                )
                .with_context("file", entry.file_path())
                .with_context("manifest", &read.file.manifest_path));
            }
            let number = number.unwrap_or_default();
            Ok(PlacedFile {
                layout: Arc::clone(&read.manifest.layout),
                spec_id: read.file.partition_spec_id,
                snapshot_id: entry.snapshot_id.unwrap_or(read.file.added_snapshot_id),
                sequence_number: number,
                // Some writers leave it out where it is the same.
                file_sequence_number: file_sequence_number(entry, &read.file).unwrap_or(number),
                first_row_id: entry.data_file().first_row_id().or(inherited),
                entry: Arc::clone(entry),
            })
        })
        .collect()
}

/// A manifest with only those entries of another that are wanted.
pub(crate) fn only(
    read: &ReadManifest,
    wanted: impl Fn(&PlacedFile) -> bool,
) -> Result<ReadManifest> {
    let placed = placed_files(read)?.into_iter().filter(|file| wanted(file));
    let manifest = DecodedManifest {
        content: read.manifest.content,
        layout: Arc::clone(&read.manifest.layout),
        entries: placed.map(|file| file.entry).collect(),
        types_bytes: read.manifest.types_bytes,
    };
    Ok(ReadManifest {
        file: read.file.clone(),
        manifest: Arc::new(manifest),
    })
}

impl PlacedFile {
    pub(crate) fn entry(&self) -> &Arc<ListedEntry> {
        &self.entry
    }

    pub(crate) fn status(&self) -> ManifestStatus {
        self.entry.status()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.entry.is_alive()
    }

    pub(crate) fn file(&self) -> &ListedFile {
        self.entry.data_file()
    }

    pub(crate) fn path(&self) -> &str {
        self.entry.file_path()
    }

    /// The file's value of a partition field; `None` for NULL and where there is none.
    pub(crate) fn partition_value(&self, field_id: i32) -> Option<&Literal> {
        let mut columns = self.layout.columns.iter();
        let place = columns.position(|column| column.field_id == field_id)?;
        self.file().partition().fields().get(place)?.as_ref()
    }

    pub(crate) fn is_data(&self) -> bool {
        self.entry.content_type() == DataContentType::Data
    }

    /// The one data file that the file deletes rows of, when it is for one.
    pub(crate) fn referenced_path(&self) -> Option<String> {
        if self.entry.content_type() != DataContentType::PositionDeletes {
            return None;
        }
        if let Some(path) = self.file().referenced_data_file() {
            return Some(path);
        }
        match self.path_bounds() {
            (Some(lower), Some(upper)) if lower == upper => Some(lower.to_owned()),
            _ => None,
        }
    }

    /// One of the data files at `paths` that position deletes may name.
    pub(crate) fn first_named<'a>(&self, paths: &'a BTreeSet<String>) -> Option<&'a String> {
        if let Some(referenced) = self.file().referenced_data_file() {
            return paths.get(&referenced);
        }
        let (lower, upper) = self.path_bounds();
        let from = lower.map_or(Bound::Unbounded, Bound::Included);
        let mut paths = paths.range::<str, _>((from, Bound::Unbounded));
        paths
            .next()
            .filter(|path| upper.is_none_or(|upper| path.as_str() <= upper))
    }

    fn path_bounds(&self) -> (Option<&str>, Option<&str>) {
        let text = |kind| match self.file().bound_value(kind, DELETED_PATH_ID) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        };
        (text(ColumnBound::Lower), text(ColumnBound::Upper))
    }

    /// The file in the format crate's form, for a manifest of `spec`, whose values have the types
    /// `partition_type`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] when the manifest does not tell all values of the
    /// spec.
    pub(crate) fn to_data_file(
        &self,
        spec: &PartitionSpec,
        partition_type: &StructType,
    ) -> Result<DataFile> {
        let partition = self.tuple(spec, partition_type)?;
        let file = self.file();
        file.to_carried(spec.spec_id(), partition, self.first_row_id)
    }

    /// The partition values in the order of the spec and of the types that its columns have now.
    fn tuple(&self, spec: &PartitionSpec, partition_type: &StructType) -> Result<Struct> {
        let values = self.file().partition().fields();
        let fields = spec.fields().iter().zip(partition_type.fields());
        let tuple = fields.map(|(field, of_type)| {
            let is_field = |column: &super::PartitionColumn| column.field_id == field.field_id;
            let place = self.layout.columns.iter().position(is_field);
            let value = place.and_then(|place| values.get(place));
            let kind = of_type.field_type.as_primitive_type();
            match (value, kind) {
                (Some(None), _) => Ok(None),
                // Where a field was dropped, readers look at nothing.
                _ if field.transform == Transform::Void => Ok(None),
                (Some(Some(value)), Some(kind)) => Ok(Some(promoted(value, kind))),
                _ => Err(Error::unsupported(format!(
                    "a manifest does not tell the value of partition field {:?}, so that it cannot \
                     be rewritten; rewrite the table's data files with the engine that wrote them",
                    field.name
                ))
                .with_context("file", self.path())),
            }
        });
        Ok(Struct::from_iter(tuple.collect::<Result<Vec<_>>>()?))
    }
}

/// An order of partition values of one field, NULL first; values that have none are equal.
pub(crate) fn compare_values(one: Option<&Literal>, other: Option<&Literal>) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (one, other) {
        (None, None) => Equal,
        (None, Some(_)) => Less,
        (Some(_), None) => Greater,
        (Some(Literal::Primitive(one)), Some(Literal::Primitive(other))) => {
            one.partial_cmp(other).unwrap_or(Equal)
        }
        _ => Equal,
    }
}

/// Whether a file of this content and format holds deletion vectors.
pub(crate) fn is_vector(content: DataContentType, format: DataFileFormat) -> bool {
    content == DataContentType::PositionDeletes && format == DataFileFormat::Puffin
}

/// A value of a column that was promoted since.
pub(crate) fn promoted(value: &Literal, kind: &PrimitiveType) -> Literal {
    let Literal::Primitive(primitive) = value else {
        return value.clone();
    };
    Literal::Primitive(match (kind, primitive) {
        (PrimitiveType::Long, PrimitiveLiteral::Int(v)) => PrimitiveLiteral::Long(i64::from(*v)),
        (PrimitiveType::Double, PrimitiveLiteral::Float(v)) => {
            PrimitiveLiteral::Double(f64::from(v.0).into())
        }
        _ => primitive.clone(),
    })
}
