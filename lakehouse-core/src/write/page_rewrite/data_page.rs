//! A data page, taken apart.

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::schema::types::ColumnDescriptor;

use super::damaged;
use super::hybrid;
use super::values::bits_of;
use crate::error::Result;

/// A data page of a column outside of lists and maps.
pub(super) struct DataPage {
    pub(super) rows: u32,
    /// Whether each row has a value, `None` when all have; else how deep the value is there.
    pub(super) levels: Option<Vec<u32>>,
    pub(super) values: Bytes,
    pub(super) encoding: Encoding,
}

impl DataPage {
    /// A page of at most `rows_max` rows; `None` when the levels are of a form that is not taken
    /// apart.
    pub(super) fn of(page: Page, column: &ColumnDescriptor, rows_max: u64) -> Result<Option<Self>> {
        let deepest = column.max_def_level();
        if u64::from(page.num_values()) > rows_max {
            return Err(damaged("a page has more rows than its row group"));
        }
        let short = || damaged("a page ends too early");
        let (rows, levels, values, encoding) = match page {
            Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding,
                ..
            } => {
                if deepest == 0 {
                    (num_values, None, buf, encoding)
                } else if def_level_encoding == Encoding::RLE {
                    let length = buf.first_chunk::<4>().ok_or_else(short)?;
                    let end = (u32::from_le_bytes(*length) as usize)
                        .checked_add(4)
                        .filter(|end| *end <= buf.len())
                        .ok_or_else(short)?;
                    (
                        num_values,
                        Some(buf.slice(4..end)),
                        buf.slice(end..),
                        encoding,
                    )
                } else {
                    return Ok(None);
                }
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let start = rep_levels_byte_len as usize;
                let end = start
                    .checked_add(def_levels_byte_len as usize)
                    .filter(|end| *end <= buf.len())
                    .ok_or_else(short)?;
                let levels = (deepest > 0).then(|| buf.slice(start..end));
                (num_values, levels, buf.slice(end..), encoding)
            }
            Page::DictionaryPage { .. } => return Ok(None),
        };
        let levels = match levels {
            None => None,
            Some(levels) => {
                let deepest = level_of(deepest);
                let levels = hybrid::decode(&levels, bits_of(deepest), rows as usize);
                let levels = levels.ok_or_else(|| damaged("its levels are none"))?;
                (levels.iter().any(|level| *level != deepest)).then_some(levels)
            }
        };
        Ok(Some(Self {
            rows,
            levels,
            values,
            encoding,
        }))
    }
}

/// A level as pages hold it.
pub(super) fn level_of(level: i16) -> u32 {
    u32::from(level.unsigned_abs())
}
