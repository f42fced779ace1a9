//! Manifests and manifest lists: made in memory by the format crate, written through our storage.

mod avro_names;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, FormatVersion, ManifestFile, ManifestListWriter, ManifestWriterBuilder,
    PartitionSpec, PrimitiveLiteral, PrimitiveType, Snapshot, TableMetadata,
};

use crate::error::{Error, ErrorKind, Result};
use crate::scan;
use crate::storage::{Storage, join};
use crate::write::WrittenFile;

/// Files named by one manifest; a larger commit writes several, so that readers open them in
/// parallel.
const MANIFEST_FILES_MAX: usize = 10_000;

/// What an added entry is written with so that its sequence number is inherited from the manifest
/// list, which makes manifests reusable when a commit is tried again.
const INHERITED_SEQUENCE_NUMBER: i64 = -1;

/// The folder of a table's metadata files.
pub(super) fn metadata_folder(metadata: &TableMetadata) -> String {
    metadata
        .properties()
        .get("write.metadata.path")
        .cloned()
        .unwrap_or_else(|| join(metadata.location(), "metadata"))
}

/// Writes manifests of added data files, one or more for each partition spec.
///
/// Locations of files that were begun are pushed to `written`, so that a failure can clean up.
pub(super) async fn write_added(
    storage: &Storage,
    metadata: &TableMetadata,
    snapshot_id: i64,
    name_prefix: &str,
    files: &[WrittenFile],
    written: &mut Vec<String>,
) -> Result<Vec<ManifestFile>> {
    let mut by_spec: BTreeMap<i32, Vec<&WrittenFile>> = BTreeMap::new();
    for file in files {
        by_spec.entry(file.spec_id).or_default().push(file);
    }
    let folder = metadata_folder(metadata);
    let mut manifests = Vec::new();
    for (spec_id, files) in by_spec {
        let spec = metadata.partition_spec_by_id(spec_id).ok_or_else(|| {
            Error::new(
                ErrorKind::Conflict,
                format!("partition spec {spec_id}, which the files were written with, was removed"),
            )
        })?;
        for chunk in files.chunks(MANIFEST_FILES_MAX) {
            let name = format!("{name_prefix}-m{}.avro", manifests.len());
            let location = join(&folder, &name);
            let (mut manifest, bytes) = encode(metadata, spec, snapshot_id, chunk).await?;
            manifest.manifest_path.clone_from(&location);
            written.push(location.clone());
            storage.write_new(&location, bytes).await?;
            manifests.push(manifest);
        }
    }
    Ok(manifests)
}

async fn encode(
    metadata: &TableMetadata,
    spec: &PartitionSpec,
    snapshot_id: i64,
    files: &[&WrittenFile],
) -> Result<(ManifestFile, Bytes)> {
    let schema = metadata.current_schema();
    let partition_type = spec.partition_type(schema)?;
    let types: Vec<&PrimitiveType> = partition_type
        .fields()
        .iter()
        .filter_map(|field| field.field_type.as_primitive_type())
        .collect();
    let memory = FileIO::new_with_memory();
    let output = memory.new_output("memory:/manifest.avro")?;
    let builder =
        ManifestWriterBuilder::new(output, Some(snapshot_id), Arc::clone(schema), spec.clone());
    let mut writer = match metadata.format_version() {
        FormatVersion::V1 => builder.build_v1(),
        FormatVersion::V2 => builder.build_v2_data(),
        FormatVersion::V3 => builder.build_v3_data(),
    };
    for file in files {
        check_file(file, &types)?;
        writer.add_file(file.data_file.clone(), INHERITED_SEQUENCE_NUMBER)?;
    }
    let mut manifest = writer.write_manifest_file().await?;
    let bytes = memory.new_input("memory:/manifest.avro")?.read().await?;
    let bytes = avro_names::with_avro_names(bytes);
    manifest.manifest_length = i64::try_from(bytes.len())
        .map_err(|error| Error::internal("a manifest is too long").with_source(error))?;
    Ok((manifest, bytes))
}

/// The format crate's manifest writer panics on what does not fit, so it is refused before.
fn check_file(file: &WrittenFile, types: &[&PrimitiveType]) -> Result<()> {
    let data_file = &file.data_file;
    let refuse = |what: String| {
        Err(Error::internal(format!("a data file to commit {what}"))
            .with_context("file", data_file.file_path()))
    };
    if data_file.content_type() != DataContentType::Data {
        return refuse("holds deletes".to_owned());
    }
    if data_file.first_row_id().is_some() {
        return refuse("has row ids already, which only its first commit may give".to_owned());
    }
    let values = data_file.partition().fields();
    if values.len() != types.len() {
        return refuse(format!(
            "has {} partition values, its spec {} has {} fields",
            values.len(),
            file.spec_id,
            types.len()
        ));
    }
    for (value, expected) in values.iter().zip(types) {
        let Some(value) = value else { continue };
        let fits = value.as_primitive_literal().is_some_and(|literal| {
            expected.compatible(&literal) && decimal_fits(expected, &literal)
        });
        if !fits {
            return refuse(format!(
                "has a partition value that is not of type {expected}"
            ));
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
pub(super) async fn read_list(storage: &Storage, snapshot: &Snapshot) -> Result<Vec<ManifestFile>> {
    let location = snapshot.manifest_list();
    if location.is_empty() {
        return Err(Error::unsupported(
            "the current snapshot names its manifests without a manifest list, a form of format \
             version 1 that is not offered; rewrite the table's metadata with another engine",
        )
        .with_context("snapshot", snapshot.snapshot_id()));
    }
    if snapshot.encryption_key_id().is_some() {
        return Err(Error::unsupported("encrypted tables are not offered")
            .with_context("snapshot", snapshot.snapshot_id()));
    }
    let bytes = storage.read(location).await?;
    scan::manifest_list_from_bytes(&bytes, snapshot)
}

/// Whether a manifest names files that are still part of the table; one that only tells of files
/// its snapshot removed has no place in later snapshots.
pub(super) fn has_live_files(manifest: &ManifestFile) -> bool {
    manifest.has_added_files() || manifest.has_existing_files()
}
