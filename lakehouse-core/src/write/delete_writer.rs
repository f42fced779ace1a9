//! Positions of deleted rows into delete files, of the kind that the table's format version has.

use futures::StreamExt;
use iceberg::spec::{FormatVersion, Struct};
use roaring::RoaringTreemap;

use super::WrittenFile;
use super::file_name::FileNames;
use super::position_files::PositionFiles;
use super::properties::Properties;
use super::vector_files::VectorFiles;
use super::write_options::WriteOptions;
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::table::Table;

/// Size at which a delete file is ended and another begun, unless the table says otherwise.
const TARGET_FILE_BYTES: u64 = 64 << 20;
/// Files that are deleted at the same time.
const CONCURRENT_FILES: usize = 8;

/// Rows of one data file that are deleted.
#[derive(Debug, Clone)]
pub struct DeletedPositions {
    /// The data file's location, byte for byte as its manifest has it.
    pub data_file: String,
    /// The partition spec that the data file was written with.
    pub spec_id: i32,
    /// The data file's partition values.
    pub partition: Struct,
    /// The rows, counted from 0 over all rows that the file holds. Of a table of format version 3
    /// all that are deleted, those of the deletes that this replaces among them.
    pub positions: RoaringTreemap,
}

/// Where delete files stand, and what they share.
#[derive(Debug)]
pub(super) struct DeleteFolder {
    pub(super) storage: Storage,
    pub(super) names: FileNames,
    pub(super) target_bytes: u64,
}

/// Writes which rows of data files are deleted: deletion vectors in tables of format version 3,
/// position delete files in those of version 2.
///
/// Each data file is added once. A dropped writer may leave files that nobody names: end it with
/// [`Self::close`] or [`Self::abort`].
#[derive(Debug)]
pub struct DeleteWriter {
    storage: Storage,
    files: Files,
    written: Vec<WrittenFile>,
}

#[derive(Debug)]
enum Files {
    Vectors(Box<VectorFiles>),
    Positions(Box<PositionFiles>),
}

impl DeleteWriter {
    /// A writer for a table of its format version, by its `write.delete.*` properties.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for a table of format version 1, which has no
    /// deletes, and for a naming class; [`crate::error::ErrorKind::InvalidInput`] for a property
    /// that cannot be read.
    pub fn try_new(table: &Table, options: WriteOptions) -> Result<Self> {
        Self::build(table, options).map_err(|error| error.with_context("table", table.ident()))
    }

    fn build(table: &Table, options: WriteOptions) -> Result<Self> {
        let properties = Properties {
            statement: &options.properties,
            table: table.properties(),
        };
        let target_bytes = properties.number("write.delete.target-file-size-bytes", 1)?;
        let names =
            FileNames::try_new(table.location(), properties, options.query_id, options.task)?;
        let folder = DeleteFolder {
            storage: table.storage().clone(),
            names,
            target_bytes: target_bytes.unwrap_or(TARGET_FILE_BYTES),
        };
        let files = match table.format_version() {
            FormatVersion::V1 => {
                return Err(Error::unsupported(
                    "a table of format version 1 has no delete files; rewrite its data files",
                ));
            }
            FormatVersion::V2 => {
                let files = PositionFiles::try_new(folder, properties, options.memory)?;
                Files::Positions(Box::new(files))
            }
            FormatVersion::V3 => Files::Vectors(Box::new(VectorFiles::new(folder))),
        };
        Ok(Self {
            storage: table.storage().clone(),
            files,
            written: Vec::new(),
        })
    }

    /// Adds what is deleted of one data file; no rows make no delete.
    ///
    /// # Errors
    /// What the store or the memory budget answers. The write must then be given up with
    /// [`Self::abort`].
    pub async fn add(&mut self, mut deleted: DeletedPositions) -> Result<()> {
        if deleted.positions.is_empty() {
            return Ok(());
        }
        deleted.positions.optimize();
        match &mut self.files {
            Files::Vectors(files) => files.add(deleted, &mut self.written).await,
            Files::Positions(files) => files.add(deleted, &mut self.written).await,
        }
    }

    /// Ends all files. When one cannot be ended, all are deleted.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn close(mut self) -> Result<Vec<WrittenFile>> {
        let ended = match &mut self.files {
            Files::Vectors(files) => files.end(&mut self.written).await,
            Files::Positions(files) => files.end(&mut self.written).await,
        };
        match ended {
            Ok(()) => Ok(std::mem::take(&mut self.written)),
            Err(error) => {
                // The first error is the one to tell; files that no snapshot names are orphans.
                let _ = self.abort().await;
                Err(error)
            }
        }
    }

    /// Gives the write up and deletes what it wrote.
    ///
    /// # Errors
    /// What the store answers to the first deletion that failed; the others are still tried.
    pub async fn abort(mut self) -> Result<()> {
        let mut outcome = match &mut self.files {
            Files::Vectors(files) => files.abort().await,
            Files::Positions(_) => Ok(()),
        };
        // Deletion vectors share files.
        let mut locations: Vec<String> = self.written.iter().map(WrittenFile::location).collect();
        locations.dedup();
        let storage = &self.storage;
        let deletions = locations.iter().map(|location| storage.delete(location));
        let deletions: Vec<_> = deletions.collect();
        let mut deletions = futures::stream::iter(deletions).buffer_unordered(CONCURRENT_FILES);
        while let Some(deleted) = deletions.next().await {
            outcome = outcome.and(deleted);
        }
        outcome
    }
}

impl WrittenFile {
    fn location(&self) -> String {
        self.data_file.file_path().to_owned()
    }
}
