//! The bytes of a Puffin file of deletion vectors.

use bytes::Bytes;
use roaring::RoaringTreemap;
use serde::Serialize;

use crate::error::{Error, Result};

/// What stands at both ends of a Puffin file, and before its footer.
pub(super) const PUFFIN_MAGIC: [u8; 4] = *b"PFA1";
/// The field id of the position of a row in its file: what a vector is said to be made of.
const POSITION_ID: i32 = 2_147_483_645;
/// The type of a blob that holds a deletion vector.
const VECTOR_TYPE: &str = "deletion-vector-v1";
/// What begins a vector, behind its length.
const VECTOR_MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];
/// Other engines count the length of a vector in 31 bits.
const VECTOR_BYTES_MAX: usize = i32::MAX as usize;

/// The footer of a Puffin file, as it grows with the file.
#[derive(Debug, Default, Serialize)]
pub(super) struct PuffinFooter {
    blobs: Vec<BlobText>,
    properties: FileProperties,
}

#[derive(Debug, Serialize)]
struct FileProperties {
    #[serde(rename = "created-by")]
    created_by: &'static str,
}

impl Default for FileProperties {
    fn default() -> Self {
        Self {
            created_by: concat!("lakehouse version ", env!("CARGO_PKG_VERSION")),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct BlobText {
    #[serde(rename = "type")]
    kind: &'static str,
    fields: [i32; 1],
    /// A vector is of the snapshot whose manifest names it; the file is written before.
    snapshot_id: i64,
    sequence_number: i64,
    offset: u64,
    length: u64,
    properties: BlobProperties,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct BlobProperties {
    referenced_data_file: String,
    cardinality: String,
}

impl PuffinFooter {
    /// Names a vector of `cardinality` rows of a data file, which takes `length` bytes at `offset`.
    pub(super) fn add(&mut self, data_file: &str, cardinality: u64, offset: u64, length: u64) {
        self.blobs.push(BlobText {
            kind: VECTOR_TYPE,
            fields: [POSITION_ID],
            snapshot_id: -1,
            sequence_number: -1,
            offset,
            length,
            properties: BlobProperties {
                referenced_data_file: data_file.to_owned(),
                cardinality: cardinality.to_string(),
            },
        });
    }

    /// The footer's bytes, which end the file.
    ///
    /// # Errors
    /// When the footer is longer than the format can say.
    pub(super) fn bytes(&self) -> Result<Bytes> {
        let text = serde_json::to_vec(self)?;
        let length = i32::try_from(text.len()).map_err(|error| {
            Error::unsupported("a Puffin file has more vectors than its footer can name")
                .with_source(error)
        })?;
        // No flags: the text is not packed.
        let end = [&length.to_le_bytes()[..], &[0; 4], &PUFFIN_MAGIC].concat();
        Ok(Bytes::from([&PUFFIN_MAGIC[..], &text, &end].concat()))
    }
}

/// The blob of a deletion vector: length, magic number, bitmaps and checksum.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`] for a vector larger than the format allows.
pub(super) fn vector_blob(rows: &RoaringTreemap) -> Result<Bytes> {
    const FRAME_BYTES: usize = 4;
    let body_bytes = VECTOR_MAGIC.len() + rows.serialized_size();
    if body_bytes > VECTOR_BYTES_MAX {
        return Err(Error::unsupported(format!(
            "a deletion vector of {body_bytes} bytes is larger than the format allows; rewrite \
             the data file (write.delete.mode = copy-on-write)"
        )));
    }
    let length = u32::try_from(body_bytes).unwrap_or(u32::MAX);
    let mut blob = Vec::with_capacity(body_bytes + 2 * FRAME_BYTES);
    blob.extend(length.to_be_bytes());
    blob.extend(VECTOR_MAGIC);
    rows.serialize_into(&mut blob)?;
    let checksum = crc32fast::hash(&blob[FRAME_BYTES..]);
    blob.extend(checksum.to_be_bytes());
    Ok(Bytes::from(blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_has_the_bytes_of_the_format() {
        let rows: RoaringTreemap = [1, 3, (1 << 32) + 7].into_iter().collect();
        let blob = vector_blob(&rows).unwrap();
        let mut body = VECTOR_MAGIC.to_vec();
        body.extend(2_u64.to_le_bytes());
        for (high, values) in [(0_u32, &[1_u16, 3][..]), (1, &[7])] {
            body.extend(high.to_le_bytes());
            body.extend(12_346_u32.to_le_bytes());
            body.extend(1_u32.to_le_bytes());
            body.extend(0_u16.to_le_bytes());
            body.extend(u16::try_from(values.len() - 1).unwrap().to_le_bytes());
            body.extend(16_u32.to_le_bytes());
            body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let checksum = crc32fast::hash(&body).to_be_bytes();
        assert_eq!(blob, [&length[..], &body, &checksum].concat());
    }

    #[test]
    fn a_footer_names_each_vector() {
        let mut footer = PuffinFooter::default();
        footer.add("/a", 2, 4, 50);
        let bytes = footer.bytes().unwrap();
        let text = &bytes[4..bytes.len() - 12];
        let json: serde_json::Value = serde_json::from_slice(text).unwrap();
        let expected = serde_json::json!([{
            "type": "deletion-vector-v1", "fields": [2_147_483_645], "snapshot-id": -1,
            "sequence-number": -1, "offset": 4, "length": 50,
            "properties": {"referenced-data-file": "/a", "cardinality": "2"},
        }]);
        assert_eq!(json["blobs"], expected);
        let length = i32::try_from(text.len()).unwrap().to_le_bytes();
        let ends = [&length[..], &[0; 4], b"PFA1"].concat();
        assert_eq!(
            (&bytes[..4], &bytes[bytes.len() - 12..]),
            (&b"PFA1"[..], &ends[..])
        );
    }
}
