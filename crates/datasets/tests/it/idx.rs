//! Tests the IDX parser on valid, altered and arbitrary bytes.

use mergan_datasets::idx::parse;
use proptest::prelude::*;

fn encode(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Generates sizes of up to four dimensions and data that fills them.
fn arrays() -> impl Strategy<Value = (Vec<u32>, Vec<u8>)> {
    prop::collection::vec(0u32..6, 0..5).prop_flat_map(|sizes| {
        let count = sizes.iter().product::<u32>() as usize;
        (Just(sizes), prop::collection::vec(any::<u8>(), count))
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read((sizes, data) in arrays()) {
        let array = parse(&encode(&sizes, &data)).unwrap();
        prop_assert!(array.shape().iter().map(|&size| size as u32).eq(sizes));
        prop_assert!(array.iter().copied().eq(data));
    }

    #[test]
    fn one_byte_more_or_less_is_refused((sizes, data) in arrays(), extra in any::<u8>()) {
        let mut bytes = encode(&sizes, &data);
        prop_assert!(parse(&bytes[..bytes.len() - 1]).is_err());
        bytes.push(extra);
        prop_assert!(parse(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&bytes);
    }

    /// Arbitrary bytes rarely get past the magic number, so this generates headers with a valid one.
    #[test]
    fn arbitrary_sizes_never_panic(
        sizes in prop::collection::vec(prop_oneof![Just(0), Just(u32::MAX), any::<u32>()], 0..12),
        data in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let _ = parse(&encode(&sizes, &data));
    }
}

#[test]
fn errors_say_where_and_what_would_be_right() {
    for (bytes, expected) in [
        (vec![0, 0], "at byte 2: the file ends inside the 4-byte magic number"),
        (vec![0x1f, 0x8b, 8, 1], "at byte 0: an IDX file starts with two zero bytes, this one with 0x1f 0x8b"),
        (vec![0, 0, 0xd, 1], "at byte 2: element type 0x0d, expected 0x08 (unsigned byte)"),
        (vec![0, 0, 8, 2, 0, 0, 0, 1], "at byte 8: the file ends inside the sizes of its 2 dimensions"),
        (encode(&[3], &[1, 2]), "at byte 8: dimensions [3] promise 3 bytes, the file holds 2"),
    ] {
        assert_eq!(parse(&bytes).unwrap_err().to_string(), expected);
    }
    let huge = parse(&encode(&[u32::MAX; 4], &[])).unwrap_err().to_string();
    assert!(huge.contains("promise more bytes than memory can hold"), "{huge}");
}
