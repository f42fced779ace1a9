//! Snapshots that add data files and delete files by hand, as an engine's row-level commit does.

use std::fmt;
use std::sync::Arc;

use iceberg::io::FileIO;
use iceberg::spec::{
    DataFile, FormatVersion, Manifest, ManifestContentType, ManifestFile, ManifestList,
    ManifestListWriter, ManifestStatus, ManifestWriter, ManifestWriterBuilder, Operation, Snapshot,
    Summary, TableMetadata,
};
use lakehouse_core::error::{Error, Result};

/// Files of a snapshot on top of a table's current one; everything else stays.
///
/// Files get the table's default spec and the new snapshot's sequence number, unless
/// [`Self::in_spec`] or [`Self::at_sequence_number`] say otherwise for what is added after them.
/// Works for tables in local folders, of format version 2 and 3.
///
/// ```no_run
/// # use iceberg::spec::TableMetadata;
/// # use lakehouse_testkit::{PositionDeletes, RowDelta};
/// # async fn example(metadata: TableMetadata) -> Result<(), Box<dyn std::error::Error>> {
/// let deletes = PositionDeletes::new([("/lake/t/data.parquet", 3)]).write("/lake/t/d.parquet")?;
/// let snapshot = RowDelta::new("/lake/t")
///     .add(deletes.build()?)
///     .snapshot(&metadata)
///     .await?;
/// let changed = metadata.into_builder(None).set_branch_snapshot(snapshot, "main")?.build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct RowDelta {
    folder: String,
    added: Vec<Added>,
    drop: Option<Box<Which>>,
    remove: Option<Box<Which>>,
    spec_id: Option<i32>,
    sequence_number: i64,
    operation: Operation,
}

/// A location in the local file system, without the scheme it may have.
fn local_path(location: &str) -> &str {
    location.strip_prefix("file://").unwrap_or(location)
}
/// Says of a file whether it is meant.
type Which = dyn Fn(&DataFile) -> bool + Send + Sync;

struct Added {
    file: DataFile,
    spec_id: Option<i32>,
    sequence_number: i64,
}

/// What the format crate takes for "that of the snapshot".
const INHERITED: i64 = -1;

impl RowDelta {
    /// A snapshot whose manifests are written to `folder`.
    pub fn new(folder: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            added: Vec::new(),
            drop: None,
            remove: None,
            spec_id: None,
            sequence_number: INHERITED,
            operation: Operation::Overwrite,
        }
    }

    /// What the snapshot says that it did, if not an overwrite.
    pub fn as_operation(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// The partition spec of the files that are added from here on.
    pub fn in_spec(mut self, spec_id: i32) -> Self {
        self.spec_id = Some(spec_id);
        self
    }

    /// The data sequence number of the files that are added from here on, whatever the snapshot's.
    pub fn at_sequence_number(mut self, number: i64) -> Self {
        self.sequence_number = number;
        self
    }

    /// Adds a data or delete file.
    #[expect(
        clippy::should_implement_trait,
        reason = "a file is no summand, and nobody adds with a sign here"
    )]
    pub fn add(mut self, file: DataFile) -> Self {
        self.added.push(Added {
            file,
            spec_id: self.spec_id,
            sequence_number: self.sequence_number,
        });
        self
    }

    /// Removes the delete files of older snapshots that `which` says.
    pub fn drop_deletes(
        mut self,
        which: impl Fn(&DataFile) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.drop = Some(Box::new(which));
        self
    }

    /// Removes the data files of older snapshots that `which` says, in entries that name the
    /// snapshot which added the file, as PyIceberg up to 0.11 writes them. Only for format
    /// version 2: rows of version 3 would get other ids.
    pub fn remove_under_adding_snapshot(
        mut self,
        which: impl Fn(&DataFile) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.remove = Some(Box::new(which));
        self
    }

    /// Writes manifests and manifest list. The snapshot's id is its sequence number plus a million,
    /// its time one millisecond after the table's last change.
    ///
    /// # Errors
    /// When something cannot be written or does not fit the table.
    pub async fn snapshot(self, metadata: &TableMetadata) -> Result<Snapshot> {
        let sequence_number = metadata.last_sequence_number() + 1;
        let snapshot_id = 1_000_000 + sequence_number;
        let mut work = Work {
            delta: &self,
            metadata,
            snapshot_id,
            io: FileIO::new_with_fs(),
            manifests: Vec::new(),
        };
        work.keep_manifests().await?;
        work.add_manifests().await?;
        let parent = metadata.current_snapshot_id();
        let list = format!("{}/list-{snapshot_id}.avro", self.folder);
        let output = work.io.new_output(&list)?.writer().await?;
        let is_v3 = metadata.format_version() == FormatVersion::V3;
        let first_row_id = metadata.next_row_id();
        let mut writer = if is_v3 {
            ManifestListWriter::v3(
                output,
                snapshot_id,
                parent,
                sequence_number,
                Some(first_row_id),
            )
        } else {
            ManifestListWriter::v2(output, snapshot_id, parent, sequence_number)
        };
        writer.add_manifests(work.manifests.into_iter())?;
        let row_ids = writer.next_row_id().map_or(0, |next| next - first_row_id);
        writer.close().await?;
        let snapshot = Snapshot::builder()
            .with_snapshot_id(snapshot_id)
            .with_parent_snapshot_id(parent)
            .with_sequence_number(sequence_number)
            .with_timestamp_ms(metadata.last_updated_ms() + 1)
            .with_manifest_list(list)
            .with_summary(Summary {
                operation: self.operation.clone(),
                additional_properties: Default::default(),
            })
            .with_schema_id(metadata.current_schema_id());
        Ok(if is_v3 {
            snapshot.with_row_range(first_row_id, row_ids).build()
        } else {
            snapshot.build()
        })
    }
}

impl fmt::Debug for RowDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowDelta")
            .field("folder", &self.folder)
            .field("added", &self.added.len())
            .finish_non_exhaustive()
    }
}

struct Work<'a> {
    delta: &'a RowDelta,
    metadata: &'a TableMetadata,
    snapshot_id: i64,
    io: FileIO,
    manifests: Vec<ManifestFile>,
}

impl Work<'_> {
    /// The parent's manifests without the files that are dropped or removed.
    async fn keep_manifests(&mut self) -> Result<()> {
        let Some(parent) = self.metadata.current_snapshot() else {
            return Ok(());
        };
        let bytes = std::fs::read(local_path(parent.manifest_list()))?;
        let list = ManifestList::parse_with_version(&bytes, self.metadata.format_version())?;
        for file in list.consume_entries() {
            let which = match file.content {
                ManifestContentType::Deletes => &self.delta.drop,
                ManifestContentType::Data => &self.delta.remove,
            };
            match which {
                Some(which) => self.rewrite(&file, which).await?,
                None => self.manifests.push(file),
            }
        }
        Ok(())
    }

    async fn rewrite(&mut self, file: &ManifestFile, which: &Which) -> Result<()> {
        let manifest = Manifest::parse_avro(&std::fs::read(local_path(&file.manifest_path))?)?;
        let mut writer = self.writer(self.snapshot_id, file.partition_spec_id, file.content)?;
        let mut removed = Vec::new();
        let mut is_empty = true;
        for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
            let inherits = entry.status() == ManifestStatus::Added;
            let inherited = inherits.then_some(file.sequence_number);
            let number = entry.sequence_number().or(inherited).unwrap_or(0);
            let snapshot = entry.snapshot_id().unwrap_or(file.added_snapshot_id);
            let data_file = entry.data_file().clone();
            if which(&data_file) {
                removed.push((data_file, snapshot, number));
                continue;
            }
            is_empty = false;
            writer.add_existing_file(data_file, snapshot, number, Some(number))?;
        }
        if !is_empty {
            self.manifests.push(writer.write_manifest_file().await?);
        }
        if file.content == ManifestContentType::Deletes {
            return Ok(());
        }
        for (data_file, snapshot, number) in removed {
            let mut writer = self.writer(snapshot, file.partition_spec_id, file.content)?;
            writer.add_delete_file(data_file, number, Some(number))?;
            let mut manifest = writer.write_manifest_file().await?;
            manifest.added_snapshot_id = self.snapshot_id;
            self.manifests.push(manifest);
        }
        Ok(())
    }

    /// A manifest for each spec and content of what is added.
    async fn add_manifests(&mut self) -> Result<()> {
        let default = self.metadata.default_partition_spec_id();
        let added = &self.delta.added;
        let mut groups: Vec<_> = added
            .iter()
            .map(|added| (added.spec_id.unwrap_or(default), content_of(&added.file)))
            .collect();
        groups.sort_by_key(|(spec_id, content)| (*spec_id, *content as i32));
        groups.dedup();
        for (spec_id, content) in groups {
            let mut writer = self.writer(self.snapshot_id, spec_id, content)?;
            let of_group = added.iter().filter(|added| {
                added.spec_id.unwrap_or(default) == spec_id && content_of(&added.file) == content
            });
            for added in of_group {
                writer.add_file(added.file.clone(), added.sequence_number)?;
            }
            self.manifests.push(writer.write_manifest_file().await?);
        }
        Ok(())
    }

    /// A writer of one manifest, whose new and removed entries name the snapshot.
    fn writer(
        &self,
        snapshot_id: i64,
        spec_id: i32,
        content: ManifestContentType,
    ) -> Result<ManifestWriter> {
        let number = self.manifests.len();
        let path = format!(
            "{}/manifest-{}-{number}.avro",
            self.delta.folder, self.snapshot_id
        );
        let spec = self
            .metadata
            .partition_spec_by_id(spec_id)
            .ok_or_else(|| Error::invalid(format!("the table has no partition spec {spec_id}")))?;
        let builder = ManifestWriterBuilder::new(
            self.io.new_output(path)?,
            Some(snapshot_id),
            Arc::clone(self.metadata.current_schema()),
            spec.as_ref().clone(),
        );
        let is_v3 = self.metadata.format_version() == FormatVersion::V3;
        Ok(match (is_v3, content) {
            (false, ManifestContentType::Data) => builder.build_v2_data(),
            (false, ManifestContentType::Deletes) => builder.build_v2_deletes(),
            (true, ManifestContentType::Data) => builder.build_v3_data(),
            (true, ManifestContentType::Deletes) => builder.build_v3_deletes(),
        })
    }
}

fn content_of(file: &DataFile) -> ManifestContentType {
    match file.content_type() {
        iceberg::spec::DataContentType::Data => ManifestContentType::Data,
        _ => ManifestContentType::Deletes,
    }
}
