//! Runs and bit-packed groups of small numbers: how Parquet holds levels and places in a dictionary.
//!
//! Source of the layout: the Parquet format, "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)".

/// Numbers of a bit-packed group.
const GROUP: usize = 8;

/// The first `count` numbers of `width` bits; `None` when the bytes do not hold so many.
pub(super) fn decode(mut bytes: &[u8], width: u8, count: usize) -> Option<Vec<u32>> {
    if width > 32 {
        return None;
    }
    // Runs of one header may be long: room is made as they come, never for more than `count`.
    let mut numbers = Vec::with_capacity(count.min(bytes.len().saturating_mul(GROUP)));
    while numbers.len() < count {
        let left = count - numbers.len();
        let (header, rest) = varint(bytes)?;
        bytes = rest;
        let length = usize::try_from(header >> 1).ok()?;
        if header & 1 == 0 {
            let value_bytes = usize::from(width.div_ceil(8));
            let mut value = [0; 4];
            value[..value_bytes].copy_from_slice(bytes.get(..value_bytes)?);
            bytes = &bytes[value_bytes..];
            let value = u32::from_le_bytes(value);
            numbers.resize(numbers.len() + length.min(left), value);
        } else {
            let wanted = length.checked_mul(GROUP)?.min(left);
            // The last group may be cut off behind the numbers that count.
            let needed = (wanted * usize::from(width)).div_ceil(8);
            let packed = length.checked_mul(usize::from(width))?.min(bytes.len());
            unpack(bytes.get(..needed)?, width, wanted, &mut numbers);
            bytes = &bytes[packed..];
        }
    }
    Some(numbers)
}

/// Adds numbers of `width` bits, as runs where eight or more are the same.
pub(super) fn encode(numbers: &[u32], width: u8, bytes: &mut Vec<u8>) {
    let (mut packed, mut next) = (0, 0);
    while let Some(value) = numbers.get(next) {
        let run = numbers[next..].iter().take_while(|other| *other == value);
        let run = run.count();
        // Groups are whole, so that a run may lose its first numbers to the one before it.
        let filling = (GROUP - (next - packed) % GROUP) % GROUP;
        if run >= filling + GROUP {
            pack(&numbers[packed..next + filling], width, bytes);
            encode_run(*value, run - filling, width, bytes);
            packed = next + run;
        }
        next += run;
    }
    pack(&numbers[packed..], width, bytes);
}

/// Adds `count` times the same number.
pub(super) fn encode_run(number: u32, count: usize, width: u8, bytes: &mut Vec<u8>) {
    put_varint((count as u64) << 1, bytes);
    let number_bytes = usize::from(width.div_ceil(8));
    bytes.extend_from_slice(&number.to_le_bytes()[..number_bytes]);
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

fn put_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

fn unpack(bytes: &[u8], width: u8, count: usize, numbers: &mut Vec<u32>) {
    let width = usize::from(width);
    let mask = (1_u64 << width) - 1;
    let number = |word: u64, bit: usize| ((word >> (bit % 8)) & mask) as u32;
    // Eight bytes hold a number wherever it begins: 7 bits before it and 32 of its own.
    let whole = bytes.len().saturating_sub(7) * 8 / width.max(1);
    let whole = if width == 0 { count } else { whole.min(count) };
    numbers.extend((0..whole).map(|place| {
        let bit = place * width;
        match bytes.get(bit / 8..).and_then(<[u8]>::first_chunk::<8>) {
            Some(word) => number(u64::from_le_bytes(*word), bit),
            None => 0,
        }
    }));
    // The others begin in the last twelve bytes, behind which there is nothing.
    let mut end = [0; 24];
    let from = bytes.len().saturating_sub(12);
    end[..bytes.len() - from].copy_from_slice(&bytes[from..]);
    numbers.extend((whole..count).map(|place| {
        let bit = place * width;
        match end.get(bit / 8 - from..).and_then(<[u8]>::first_chunk::<8>) {
            Some(word) => number(u64::from_le_bytes(*word), bit),
            None => 0,
        }
    }));
}

fn pack(numbers: &[u32], width: u8, bytes: &mut Vec<u8>) {
    if numbers.is_empty() {
        return;
    }
    let groups = numbers.len().div_ceil(GROUP);
    put_varint(((groups as u64) << 1) | 1, bytes);
    let end = bytes.len() + groups * usize::from(width);
    let (mut word, mut bits) = (0_u64, 0_u8);
    for number in numbers {
        word |= u64::from(*number) << bits;
        bits += width;
        if bits >= 32 {
            bytes.extend_from_slice(&word.to_le_bytes()[..4]);
            word >>= 32;
            bits -= 32;
        }
    }
    bytes.extend_from_slice(&word.to_le_bytes()[..usize::from(bits.div_ceil(8))]);
    bytes.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_bytes() {
        // The format's own example: the numbers 0 to 7 by three bits.
        let mut bytes = Vec::new();
        encode(&[0, 1, 2, 3, 4, 5, 6, 7], 3, &mut bytes);
        assert_eq!(bytes, [0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
        bytes.clear();
        encode(&[4; 300], 3, &mut bytes);
        assert_eq!(bytes, [0xD8, 0x04, 4]);
    }

    #[test]
    fn what_is_too_short_is_not_decoded() {
        let mut bytes = Vec::new();
        encode(&(0..100).collect::<Vec<_>>(), 7, &mut bytes);
        assert!(decode(&bytes, 7, 100).is_some());
        for end in 0..bytes.len() - 4 {
            assert_eq!(decode(&bytes[..end], 7, 100), None, "{end}");
        }
        assert_eq!(decode(&[0xFF; 12], 33, 1), None);
        assert_eq!(decode(&[0xFF; 12], 3, 1), None);
        assert_eq!(decode(&[0], 0, 1), None);
    }

    proptest! {
        #[test]
        fn decodes_what_was_encoded(
            width in 0_u8..=32,
            runs in prop::collection::vec((any::<u32>(), 1_usize..40), 0..30),
        ) {
            let mask = ((1_u64 << width) - 1) as u32;
            let numbers: Vec<u32> = runs
                .iter()
                .flat_map(|(value, length)| {
                    // Half of the runs count up: no two numbers are the same.
                    let step = value % 2;
                    (0..*length as u32).map(move |n| value.wrapping_add(n * step) & mask)
                })
                .collect();
            let mut bytes = Vec::new();
            encode(&numbers, width, &mut bytes);
            prop_assert_eq!(decode(&bytes, width, numbers.len()), Some(numbers));
        }
    }
}
