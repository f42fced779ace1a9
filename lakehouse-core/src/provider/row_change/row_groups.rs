//! Row groups that are written anew without decoding the columns that stay as they are.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use futures::StreamExt;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::patch::Patch;
use super::target::{Target, TargetFile};
use super::worker::Worker;
use crate::error::{Error, Result};
use crate::provider::opener::ChunkFile;
use crate::runtime;
use crate::scan::DeletedRows;
use crate::write::page_rewrite::{NewValues, RowEdit, SourceChunk, can_copy, can_edit, take_over};
use crate::write::{FileOptions, ReadyGroup};

/// Row groups of fewer bytes are decoded, so that many small ones become few.
const GROUP_BYTES_MIN: i64 = 1 << 20;

/// Columns of which more than one value in so many is new are decoded.
const EDITED_SHARE_MAX: u64 = 8;

/// A data file that is written anew row group by row group.
#[derive(Debug)]
pub(super) struct GroupedFile {
    pub(super) file: TargetFile,
    chunks: ChunkFile,
    /// The columns of the new file, in order.
    columns: Vec<Column>,
    /// The rows that are deleted.
    gone: Option<Arc<DeletedRows>>,
    pub(super) patch: Arc<Patch>,
}

/// A top-level column of the new file.
#[derive(Debug)]
struct Column {
    /// Its leaves in both files, where its pages can be taken over; else it is decoded.
    leaves: Option<Vec<Leaf>>,
}

#[derive(Debug, Clone, Copy)]
struct Leaf {
    /// Its place in the new file.
    new: usize,
    /// Its place in the file that is read.
    old: usize,
}

/// One row group of it.
#[derive(Debug)]
pub(super) struct GroupPiece {
    pub(super) file: Arc<GroupedFile>,
    pub(super) group: usize,
    /// Its rows in the file.
    pub(super) rows: Range<u64>,
}

/// What becomes of the rows of a row group.
#[derive(Debug, Default)]
struct Edits {
    /// In columns that are not updated.
    gone: Vec<RowEdit>,
    /// In columns that are.
    all: Vec<RowEdit>,
    /// The new values by leaf, where they are put between the others.
    new: HashMap<usize, NewValues>,
}

impl Edits {
    fn has_all(&self, leaves: &[Leaf]) -> bool {
        leaves.iter().all(|leaf| self.new.contains_key(&leaf.new))
    }
}

impl GroupedFile {
    /// How a file is written anew by its row groups; `None` when it is to be decoded whole.
    ///
    /// # Errors
    /// When the file's footer cannot be read.
    pub(super) async fn plan(
        target: &Target,
        options: &FileOptions,
        file: &TargetFile,
        gone: Option<&Arc<DeletedRows>>,
        patch: &Arc<Patch>,
    ) -> Result<Option<Self>> {
        let planned = &file.planned;
        // Rows of a row group stay together, in the partition of their file.
        let stays = patch.is_empty() || !target.moves_partitions;
        let is_simple = planned.spec_id() == target.spec_id && file.is_without_keys() && stays;
        let groups = planned.data_file().split_offsets().map_or(1, <[i64]>::len);
        let bytes = i64::try_from(planned.data_file().file_size_in_bytes()).unwrap_or(i64::MAX);
        if !is_simple || bytes / i64::try_from(groups.max(1)).unwrap_or(1) < GROUP_BYTES_MIN {
            return Ok(None);
        }
        let chunks = target
            .opener()
            .chunks_of(&file.live_rows(None, None))
            .await?;
        let footer = chunks.footer();
        let count = i64::try_from(footer.num_row_groups()).unwrap_or(i64::MAX);
        let sizes = footer.row_groups().iter();
        let bytes: i64 = sizes.map(RowGroupMetaData::compressed_size).sum();
        if count == 0 || bytes / count < GROUP_BYTES_MIN {
            return Ok(None);
        }
        let columns = columns(footer, options, target.shape.width);
        if columns.iter().all(|column| column.leaves.is_none()) {
            return Ok(None);
        }
        Ok(Some(Self {
            file: file.clone(),
            chunks,
            columns,
            gone: gone.map(Arc::clone),
            patch: Arc::clone(patch),
        }))
    }

    /// The row groups of which something is left.
    pub(super) fn pieces(self: Arc<Self>) -> Vec<GroupPiece> {
        let mut first = 0;
        let mut pieces = Vec::new();
        for (group, metadata) in self.chunks.footer().row_groups().iter().enumerate() {
            let end = first + u64::try_from(metadata.num_rows()).unwrap_or(0);
            let rows = first..end;
            first = end;
            if self.gone_in(&rows) < end - rows.start {
                pieces.push(GroupPiece {
                    file: Arc::clone(&self),
                    group,
                    rows,
                });
            }
        }
        pieces
    }

    fn gone_in(&self, rows: &Range<u64>) -> u64 {
        self.gone
            .as_ref()
            .map_or(0, |gone| gone.count(rows.clone()))
    }
}

/// Which columns need no decoding, of a table of `width` columns. Behind them stands the rows'
/// lineage, which files leave out or hold as NULL where it follows from the file.
fn columns(footer: &ParquetMetaData, options: &FileOptions, width: usize) -> Vec<Column> {
    let new = options.columns();
    let old = footer.file_metadata().schema_descr();
    let mut columns: Vec<Column> = Vec::new();
    for leaf in 0..new.num_columns() {
        let at = new.get_column_root_idx(leaf);
        columns.resize_with(columns.len().max(at + 1), || Column {
            leaves: Some(Vec::new()),
        });
        let wanted = new.column(leaf);
        let can_stay = |chunk: &ColumnChunkMetaData| {
            can_copy(chunk, &wanted, &options.properties) && can_edit(chunk)
        };
        let known = old
            .columns()
            .iter()
            .position(|column| column.path() == wanted.path());
        let known = known.filter(|_| at < width).filter(|old| {
            let mut groups = footer.row_groups().iter();
            groups.all(|group| can_stay(group.column(*old)))
        });
        let leaves = &mut columns[at].leaves;
        match (known, &mut *leaves) {
            (Some(old), Some(leaves)) => leaves.push(Leaf { new: leaf, old }),
            _ => *leaves = None,
        }
    }
    columns
}

impl Worker {
    /// Writes what is left of a row group.
    pub(super) async fn row_group(&mut self, piece: GroupPiece) -> Result<()> {
        let path = piece.file.file.planned.path().to_owned();
        let written = runtime::contained_future(self.write_row_group(&piece)).await;
        written.map_err(|error| error.in_file(path))
    }

    async fn write_row_group(&mut self, piece: &GroupPiece) -> Result<()> {
        let file = &piece.file;
        let updated = file.patch.count(&piece.rows);
        let metadata = file.chunks.footer().row_group(piece.group);
        let bytes = usize::try_from(metadata.compressed_size()).unwrap_or(usize::MAX);
        let mut memory = self.reserve("a row group that is written anew");
        // What is read of a column, and all columns as they are written.
        if memory.resize(bytes.saturating_mul(2)).is_err() {
            drop(memory);
            return self.decode_row_group(piece, updated).await;
        }
        let edits = self.edits(piece)?;
        let (mut decoded, mut taken) = (Vec::new(), Vec::new());
        for (at, column) in file.columns.iter().enumerate() {
            let is_updated = updated > 0 && self.updates_column(at);
            match &column.leaves {
                Some(leaves) if !is_updated || edits.has_all(leaves) => {
                    taken.extend(leaves.iter().map(|leaf| (*leaf, is_updated)));
                }
                _ => decoded.push(at),
            }
        }
        let rows = piece.rows.end - piece.rows.start - edits.gone.len() as u64;
        let mut ready = self.rows_writer()?.ready_group(decoded.clone(), rows)?;
        for (leaf, is_updated) in taken {
            self.stop.check()?;
            let edits = match is_updated {
                true => (&edits.all[..], edits.new.get(&leaf.new)),
                false => (&edits.gone[..], None),
            };
            if !self.take_over(piece, leaf, edits, &mut ready).await? {
                drop((ready, memory));
                return self.decode_row_group(piece, updated).await;
            }
        }
        if !decoded.is_empty() {
            self.decode_columns(piece, &decoded, updated, &mut ready)
                .await?;
        }
        drop(memory);
        self.copied += rows - updated;
        let partition = file.file.planned.data_file().partition().clone();
        self.rows_writer()?.append(&partition, ready).await
    }

    /// What becomes of the rows of a row group.
    fn edits(&mut self, piece: &GroupPiece) -> Result<Edits> {
        let place = |row: u64| u32::try_from(row - piece.rows.start).unwrap_or(u32::MAX);
        let runs = piece.file.gone.as_ref();
        let runs = runs.map(|gone| gone.runs(piece.rows.clone()));
        let gone: Vec<RowEdit> = runs
            .into_iter()
            .flatten()
            .flatten()
            .map(|row| RowEdit {
                row: place(row),
                new: None,
            })
            .collect();
        let (places, values) = piece.file.patch.within(&piece.rows);
        let rows = piece.rows.end - piece.rows.start;
        if places.is_empty() || places.len() as u64 > rows / EDITED_SHARE_MAX {
            return Ok(Edits {
                gone,
                ..Edits::default()
            });
        }
        let updated = (0..).zip(places).map(|(new, row)| RowEdit {
            row: place(row.unsigned_abs()),
            new: Some(new),
        });
        let mut all: Vec<RowEdit> = gone.iter().copied().chain(updated).collect();
        all.sort_unstable_by_key(|edit| edit.row);
        let columns = self.target.shape.update_columns.iter().copied();
        let columns = columns.zip(values);
        let mut columns: Vec<_> = columns
            .filter(|(at, _)| piece.file.columns[*at].leaves.is_some())
            .collect();
        if columns.is_empty() {
            return Ok(Edits {
                gone,
                ..Edits::default()
            });
        }
        columns.sort_unstable_by_key(|(at, _)| *at);
        let new = self.rows_writer()?.new_values(&columns)?;
        Ok(Edits { gone, all, new })
    }

    /// Takes a column over with its edits; `false` when it has to be decoded.
    async fn take_over(
        &mut self,
        piece: &GroupPiece,
        leaf: Leaf,
        (edits, new): (&[RowEdit], Option<&NewValues>),
        ready: &mut ReadyGroup,
    ) -> Result<bool> {
        let chunks = &piece.file.chunks;
        let bytes = chunks.bytes(piece.group, leaf.old).await?;
        let footer = chunks.footer();
        let column_index = footer.column_index();
        let offset_index = footer.offset_index();
        let source = SourceChunk {
            metadata: footer.row_group(piece.group).column(leaf.old),
            column_index: column_index.map(|index| &index[piece.group][leaf.old]),
            offset_index: offset_index.map(|index| &index[piece.group][leaf.old]),
            bytes,
            rows: piece.rows.end - piece.rows.start,
        };
        let none = NewValues::default();
        let options = self.rows_writer()?.file_options();
        let chunk = take_over(&source, edits, new.unwrap_or(&none), &options.properties)?;
        let is_taken = chunk.is_some();
        if let Some(chunk) = chunk {
            ready.pages(leaf.new, chunk);
        }
        Ok(is_taken)
    }

    /// Decodes some columns of a row group, with their new values.
    async fn decode_columns(
        &mut self,
        piece: &GroupPiece,
        decoded: &[usize],
        updated: u64,
        ready: &mut ReadyGroup,
    ) -> Result<()> {
        let file = &piece.file;
        let target = Arc::clone(&self.target);
        let (opener, shape) = target.of_columns(decoded);
        let live = Arc::new(
            file.file
                .live_rows(file.gone.as_ref(), Some(all_of(&piece.rows))),
        );
        let mut batches = opener.open_named(live, None).await?;
        let mut patched = 0;
        while let Some(batch) = batches.next().await {
            self.stop.check()?;
            let (rows, new) = file.patch.apply(&batch?, &shape)?;
            patched += new as u64;
            ready.write(&rows)?;
        }
        match patched == updated {
            true => Ok(()),
            false => Err(Error::internal(format!(
                "{updated} rows of a row group were to be updated, and {patched} of them are live"
            ))),
        }
    }

    /// Writes what is left of a row group by decoding all of it.
    async fn decode_row_group(&mut self, piece: &GroupPiece, updated: u64) -> Result<()> {
        let file = &piece.file;
        let live = file
            .file
            .live_rows(file.gone.as_ref(), Some(all_of(&piece.rows)));
        self.read(Arc::new(live), &file.patch, updated).await
    }
}

fn all_of(rows: &Range<u64>) -> DeletedRows {
    let mut all = DeletedRows::default();
    all.insert(rows.clone());
    all
}
