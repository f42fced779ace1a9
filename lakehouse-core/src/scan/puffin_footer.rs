//! The footer of a Puffin file, as far as it says for which data file each deletion vector is.

use std::collections::HashMap;

use serde::Deserialize;

/// What stands at both ends of a Puffin file, and before its footer.
const MAGIC: [u8; 4] = *b"PFA1";
/// The length of the footer's text, flags, and the magic number.
const END_BYTES: usize = 12;

/// The data files that deletion vectors are for, by the places of the vectors in their file.
pub(crate) type VectorNames = HashMap<u64, String>;

#[derive(Deserialize)]
struct FooterText {
    blobs: Vec<BlobText>,
}

#[derive(Deserialize)]
struct BlobText {
    offset: u64,
    #[serde(default)]
    properties: Option<Properties>,
}

#[derive(Deserialize)]
struct Properties {
    #[serde(rename = "referenced-data-file")]
    data_file: Option<String>,
}

/// How many bytes at the end of a Puffin file are its footer; `None` when `end`, its last bytes, are
/// no end of one.
pub(crate) fn puffin_footer_bytes(end: &[u8]) -> Option<u64> {
    let (_, end) = end.split_last_chunk::<END_BYTES>()?;
    let length = u32::from_le_bytes(end.first_chunk().copied()?);
    let fixed = END_BYTES + MAGIC.len();
    (end.last_chunk() == Some(&MAGIC)).then(|| u64::from(length).saturating_add(fixed as u64))
}

/// What a footer says of deletion vectors; `None` when it is packed or cannot be read.
pub(crate) fn vector_names(footer: &[u8]) -> Option<VectorNames> {
    let (text, end) = footer
        .strip_prefix(&MAGIC)?
        .split_last_chunk::<END_BYTES>()?;
    // Flags: one of them says that the text is packed, and nobody knows the others.
    if end.get(4..8)? != [0; 4] {
        return None;
    }
    let footer: FooterText = serde_json::from_slice(text).ok()?;
    let named = |blob: BlobText| Some((blob.offset, blob.properties?.data_file?));
    Some(footer.blobs.into_iter().filter_map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer(text: &str, flags: u8) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        let flags = [flags, 0, 0, 0];
        [&MAGIC, text.as_bytes(), &length, &flags, &MAGIC].concat()
    }

    #[test]
    fn a_footer_names_data_files_by_the_places_of_their_vectors() {
        let text = r#"{"blobs": [
            {"type": "deletion-vector-v1", "offset": 4, "length": 50,
             "properties": {"referenced-data-file": "/a", "cardinality": "1"}},
            {"type": "apache-datasketches-theta-v1", "offset": 54, "properties": {"ndv": "7"}},
            {"type": "other", "offset": 60}
        ], "properties": {"created-by": "someone"}}"#;
        let footer = footer(text, 0);
        assert_eq!(puffin_footer_bytes(&footer), Some(footer.len() as u64));
        assert_eq!(
            puffin_footer_bytes(&footer[40..]),
            Some(footer.len() as u64)
        );
        let names = vector_names(&footer).unwrap();
        assert_eq!(names, HashMap::from([(4, "/a".to_owned())]));
    }

    #[test]
    fn footers_that_are_packed_or_damaged_say_nothing() {
        let text = r#"{"blobs": []}"#;
        assert!(vector_names(&footer(text, 0)).unwrap().is_empty());
        assert_eq!(vector_names(&footer(text, 1)), None);
        assert_eq!(vector_names(&footer("{\"blobs\"", 0)), None);
        assert_eq!(vector_names(b"PFA1"), None);
        assert_eq!(puffin_footer_bytes(b"PFA1"), None);
        assert_eq!(puffin_footer_bytes(&footer(text, 0)[..20]), None);
    }
}
