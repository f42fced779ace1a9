//! Files dealt out to partitions by row groups, so that all end at about the same time.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::FileGroup;
use object_store::ObjectMeta;

use super::file::LakeFile;
use crate::error::{Error, Result};
use crate::storage::Location;

/// A plan's files in groups, one for each partition.
#[derive(Debug)]
pub(super) struct FileGroups {
    /// The groups, at least one.
    pub(super) groups: Vec<FileGroup>,
    /// Whether every file said where its row groups begin: nothing is won by splitting further.
    pub(super) is_final: bool,
}

/// The bytes of a file in which some of its row groups begin.
struct Piece {
    /// The file's place in the plan.
    file: usize,
    bytes: Range<u64>,
}

impl Piece {
    fn len(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }
}

/// Deals a plan's row groups out to at most `partitions` groups of about the same size.
///
/// The engine would split by bytes alone: a row group is read by whoever has its first byte, so
/// that with few row groups one partition may have twice the work of another.
pub(super) fn file_groups(files: Vec<LakeFile>, partitions: usize) -> Result<FileGroups> {
    let files: Vec<Arc<LakeFile>> = files.into_iter().map(Arc::new).collect();
    let mut is_final = true;
    let mut pieces = Vec::with_capacity(files.len());
    for (file, lake_file) in files.iter().enumerate() {
        let of_file = pieces_of(file, lake_file);
        is_final &= of_file.is_some();
        pieces.extend(of_file.unwrap_or_else(|| vec![whole(file, lake_file)]));
    }
    let groups = deal(pieces, partitions)
        .into_iter()
        .map(|pieces| {
            let files: Result<Vec<_>> = joined(pieces)
                .into_iter()
                .map(|piece| partitioned(&files, piece))
                .collect();
            Ok(FileGroup::new(files?))
        })
        .collect::<Result<_>>()?;
    Ok(FileGroups { groups, is_final })
}

/// A file as pieces that can be read one by one: its row groups, where it says where they begin.
pub(super) fn single_pieces(file: LakeFile) -> Result<Vec<PartitionedFile>> {
    let pieces = pieces_of(0, &file).unwrap_or_else(|| vec![whole(0, &file)]);
    let file = [Arc::new(file)];
    let pieces = pieces.into_iter();
    pieces.map(|piece| partitioned(&file, piece)).collect()
}

/// A file as one piece.
fn whole(file: usize, lake_file: &LakeFile) -> Piece {
    Piece {
        file,
        bytes: 0..size_of(lake_file),
    }
}

/// The size that a manifest says. The engine splits files of no bytes into no ranges, and a file
/// may have more than its manifest says.
fn size_of(file: &LakeFile) -> u64 {
    file.data_file().file_size_in_bytes().max(1)
}

/// One piece for each row group, or `None` when the file does not say where they begin.
fn pieces_of(file: usize, lake_file: &LakeFile) -> Option<Vec<Piece>> {
    let data_file = lake_file.data_file();
    let size = size_of(lake_file);
    let starts: Vec<u64> = data_file
        .split_offsets()?
        .iter()
        .map(|start| u64::try_from(*start).ok().filter(|start| *start < size))
        .collect::<Option<_>>()?;
    if starts.is_empty() || !starts.is_sorted_by(|left, right| left < right) {
        return None;
    }
    // The first piece begins with the file and the last ends with it: whatever the offsets are
    // worth, each byte belongs to one piece, and so does each row group.
    let ends = starts.iter().skip(1).copied().chain([size]);
    let begins = [0].into_iter().chain(starts.iter().skip(1).copied());
    Some(
        begins
            .zip(ends)
            .map(|(start, end)| Piece {
                file,
                bytes: start..end,
            })
            .collect(),
    )
}

/// The largest piece first, each to the group that holds least.
fn deal(mut pieces: Vec<Piece>, partitions: usize) -> Vec<Vec<Piece>> {
    let count = partitions.clamp(1, pieces.len().max(1));
    pieces.sort_by_key(|piece| Reverse(piece.len()));
    let mut groups: Vec<(u64, Vec<Piece>)> = Vec::new();
    groups.resize_with(count, Default::default);
    for piece in pieces {
        if let Some((size, group)) = groups.iter_mut().min_by_key(|(size, _)| *size) {
            *size = size.saturating_add(piece.len().max(1));
            group.push(piece);
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// A group's pieces in the plan's order, neighbours of one file as one.
fn joined(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.sort_by_key(|piece| (piece.file, piece.bytes.start));
    let mut joined: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if last.file == piece.file && last.bytes.end == piece.bytes.start => {
                last.bytes.end = piece.bytes.end;
            }
            _ => joined.push(piece),
        }
    }
    joined
}

fn partitioned(files: &[Arc<LakeFile>], piece: Piece) -> Result<PartitionedFile> {
    let file = &files[piece.file];
    let data_file = file.data_file();
    let location = Location::parse(data_file.file_path())?;
    let size = size_of(file);
    let meta = ObjectMeta {
        location: location.routing_path()?,
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size,
        e_tag: None,
        version: None,
    };
    let extensions: Arc<LakeFile> = Arc::clone(file);
    let mut partitioned = PartitionedFile::new_from_meta(meta).with_extensions(extensions);
    if piece.bytes != (0..size) {
        let offset = |byte: u64| {
            i64::try_from(byte)
                .map_err(|_| Error::corrupt("a data file is larger than any file can be"))
        };
        let (start, end) = (offset(piece.bytes.start)?, offset(piece.bytes.end)?);
        partitioned.range = Some(FileRange { start, end });
    }
    Ok(partitioned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(sizes: &[u64]) -> Vec<Piece> {
        let mut start = 0;
        sizes
            .iter()
            .map(|size| {
                let bytes = start..start + size;
                start += size;
                Piece { file: 0, bytes }
            })
            .collect()
    }

    #[test]
    fn row_groups_are_dealt_out_evenly_and_each_once() {
        let groups = deal(pieces(&[8, 8, 8, 7, 7, 7]), 2);
        let sizes: Vec<u64> = groups
            .iter()
            .map(|g| g.iter().map(Piece::len).sum())
            .collect();
        assert_eq!(sizes, [23, 22]);
        let mut starts: Vec<u64> = groups
            .iter()
            .flatten()
            .map(|piece| piece.bytes.start)
            .collect();
        starts.sort_unstable();
        assert_eq!(starts, [0, 8, 16, 24, 31, 38]);
    }

    #[test]
    fn neighbours_of_one_file_are_read_as_one() {
        let joined = joined(pieces(&[5, 5, 5]));
        assert_eq!(joined.len(), 1);
        assert_eq!(joined[0].bytes, 0..15);
        assert_eq!(deal(Vec::new(), 4).len(), 1);
    }
}
