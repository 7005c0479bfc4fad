//! Tests the MAT reader on valid, altered and arbitrary bytes.

use std::fs;
use std::path::Path;

use mergan_datasets::mat::{Values, parse};
use proptest::prelude::*;

const HEADER: usize = 128;

/// Makes a file with these elements after its header.
fn file(elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b' '; HEADER];
    bytes[124..].copy_from_slice(&[0x00, 0x01, b'I', b'M']);
    bytes.extend(elements);
    bytes
}

fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// Encodes a variable: flags, dimensions, a name and values.
fn variable(class: u8, sizes: &[i32], kind: u32, values: &[u8]) -> Vec<u8> {
    let parts = [
        element(6, &[class, 0, 0, 0, 0, 0, 0, 0]),
        element(5, &sizes.iter().flat_map(|size| size.to_le_bytes()).collect::<Vec<_>>()),
        element(1, b"variable"),
        element(kind, values),
    ];
    element(14, &parts.concat())
}

#[test]
fn numbers_of_every_type_are_read() {
    let cases: [(u32, &[u8], &[f64]); 5] = [
        (1, &[0xff, 1], &[-1.0, 1.0]),
        (3, &[0xff, 0xff, 2, 0], &[-1.0, 2.0]),
        (6, &[1, 0, 0, 0, 0, 0, 0, 1], &[1.0, 16_777_216.0]),
        (7, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0], &[1.0, -2.0]),
        (12, &[3, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[3.0, -1.0]),
    ];
    for (kind, bytes, expected) in cases {
        let arrays = parse(&file(&variable(6, &[2, 1], kind, bytes))[..]).unwrap();
        assert_eq!(arrays["variable"].values, Values::Numbers(expected.to_vec()));
        assert_eq!(arrays["variable"].shape, [2, 1]);
    }
    // A cell array is skipped.
    assert!(parse(&file(&variable(1, &[1, 1], 2, &[0]))[..]).unwrap().is_empty());
}

#[test]
fn errors_say_where_and_what_would_be_right() {
    for (elements, expected) in [
        (vec![14, 0, 0, 0], "at byte 128: the file ends inside a tag"),
        (element(14, &[]), "at byte 128: it ends before its flags"),
        (variable(6, &[3, 1], 2, &[0, 0]), "at byte 128: `variable` has dimensions [3, 1], but 2 values"),
        (variable(6, &[-1, 1], 2, &[0, 0]), "at byte 128: a negative dimension"),
        (variable(6, &[i32::MAX; 4], 2, &[0]), "], but 1 values"),
        (variable(6, &[1, 1], 99, &[0]), "at byte 128: its values are of type 99"),
        (vec![15, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4], "at byte 128: "),
    ] {
        let error = parse(&file(&elements)[..]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // A length that runs past the variable reserves no memory.
    let mut long = variable(6, &[1, 1], 2, &[0; 16]);
    let tag = long.len() - 20;
    long[tag..tag + 4].copy_from_slice(&0x3fff_ffff_u32.to_le_bytes());
    assert!(parse(&file(&long)[..]).unwrap_err().to_string().contains("its values take 1073741823 bytes, more than"));
}

/// Generates the golden files with some bytes altered.
fn altered() -> impl Strategy<Value = Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("tests/golden/datasets/svhn");
    let files = ["train_32x32.mat", "test_32x32.mat"].map(|name| fs::read(folder.join(name)).unwrap());
    (0..files.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)).prop_map(
        move |(file, changes)| {
            let mut bytes = files[file].clone();
            // Only the headers are altered, because that is where it matters.
            let headers = bytes.len().min(400);
            for (index, value) in changes {
                bytes[index.index(headers)] = value;
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read(sizes in prop::collection::vec(0i32..5, 1..4), seed in any::<u8>()) {
        let count = sizes.iter().product::<i32>() as u8;
        let values: Vec<u8> = (0..count).map(|i| seed.wrapping_add(i)).collect();
        let array = parse(&file(&variable(9, &sizes, 2, &values))[..]).unwrap().remove("variable").unwrap();
        prop_assert!(array.shape.iter().map(|&size| size as i32).eq(sizes));
        prop_assert_eq!(array.values, Values::Bytes(values));
    }

    #[test]
    fn arbitrary_elements_never_panic(elements in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&file(&elements)[..]);
    }

    #[test]
    fn altered_files_never_panic(bytes in altered()) {
        let _ = parse(&bytes[..]);
    }
}
