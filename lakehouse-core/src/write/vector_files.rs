//! Puffin files of deletion vectors, many vectors in one.

use bytes::Bytes;
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Struct};

use super::WrittenFile;
use super::delete_writer::{DeleteFolder, DeletedPositions};
use super::puffin::{PUFFIN_MAGIC, PuffinFooter, vector_blob};
use crate::error::{Error, Result};
use crate::storage::StorageWriter;

/// Writes deletion vectors of a table of format version 3.
#[derive(Debug)]
pub(super) struct VectorFiles {
    folder: DeleteFolder,
    open: Option<PuffinFile>,
}

/// A Puffin file being written.
#[derive(Debug)]
struct PuffinFile {
    sink: StorageWriter,
    footer: PuffinFooter,
    vectors: Vec<Vector>,
}

/// What a manifest will say of a vector.
#[derive(Debug)]
struct Vector {
    data_file: String,
    spec_id: i32,
    partition: Struct,
    cardinality: u64,
    offset: u64,
    length: u64,
}

impl VectorFiles {
    pub(super) fn new(folder: DeleteFolder) -> Self {
        Self { folder, open: None }
    }

    /// Adds a vector; `written` gets the vectors of a file that was ended.
    pub(super) async fn add(
        &mut self,
        deleted: DeletedPositions,
        written: &mut Vec<WrittenFile>,
    ) -> Result<()> {
        let blob = vector_blob(&deleted.positions)
            .map_err(|error| error.with_context("data file", &deleted.data_file))?;
        let file = match &mut self.open {
            Some(file) => file,
            None => {
                let location = self.folder.names.next_delete_file("puffin")?;
                let mut sink = self.folder.storage.writer(&location)?;
                sink.write(Bytes::from_static(&PUFFIN_MAGIC)).await?;
                self.open.insert(PuffinFile {
                    sink,
                    footer: PuffinFooter::default(),
                    vectors: Vec::new(),
                })
            }
        };
        let vector = Vector {
            cardinality: deleted.positions.len(),
            offset: file.sink.written_bytes(),
            length: blob.len() as u64,
            data_file: deleted.data_file,
            spec_id: deleted.spec_id,
            partition: deleted.partition,
        };
        file.sink.write(blob).await?;
        file.footer.add(
            &vector.data_file,
            vector.cardinality,
            vector.offset,
            vector.length,
        );
        file.vectors.push(vector);
        if file.sink.written_bytes() >= self.folder.target_bytes {
            self.end(written).await?;
        }
        Ok(())
    }

    /// Ends the file that is open.
    pub(super) async fn end(&mut self, written: &mut Vec<WrittenFile>) -> Result<()> {
        let Some(mut file) = self.open.take() else {
            return Ok(());
        };
        match file.finish().await {
            Ok(files) => {
                written.extend(files);
                Ok(())
            }
            Err(error) => {
                // The first error is the one to tell; parts left behind are no file.
                let _ = file.sink.abort().await;
                Err(error.with_context("file", file.sink.location()))
            }
        }
    }

    /// Gives the file that is open up.
    pub(super) async fn abort(&mut self) -> Result<()> {
        match self.open.take() {
            Some(mut file) => file.sink.abort().await,
            None => Ok(()),
        }
    }
}

impl PuffinFile {
    async fn finish(&mut self) -> Result<Vec<WrittenFile>> {
        self.sink.write(self.footer.bytes()?).await?;
        let (location, size) = (self.sink.location().to_owned(), self.sink.written_bytes());
        // All that can fail is done before the file stands under its name.
        let files = self
            .vectors
            .drain(..)
            .map(|vector| {
                let spec_id = vector.spec_id;
                let data_file = vector.described(&location, size)?;
                Ok(WrittenFile { data_file, spec_id })
            })
            .collect::<Result<Vec<_>>>()?;
        self.sink.finish().await?;
        Ok(files)
    }
}

impl Vector {
    fn described(self, location: &str, size: u64) -> Result<DataFile> {
        let place = |number: u64| {
            i64::try_from(number).map_err(|error| {
                Error::internal("a Puffin file is longer than files can be").with_source(error)
            })
        };
        DataFileBuilder::default()
            .content(DataContentType::PositionDeletes)
            .file_path(location.to_owned())
            .file_format(DataFileFormat::Puffin)
            .partition(self.partition)
            .partition_spec_id(self.spec_id)
            .record_count(self.cardinality)
            .file_size_in_bytes(size)
            .referenced_data_file(Some(self.data_file))
            .content_offset(Some(place(self.offset)?))
            .content_size_in_bytes(Some(place(self.length)?))
            .build()
            .map_err(|error| {
                Error::internal("a deletion vector must be described whole").with_source(error)
            })
    }
}
