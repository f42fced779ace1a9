//! Manifests and manifest lists: made in memory by the format crate, written through our storage.

mod avro_names;
mod fixed_values;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, FormatVersion, Literal, ManifestContentType,
    ManifestFile, ManifestListWriter, ManifestWriter, ManifestWriterBuilder, PartitionSpec,
    PrimitiveLiteral, PrimitiveType, SchemaRef, Snapshot, Struct, StructType, TableMetadata,
};

use self::fixed_values::FixedValues;
use crate::catalog::metadata_folder;
use crate::error::{Error, ErrorKind, Result};
use crate::scan::{self, ManifestCache, PlacedFile, promoted};
use crate::storage::{Storage, join};
use crate::write::WrittenFile;

/// Files named by one manifest; a larger commit writes several, so that readers open them in
/// parallel.
const MANIFEST_FILES_MAX: usize = 10_000;

/// What an added entry is written with so that its sequence number is inherited from the manifest
/// list, which makes manifests reusable when a commit is tried again.
pub(super) const INHERITED_SEQUENCE_NUMBER: i64 = -1;

/// One entry of a manifest to write.
#[derive(Debug)]
pub(super) enum Draft {
    /// A file that this commit adds, with its data sequence number or
    /// [`INHERITED_SEQUENCE_NUMBER`].
    Added(Box<DataFile>, i64),
    /// A file that this commit adds, from another manifest of it.
    AddedBefore(PlacedFile),
    /// A file of an earlier snapshot.
    Existing(PlacedFile),
    /// A file that this commit removes.
    Deleted(PlacedFile),
}

impl Draft {
    fn path(&self) -> &str {
        match self {
            Self::Added(file, _) => file.file_path(),
            Self::AddedBefore(file) | Self::Existing(file) | Self::Deleted(file) => file.path(),
        }
    }
}

/// What of a manifest must be the same for a manifest made of it to be of use again. What entries
/// inherit from the manifest list is part of it: two attempts may list a manifest differently.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ManifestKey {
    path: String,
    sequence_number: i64,
    first_row_id: Option<u64>,
}

impl ManifestKey {
    pub(super) fn of(manifest: &ManifestFile) -> Self {
        Self {
            path: manifest.manifest_path.clone(),
            sequence_number: manifest.sequence_number,
            first_row_id: manifest.first_row_id,
        }
    }
}

/// Writes the manifests of one commit, each under a name of its own.
#[derive(Debug)]
pub(super) struct ManifestFiles {
    snapshot_id: i64,
    name_prefix: String,
    /// Locations of manifests that were begun, so that a failure can clean up.
    written: Vec<String>,
    synced: usize,
}

impl ManifestFiles {
    pub(super) fn new(snapshot_id: i64, name_prefix: String) -> Self {
        Self {
            snapshot_id,
            name_prefix,
            written: Vec::new(),
            synced: 0,
        }
    }

    pub(super) fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    pub(super) fn written(&self) -> &[String] {
        &self.written
    }

    /// Waits until the manifests are on the disk.
    pub(super) async fn sync(&mut self, storage: &Storage) -> Result<()> {
        let new = &self.written[self.synced..];
        storage.sync(new.iter().map(String::as_str)).await?;
        self.synced = self.written.len();
        Ok(())
    }

    /// Writes one manifest of files of one spec, all of them data or all of them deletes.
    pub(super) async fn write(
        &mut self,
        storage: &Storage,
        metadata: &TableMetadata,
        spec_id: i32,
        content: ManifestContentType,
        drafts: &[Draft],
    ) -> Result<ManifestFile> {
        let name = format!("{}-m{}.avro", self.name_prefix, self.written.len());
        let location = join(&metadata_folder(metadata)?, &name);
        let encoded = encode(metadata, spec_id, content, self.snapshot_id, drafts).await;
        let (mut manifest, bytes) = encoded?;
        manifest.manifest_path.clone_from(&location);
        self.written.push(location.clone());
        storage.write_new(&location, bytes).await?;
        Ok(manifest)
    }

    /// Writes manifests of added files, one or more for each partition spec and content.
    pub(super) async fn write_added(
        &mut self,
        storage: &Storage,
        metadata: &TableMetadata,
        files: &[WrittenFile],
        data_sequence_number: Option<i64>,
    ) -> Result<Vec<ManifestFile>> {
        let mut groups: BTreeMap<(bool, i32), Vec<&WrittenFile>> = BTreeMap::new();
        for file in files {
            let is_delete = file.data_file.content_type() != DataContentType::Data;
            let group = groups.entry((is_delete, file.spec_id)).or_default();
            group.push(file);
        }
        let mut manifests = Vec::new();
        for ((is_delete, spec_id), files) in groups {
            let (content, number) = match is_delete {
                true => (ManifestContentType::Deletes, INHERITED_SEQUENCE_NUMBER),
                false => (
                    ManifestContentType::Data,
                    data_sequence_number.unwrap_or(INHERITED_SEQUENCE_NUMBER),
                ),
            };
            for chunk in files.chunks(MANIFEST_FILES_MAX) {
                let draft =
                    |file: &&WrittenFile| Draft::Added(Box::new(file.data_file.clone()), number);
                let drafts: Vec<_> = chunk.iter().map(draft).collect();
                let written = self.write(storage, metadata, spec_id, content, &drafts);
                manifests.push(written.await?);
            }
        }
        Ok(manifests)
    }
}

/// The schema to write manifests of a spec with: the current one, or when it lacks a column of the
/// spec, the newest that has them.
fn schema_of(metadata: &TableMetadata, spec: &PartitionSpec) -> Result<(SchemaRef, StructType)> {
    let current = metadata.current_schema();
    let first = match spec.partition_type(current) {
        Ok(types) => return Ok((Arc::clone(current), types)),
        Err(error) => error,
    };
    let mut others: Vec<_> = metadata.schemas_iter().collect();
    others.sort_by_key(|schema| std::cmp::Reverse(schema.schema_id()));
    others
        .into_iter()
        .find_map(|schema| Some((Arc::clone(schema), spec.partition_type(schema).ok()?)))
        .ok_or_else(|| first.into())
}

/// A file that another snapshot added, as one to be added.
pub(super) fn written_file(metadata: &TableMetadata, mut file: PlacedFile) -> Result<WrittenFile> {
    let spec_id = file.spec_id;
    let spec = metadata
        .partition_spec_by_id(spec_id)
        .ok_or_else(|| Error::not_found(format!("the table has no partition spec {spec_id}")))?;
    let (_, partition_type) = schema_of(metadata, spec)?;
    // Its rows get ids of their own.
    file.first_row_id = None;
    Ok(WrittenFile {
        data_file: file.to_data_file(spec, &partition_type)?,
        spec_id,
    })
}

async fn encode(
    metadata: &TableMetadata,
    spec_id: i32,
    content: ManifestContentType,
    snapshot_id: i64,
    drafts: &[Draft],
) -> Result<(ManifestFile, Bytes)> {
    let spec = metadata.partition_spec_by_id(spec_id).ok_or_else(|| {
        Error::new(
            ErrorKind::Conflict,
            format!(
                "partition spec {spec_id}, which the files were written with, was removed; \
                 nothing was changed, try again"
            ),
        )
    })?;
    let (schema, partition_type) = schema_of(metadata, spec)?;
    let mut fixed = FixedValues::of(&schema, spec, &partition_type)?;
    let told_schema = fixed.as_ref().map_or(&schema, FixedValues::told_schema);
    let memory = FileIO::new_with_memory();
    let builder = ManifestWriterBuilder::new(
        memory.new_output("memory:/manifest.avro")?,
        Some(snapshot_id),
        Arc::clone(told_schema),
        spec.as_ref().clone(),
    );
    let mut writer = match (metadata.format_version(), content) {
        (FormatVersion::V1, _) => builder.build_v1(),
        (FormatVersion::V2, ManifestContentType::Data) => builder.build_v2_data(),
        (FormatVersion::V2, ManifestContentType::Deletes) => builder.build_v2_deletes(),
        (FormatVersion::V3, ManifestContentType::Data) => builder.build_v3_data(),
        (FormatVersion::V3, ManifestContentType::Deletes) => builder.build_v3_deletes(),
    };
    for draft in drafts {
        let mut file = match draft {
            Draft::Added(file, _) => {
                let partition = promoted_values(file.partition(), &partition_type);
                with_partition(file, spec_id, partition)?
            }
            Draft::AddedBefore(file) | Draft::Existing(file) | Draft::Deleted(file) => {
                file.to_data_file(spec, &partition_type)?
            }
        };
        check_tuple(&file, spec_id, &partition_type)
            .map_err(|error| error.with_context("file", draft.path()))?;
        if let Some(fixed) = &mut fixed {
            let told = fixed.told(file.partition());
            file = with_partition(&file, spec_id, told)?;
        }
        put_entry(&mut writer, draft, file)?;
    }
    let mut manifest = writer.write_manifest_file().await?;
    let mut bytes = memory.new_input("memory:/manifest.avro")?.read().await?;
    if let Some(fixed) = fixed {
        bytes = fixed.restored(&bytes)?;
        if !fixed.have_one_order() {
            manifest.partitions = None;
        }
    }
    let bytes = avro_names::with_avro_names(bytes);
    manifest.manifest_length = i64::try_from(bytes.len())
        .map_err(|error| Error::internal("a manifest is too long").with_source(error))?;
    Ok((manifest, bytes))
}

fn put_entry(writer: &mut ManifestWriter, draft: &Draft, file: DataFile) -> Result<()> {
    match draft {
        Draft::Added(_, number) => writer.add_file(file, *number)?,
        Draft::AddedBefore(placed) => writer.add_file(file, placed.sequence_number)?,
        Draft::Existing(placed) => writer.add_existing_file(
            file,
            placed.snapshot_id,
            placed.sequence_number,
            Some(placed.file_sequence_number),
        )?,
        Draft::Deleted(placed) => writer.add_delete_file(
            file,
            placed.sequence_number,
            Some(placed.file_sequence_number),
        )?,
    }
    Ok(())
}

/// Partition values of a spec in the types that their columns have now, as they are where those are
/// not known.
pub(super) fn promoted_partition(
    metadata: &TableMetadata,
    spec_id: i32,
    values: &Struct,
) -> Struct {
    let spec = metadata.partition_spec_by_id(spec_id);
    match spec.map(|spec| schema_of(metadata, spec)) {
        Some(Ok((_, partition_type))) => promoted_values(values, &partition_type),
        _ => values.clone(),
    }
}

fn promoted_values(values: &Struct, partition_type: &StructType) -> Struct {
    let (values, fields) = (values.fields(), partition_type.fields());
    if values.len() != fields.len() {
        return Struct::from_iter(values.iter().cloned());
    }
    let promote = |(value, kind): (&Option<Literal>, Option<&PrimitiveType>)| match (value, kind) {
        (Some(value), Some(kind)) => Some(promoted(value, kind)),
        _ => value.clone(),
    };
    let kinds = fields
        .iter()
        .map(|field| field.field_type.as_primitive_type());
    Struct::from_iter(values.iter().zip(kinds).map(promote))
}

/// The file with other partition values.
fn with_partition(file: &DataFile, spec_id: i32, partition: Struct) -> Result<DataFile> {
    if partition == *file.partition() {
        return Ok(file.clone());
    }
    let mut builder = DataFileBuilder::default();
    builder
        .content(file.content_type())
        .file_path(file.file_path().to_owned())
        .file_format(file.file_format())
        .partition(partition)
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .column_sizes(file.column_sizes().clone())
        .value_counts(file.value_counts().clone())
        .null_value_counts(file.null_value_counts().clone())
        .nan_value_counts(file.nan_value_counts().clone())
        .lower_bounds(file.lower_bounds().clone())
        .upper_bounds(file.upper_bounds().clone())
        .key_metadata(file.key_metadata().map(<[u8]>::to_vec))
        .split_offsets(file.split_offsets().map(<[i64]>::to_vec))
        .equality_ids(file.equality_ids())
        .first_row_id(file.first_row_id())
        .partition_spec_id(spec_id)
        .referenced_data_file(file.referenced_data_file())
        .content_offset(file.content_offset())
        .content_size_in_bytes(file.content_size_in_bytes());
    if let Some(order) = file.sort_order_id() {
        builder.sort_order_id(order);
    }
    builder
        .build()
        .map_err(|error| Error::internal("a data file must be complete").with_source(error))
}

/// The format crate's manifest writer panics on what does not fit, so it is refused before.
fn check_tuple(file: &DataFile, spec_id: i32, partition_type: &StructType) -> Result<()> {
    let values = file.partition().fields();
    let fields = partition_type.fields();
    if values.len() != fields.len() {
        return Err(Error::internal(format!(
            "a file to commit has {} partition values, its spec {spec_id} has {} fields",
            values.len(),
            fields.len()
        )));
    }
    for (value, field) in values.iter().zip(fields) {
        let Some(value) = value else { continue };
        let expected = field.field_type.as_primitive_type();
        let fits = expected
            .zip(value.as_primitive_literal())
            .is_some_and(|(expected, literal)| {
                expected.compatible(&literal) && decimal_fits(expected, &literal)
            });
        if !fits {
            return Err(Error::internal(format!(
                "a file to commit has a value of partition field {:?} that is not of type {}",
                field.name, field.field_type
            )));
        }
    }
    Ok(())
}

fn decimal_fits(expected: &PrimitiveType, literal: &PrimitiveLiteral) -> bool {
    match (expected, literal) {
        (PrimitiveType::Decimal { precision, .. }, PrimitiveLiteral::Int128(value)) => 10_u128
            .checked_pow(*precision)
            .is_none_or(|bound| value.unsigned_abs() < bound),
        _ => true,
    }
}

/// What a snapshot's manifest list needs to know of the snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListHeader {
    pub(super) format_version: FormatVersion,
    pub(super) snapshot_id: i64,
    pub(super) parent_id: Option<i64>,
    pub(super) sequence_number: i64,
    pub(super) first_row_id: u64,
}

/// Encodes a manifest list; also tells how many row ids it assigned (format version 3).
pub(super) async fn encode_list(
    header: ListHeader,
    manifests: Vec<ManifestFile>,
) -> Result<(Bytes, u64)> {
    let memory = FileIO::new_with_memory();
    let output = memory.new_output("memory:/list.avro")?.writer().await?;
    let ListHeader {
        format_version,
        snapshot_id,
        parent_id,
        sequence_number,
        first_row_id,
    } = header;
    let mut writer = match format_version {
        FormatVersion::V1 => ManifestListWriter::v1(output, snapshot_id, parent_id),
        FormatVersion::V2 => {
            ManifestListWriter::v2(output, snapshot_id, parent_id, sequence_number)
        }
        FormatVersion::V3 => ManifestListWriter::v3(
            output,
            snapshot_id,
            parent_id,
            sequence_number,
            Some(first_row_id),
        ),
    };
    writer.add_manifests(manifests.into_iter())?;
    let assigned = writer
        .next_row_id()
        .map_or(0, |next| next.saturating_sub(first_row_id));
    writer.close().await?;
    let bytes = memory.new_input("memory:/list.avro")?.read().await?;
    Ok((bytes, assigned))
}

/// The manifests of a snapshot.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for the oldest form of snapshots, which have no manifest list.
pub(super) async fn read_list(
    storage: &Storage,
    snapshot: &Snapshot,
    cache: &ManifestCache,
) -> Result<Arc<Vec<ManifestFile>>> {
    if snapshot.manifest_list().is_empty() {
        return Err(Error::unsupported(
            "the snapshot names its manifests without a manifest list, a form of format version 1 \
             that is not offered; rewrite the table's metadata with another engine",
        )
        .with_context("snapshot", snapshot.snapshot_id()));
    }
    scan::read_manifest_list(storage, snapshot, cache)
        .await
        .map_err(|error| error.with_context("snapshot", snapshot.snapshot_id()))
}

/// Whether a manifest names files that are still part of the table; one that only tells of files
/// its snapshot removed has no place in later snapshots.
pub(super) fn has_live_files(manifest: &ManifestFile) -> bool {
    manifest.has_added_files() || manifest.has_existing_files()
}
