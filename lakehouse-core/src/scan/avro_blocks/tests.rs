//! Blocks cut, lengthened and counted wrongly.

use std::io::Read;

use serde_json::json;

use super::*;
use crate::error::ErrorKind;

const SYNC: [u8; 16] = [7; 16];

fn file(codec: &str, schema: &serde_json::Value, blocks: &[(u64, &[u8])]) -> Vec<u8> {
    let mut bytes = b"Obj\x01\x04".to_vec();
    for (key, value) in [("avro.codec", codec), ("avro.schema", &schema.to_string())] {
        for text in [key, value] {
            super::super::avro_header::put_long(&mut bytes, text.len() as u64);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes.push(0);
    bytes.extend_from_slice(&SYNC);
    for (count, block) in blocks {
        put_block(&mut bytes, *count, block, &SYNC);
    }
    bytes
}

fn check(bytes: &[u8]) -> Result<Vec<u8>> {
    let header = AvroHeader::parse(bytes).unwrap();
    whole(bytes, &header).map(Cow::into_owned)
}

fn strings() -> serde_json::Value {
    json!({"type": "record", "name": "r", "fields": [
        {"name": "s", "type": "string"},
        {"name": "l", "type": {"type": "array", "items": ["null", "long"]}},
    ]})
}

/// `"ab"` and a list of NULL and 1.
const ROW: [u8; 8] = [4, b'a', b'b', 4, 0, 2, 2, 0];

#[test]
fn whole_files_pass_plain_and_deflated() {
    let rows = [ROW, ROW].concat();
    let plain = file("null", &strings(), &[(2, &rows), (1, &ROW)]);
    assert_eq!(check(&plain).unwrap(), plain);

    let mut packed = Vec::new();
    let mut encoder = flate2::read::DeflateEncoder::new(&rows[..], flate2::Compression::default());
    encoder.read_to_end(&mut packed).unwrap();
    let deflated = file("deflate", &strings(), &[(2, &packed)]);
    assert_eq!(
        check(&deflated).unwrap(),
        file("null", &strings(), &[(2, &rows)])
    );
    // A manifest list of no manifests has no block, or one without rows.
    check(&file("null", &strings(), &[])).unwrap();
    check(&file("null", &strings(), &[(0, &[])])).unwrap();
}

#[test]
fn rows_and_counts_that_do_not_agree_are_refused() {
    let rows = [ROW, ROW].concat();
    for blocks in [
        &[(1, &rows[..])][..],
        &[(3, &rows)],
        &[(0, &rows)],
        &[(0, &[]), (2, &rows)],
        &[(u64::MAX >> 1, &rows)],
    ] {
        let error = check(&file("null", &strings(), blocks)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{blocks:?}");
    }
    let good = file("null", &strings(), &[(2, &rows)]);
    let header = AvroHeader::parse(&good).unwrap().blocks().1.len();
    for end in good.len() - header + 1..good.len() {
        assert!(check(&good[..end]).is_err(), "{end}");
    }
}

#[test]
fn lengths_beyond_the_file_make_no_room() {
    // A text and a list of 2^40, and one whose sign is wrong.
    let huge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
    for row in [
        huge.to_vec(),
        [&[2, b'a'][..], &huge].concat(),
        vec![1, b'a', 0],
        [&[2, b'a'][..], &[0xFF; 9], &[1]].concat(),
    ] {
        assert!(
            check(&file("null", &strings(), &[(1, &row)])).is_err(),
            "{row:?}"
        );
    }
    let fixed = json!({"type": "fixed", "name": "f", "size": u64::MAX});
    assert!(check(&file("null", &fixed, &[(1, &[0])])).is_err());
}

#[test]
fn rows_that_take_no_bytes_or_no_end_are_refused() {
    let empty = json!({"type": "record", "name": "r", "fields": []});
    assert!(check(&file("null", &empty, &[(1 << 60, &[])])).is_err());
    let endless = json!({"type": "record", "name": "r", "fields": [{"name": "r", "type": "r"}]});
    assert!(check(&file("null", &endless, &[(1, &[0])])).is_err());
}

#[test]
fn what_unfolds_beyond_belief_is_refused() {
    let lying = file(
        "snappy",
        &strings(),
        &[(1, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0])],
    );
    assert_eq!(check(&lying).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_codec_that_is_not_read_is_refused_by_name() {
    let error = check(&file("lz5", &strings(), &[(1, &ROW)])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("\"lz5\""), "{error}");
}

#[test]
fn damaged_blocks_of_all_codecs_are_refused() {
    for codec in ["deflate", "snappy", "zstandard", "bzip2", "xz"] {
        for block in [&ROW[..], &[], &[0xFF; 40]] {
            let error = check(&file(codec, &strings(), &[(1, block)])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{codec} {block:?}");
        }
    }
}

#[test]
fn a_list_of_nothing_may_end_with_a_block_without_rows() {
    let mut packed = Vec::new();
    let mut encoder = flate2::read::DeflateEncoder::new(&[][..], flate2::Compression::default());
    encoder.read_to_end(&mut packed).unwrap();
    assert!(!packed.is_empty());
    check(&file("deflate", &strings(), &[(0, &packed)])).unwrap();
    check(&file("null", &strings(), &[(0, &[])])).unwrap();
    check(&file("null", &strings(), &[(0, &[]), (1, &[2, b'a'])])).unwrap_err();
    check(&file("null", &strings(), &[(0, &[2, b'a'])])).unwrap_err();
}
