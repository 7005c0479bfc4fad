//! Tests with handmade files of both formats, damaged files and malicious files.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

/// Writes pickles like Python's `pickle`, one instruction at a time.
#[derive(Clone, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        Writer(b"\x80\x02".to_vec())
    }

    fn code(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn global(self, module: &str, name: &str) -> Self {
        self.code(format!("c{module}\n{name}\n").as_bytes())
    }

    fn text(self, text: &str) -> Self {
        let len = (text.len() as u32).to_le_bytes();
        self.code(b"X").code(&len).code(text.as_bytes())
    }

    fn int(self, number: usize) -> Self {
        self.code(b"J").code(&(number as i32).to_le_bytes())
    }

    fn tuple(self, numbers: &[usize]) -> Self {
        numbers.iter().fold(self.code(b"("), |writer, &number| writer.int(number)).code(b"t")
    }

    /// Writes a key of the dictionary and its tensor, as `torch.save` does.
    fn tensor(self, name: &str, kind: &str, key: &str, len: usize, view: (usize, &[usize], &[usize])) -> Self {
        let (offset, size, stride) = view;
        self.text(name)
            .global("torch._utils", "_rebuild_tensor_v2")
            .code(b"((")
            .text("storage")
            .global("torch", kind)
            .text(key)
            .text("cpu")
            .int(len)
            .code(b"tQ")
            .int(offset)
            .tuple(size)
            .tuple(stride)
            .code(b"\x89")
            .global("collections", "OrderedDict")
            .code(b")RtR")
    }

    /// Returns an `OrderedDict` with the entries that `entries` writes and with attributes, as `state_dict` returns it.
    fn state_dict(entries: impl FnOnce(Self) -> Self) -> Vec<u8> {
        let start = Writer::new().global("collections", "OrderedDict").code(b")Rq\x00(");
        entries(start).code(b"u}").text("_metadata").code(b"Nsb.").0
    }
}

/// Returns the pickle of a matrix, its transpose as a view, a counter and a vector of doubles.
fn described() -> Vec<u8> {
    Writer::state_dict(|writer| {
        writer
            .tensor("matrix", "FloatStorage", "0", 6, (0, &[2, 3], &[3, 1]))
            .tensor("turned", "FloatStorage", "0", 6, (0, &[3, 2], &[1, 3]))
            .tensor("row", "FloatStorage", "0", 6, (3, &[3], &[1]))
            .tensor("count", "LongStorage", "1", 1, (0, &[], &[]))
            .tensor("wide", "DoubleStorage", "2", 2, (0, &[2], &[1]))
    })
}

fn storages_of_described() -> Vec<(&'static str, Vec<u8>)> {
    let floats = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let doubles = [0.5f64, -2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    vec![("0", floats), ("1", 7i64.to_le_bytes().to_vec()), ("2", doubles)]
}

fn archive(pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let entries = storages.iter().map(|(key, bytes)| (format!("data/{key}"), bytes.as_slice()));
    for (name, bytes) in [("data.pkl".to_string(), pickle), ("byteorder".into(), b"little")].into_iter().chain(entries)
    {
        writer.start_file(format!("weights/{name}"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn legacy(pickle: &[u8], storages: &[(&str, usize, Vec<u8>)]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    file.extend(Writer::new().int(1001).code(b".").0);
    file.extend(Writer::new().code(b"}(").text("little_endian").code(b"\x88u.").0);
    file.extend(pickle);
    let keys = storages.iter().fold(Writer::new().code(b"]("), |writer, (key, ..)| writer.text(key));
    file.extend(keys.code(b"e.").0);
    for (_, len, bytes) in storages {
        file.extend((*len as u64).to_le_bytes());
        file.extend(bytes);
    }
    file
}

fn whole_files() -> [Vec<u8>; 2] {
    let storages = storages_of_described();
    let lengths = [6, 1, 2];
    let with_lengths: Vec<_> =
        storages.iter().zip(lengths).map(|((key, bytes), len)| (*key, len, bytes.clone())).collect();
    [archive(&described(), &storages), legacy(&described(), &with_lengths)]
}

fn message(file: &[u8]) -> String {
    assert!(recognises(file));
    read(file).err().expect("a bad file").to_string()
}

#[test]
fn both_formats_are_read() {
    for file in whole_files() {
        assert!(recognises(&file));
        let tensors = read(&file).unwrap();
        assert_eq!(tensors.keys().map(String::as_str).collect::<Vec<_>>(), ["matrix", "row", "turned", "wide"]);
        let numbers = |name: &str| match &tensors[name] {
            (axes, Numbers::F32(numbers)) => (axes.clone(), numbers.iter().map(|&x| x.into()).collect()),
            (axes, Numbers::F64(numbers)) => (axes.clone(), numbers.clone()),
        };
        assert_eq!(numbers("matrix"), (vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(numbers("turned"), (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(numbers("row"), (vec![3], vec![3.0, 4.0, 5.0]));
        assert_eq!(numbers("wide"), (vec![2], vec![0.5, -2.0]));
    }
}

#[test]
fn what_a_file_asks_for_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let traces: Vec<_> = ["system", "eval", "nested"].iter().map(|name| folder.path().join(name)).collect();
    let command = format!("touch {}", traces[0].display());
    let system = Writer::new().global("posix", "system").code(b"(").text(&command).code(b"tR.").0;
    let code = format!("open({:?}, 'w')", traces[1]);
    let eval = Writer::new().global("builtins", "eval").code(b"(").text(&code).code(b"tR.").0;
    // The bad tensor follows a valid one.
    let nested = Writer::state_dict(|writer| {
        let writer = writer.tensor("a", "FloatStorage", "0", 6, (0, &[6], &[1])).text("b");
        writer.global("subprocess", "run").code(b"(").text(&traces[2].display().to_string()).code(b"tR")
    });
    for (pickle, name) in [(system, "posix.system"), (eval, "builtins.eval"), (nested, "subprocess.run")] {
        for file in [archive(&pickle, &storages_of_described()), legacy(&pickle, &[])] {
            let error = message(&file);
            assert!(error.contains(&format!("it asks for `{name}`")) && error.contains("nothing was run"), "{error}");
        }
    }
    assert!(traces.iter().all(|trace| !trace.exists()));
}

#[test]
fn descriptions_that_do_not_fit_are_refused() {
    let of = |view, len| {
        let pickle = Writer::state_dict(|writer| writer.tensor("a", "FloatStorage", "0", len, view));
        message(&archive(&pickle, &storages_of_described()))
    };
    const HUGE: usize = i32::MAX as usize;
    for (view, len, expected) in [
        ((0, &[2, 3][..], &[3, 1][..]), 7, "the numbers `0` take 24 bytes, where 7 of 4 bytes are described"),
        ((1, &[2, 3], &[3, 1]), 6, "`a` ends at number 6 of the 6 that it is a view of"),
        ((0, &[HUGE, HUGE, HUGE], &[0, 0, 0]), 6, "more than the 6 numbers that it is a view of"),
        ((0, &[7], &[0]), 6, "more than the 6 numbers that it is a view of"),
        ((0, &[2, 3], &[3]), 6, "has the axes [2, 3] and the strides [3]"),
        ((0, &[1; 9], &[1; 9]), 6, "a tensor is not described as torch.save does it"),
    ] {
        let error = of(view, len);
        assert!(error.contains(expected), "{error}");
    }
    let many = Writer::state_dict(|writer| {
        (0..40).fold(writer, |writer, i| writer.tensor(&format!("a{i}"), "FloatStorage", "0", 6, (0, &[6], &[1])))
    });
    let padded = archive(&many, &storages_of_described());
    // Some sharing is allowed in a file that is larger than its numbers, but not endless repetition.
    assert!(read(&padded).is_ok());
    let twice = Writer::state_dict(|writer| {
        (0..2).fold(writer, |writer, _| writer.tensor("a", "FloatStorage", "0", 6, (0, &[6], &[1])))
    });
    assert!(message(&archive(&twice, &storages_of_described())).contains("`a` comes twice"));
    let nothing = Writer::new().code(b"N.").0;
    assert!(message(&archive(&nothing, &[])).contains("no dictionary of tensors"));
    assert!(message(&archive(&described(), &[])).contains("lacks weights/data/"));
    assert!(message(&legacy(&described(), &[])).contains("are not in the file"));
}

#[test]
fn deep_and_circular_objects_end_in_an_error_and_not_in_the_stack() {
    let deep = Writer::new().code(&[b')'; 1]).code(&[0x85; 400_000]).code(b".").0;
    assert!(message(&legacy(&deep, &[])).contains("no dictionary of tensors"));
    let circular = Writer::new().code(b"]q\x00h\x00a.").0;
    assert!(message(&legacy(&circular, &[])).contains("no dictionary of tensors"));
}

#[test]
fn truncated_files_are_errors() {
    for file in whole_files() {
        for len in 15..file.len() {
            assert!(read(&file[..len]).is_err(), "{len} of {} bytes", file.len());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        format in 0usize..2,
    ) {
        let mut file = whole_files()[format].clone();
        for (place, byte) in damage {
            let place = place.index(file.len());
            file[place] = byte;
        }
        let _ = read(&file);
    }

    #[test]
    fn no_program_makes_it_panic(program in prop::collection::vec(prop::sample::select(b"\x80.cNJKMX()tu}]aesqrhjQRb\x85\x86\x87\x88\x00\x01\n".to_vec()), 0..60)) {
        let _ = pickle::Pickle::read(&program);
    }
}

#[test]
fn a_pickle_of_too_many_objects_is_refused() {
    // Each byte wraps what is there in a tuple, which takes a hundred bytes of memory.
    let pickle = [b"\x80\x02N".as_slice(), &vec![0x85; 1 << 20], b"."].concat();
    let Err(error) = pickle::Pickle::read(&pickle) else { panic!("it was read") };
    assert!(error.to_string().contains("more than 524288 objects"), "{error}");
}
