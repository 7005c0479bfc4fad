//! The readers of files from outside, each as a function of a file's bytes, with sound files to start from. HDF5 is not
//! among them: its files are read by a C library, which the command lets another process try first.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use mergan_datasets::npy::{self, Element, Npy};
use mergan_datasets::{FetchOptions, Manifest, idx, load, mat, picture_size, read_picture};
use mergan_metrics::Input;
use mergan_models::{Generator, ModelConfig, Weights};
use mergan_record::{Event, Layout, TaskScores, events};
use mergan_strategies::{Choice, Config, Strategies};
use mergan_tensor::{Device, Random};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// A reader.
#[derive(Clone, Copy)]
pub struct Reader {
    /// Its name.
    pub name: &'static str,
    /// Reads a file of these bytes, and must return, with a value or an error.
    pub read: fn(&[u8]),
    /// Makes sound files.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All readers.
pub const READERS: [Reader; 11] = [
    Reader { name: "idx", read: |bytes| drop(idx::parse(bytes)), seeds: idx_files },
    Reader { name: "mat", read: |bytes| drop(mat::parse(bytes)), seeds: || golden(&["svhn/test_32x32.mat"]) },
    Reader { name: "npy", read: read_npy, seeds: || vec![images(&[2, 4, 4])] },
    Reader { name: "arrays", read: read_arrays, seeds: || vec![archive(&[("images", images(&[4, 32, 32])), labels()])] },
    Reader { name: "statistics", read: read_statistics, seeds: || vec![archive(&statistics())] },
    Reader { name: "picture", read: read_pictures, seeds: pictures },
    Reader { name: "lmdb", read: read_lmdb, seeds: || golden(&["lsun/bedroom_val_lmdb/data.mdb"]) },
    Reader { name: "weights", read: read_weights, seeds: weights },
    Reader { name: "manifest", read: |bytes| drop(Manifest::parse(&text(bytes))), seeds: manifests },
    Reader { name: "config", read: |bytes| drop(Config::parse(&text(bytes), "config.toml")), seeds: configurations },
    Reader { name: "run", read: read_run, seeds: run_files },
];

/// Returns the reader of this name.
pub fn reader(name: &str) -> Option<Reader> {
    READERS.into_iter().find(|reader| reader.name == name)
}

/// A folder for the files of this process. It is left behind when libFuzzer ends the process.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

/// Writes a file, and its folder, and returns its path.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.path().join(name);
    fs::create_dir_all(path.parent().expect("the path has a folder")).expect("a folder");
    fs::write(&path, bytes).expect("a file");
    path
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Opens a dataset and reads some of its images.
fn read_dataset(path: &Path) {
    let options = FetchOptions { cache: FOLDER.path().join("cache"), offline: true, ..FetchOptions::default() };
    if let Ok(data) = load(&path.to_string_lossy(), &options) {
        let rows: Vec<_> = (0..data.train.len().min(4)).collect();
        drop(data.train.select(&rows).images());
    }
}

fn read_npy(bytes: &[u8]) {
    if let Ok(array) = Npy::open(bytes) {
        drop(array.numbers());
    }
}

fn read_arrays(bytes: &[u8]) {
    read_dataset(&file("set.npz", bytes));
}

fn read_statistics(bytes: &[u8]) {
    drop(Input::open(file("statistics.npz", bytes)));
}

fn read_pictures(bytes: &[u8]) {
    let path = file("pictures/class/picture.png", bytes);
    drop(picture_size(&path));
    drop(read_picture(&path));
    read_dataset(&FOLDER.path().join("pictures"));
}

fn read_lmdb(bytes: &[u8]) {
    let sound = golden(&["lsun/bedroom_val_lmdb/data.mdb"]).remove(0);
    for scene in ["bedroom", "church_outdoor", "kitchen", "tower"] {
        for split in ["train", "val"] {
            let altered = (scene, split) == ("bedroom", "train");
            file(&format!("lsun/{scene}_{split}_lmdb/data.mdb"), if altered { bytes } else { &sound });
        }
    }
    read_dataset(&FOLDER.path().join("lsun"));
}

fn read_weights(bytes: &[u8]) {
    let path = file("weights.safetensors", bytes);
    if let Ok(weights) = Weights::load(&path, Device::Cpu) {
        drop(Generator::from_weights(&path, &weights));
    }
}

fn read_run(bytes: &[u8]) {
    let run = Layout::new(&FOLDER.path().join("run"));
    for path in [run.events(), run.scores(1), run.config()] {
        fs::create_dir_all(path.parent().expect("the path has a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
    }
    drop(events::read(&run.events()));
    drop(TaskScores::read(&run, 1));
    drop(mergan_record::Config::read(&run.config()));
}

/// Returns files of the golden values.
fn golden(names: &[&str]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/datasets");
    names.iter().map(|name| fs::read(folder.join(name)).expect("a golden file")).collect()
}

fn idx_files() -> Vec<Vec<u8>> {
    vec![[&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[7; 8]].concat(), vec![0, 0, 8, 1, 0, 0, 0, 1, 5]]
}

/// Makes an array of bytes.
fn images(shape: &[usize]) -> Vec<u8> {
    [npy::header(Element::U8, shape), vec![7; shape.iter().product()]].concat()
}

fn labels() -> (&'static str, Vec<u8>) {
    let numbers = [0_i64, 1, 0, 1].into_iter().flat_map(i64::to_le_bytes);
    ("labels", npy::header(Element::I64, &[4]).into_iter().chain(numbers).collect())
}

/// Makes the mean and covariance of two features, as pytorch-fid writes them.
fn statistics() -> [(&'static str, Vec<u8>); 2] {
    let array = |shape: &[usize], numbers: &[f64]| {
        npy::header(Element::F64, shape).into_iter().chain(numbers.iter().flat_map(|v| v.to_le_bytes())).collect()
    };
    [("mu", array(&[2], &[0.0, 1.0])), ("sigma", array(&[2, 2], &[1.0, 0.0, 0.0, 1.0]))]
}

fn archive(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).expect("a file of the archive");
        archive.write_all(array).expect("memory");
    }
    archive.finish().expect("memory").into_inner()
}

/// Returns pictures of all kinds that are read.
fn pictures() -> Vec<Vec<u8>> {
    let mut pictures = golden(&["pictures/alpha.png", "pictures/palette.png", "pictures/lossy.webp"]);
    pictures.extend(golden(&["pictures/grey.png", "pictures/lossless.webp"]));
    pictures.extend([
        [&b"P6 4 4 255\n"[..], &[9; 48]].concat(),
        b"P1 2 2\n0 1 1 0\n".to_vec(),
        // A bitmap, a GIF and a TIFF of a single pixel each.
        [&b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0"[..], &[0; 24], &[1, 2, 3, 0]].concat(),
        b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;".to_vec(),
        tiff(),
        jpeg(),
    ]);
    pictures
}

/// Makes a grey TIFF of one pixel.
fn tiff() -> Vec<u8> {
    let entry = |tag: u16, kind: u16, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let entries = [(256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 3, 1), (279, 4, 1)];
    let entries = entries.map(|(tag, kind, value)| entry(tag, kind, value));
    let header = [&b"II*\0"[..], &10_u32.to_le_bytes(), &[200, 0]].concat();
    [&header[..], &(entries.len() as u16).to_le_bytes(), &entries.concat(), &0_u32.to_le_bytes()].concat()
}

/// Makes the beginning and the end of a JPEG, with a table for libFuzzer to go on from.
fn jpeg() -> Vec<u8> {
    let table = [&b"\xff\xdb\0\x43\0"[..], &[1; 64]].concat();
    [&b"\xff\xd8"[..], &table, b"\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0", b"\xff\xd9"].concat()
}

fn weights() -> Vec<Vec<u8>> {
    let mut weights = Weights::default();
    let sizes = ModelConfig { width: 1, latent: 2, classes: 2, ..ModelConfig::default() };
    weights.insert_network("", &Generator::new(sizes, Random::new(0), Device::Cpu));
    weights.note = "a note".into();
    let path = FOLDER.path().join("sound.safetensors");
    weights.save(&path).expect("a file");
    // The beginning of what `torch.save` writes: an archive with a pickled dictionary.
    let pickle = b"\x80\x02ccollections\nOrderedDict\nq\0)Rq\x01.";
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("weights/data.pkl", SimpleFileOptions::default()).expect("a file of the archive");
    archive.write_all(pickle).expect("memory");
    vec![fs::read(path).expect("a file"), archive.finish().expect("memory").into_inner()]
}

fn manifests() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/datasets/manifests");
    ["mnist", "lsun"].map(|name| fs::read(folder.join(format!("{name}.toml"))).expect("a manifest")).to_vec()
}

fn configurations() -> Vec<Vec<u8>> {
    let choice = Choice { dataset: "mnist".into(), strategy: "ra".into(), preset: "smoke".into(), ..Choice::default() };
    let config = Config::resolve(&choice, &Strategies::built_in(), 10).expect("a preset");
    vec![config.to_toml().into_bytes()]
}

fn run_files() -> Vec<Vec<u8>> {
    let event = Event::Evaluation { task: 1, accuracy: 0.875, seconds: 1.5, kept: None }.to_line("2026-11-27T00:20:36Z");
    let scores = r#"{"task":1,"classes":[0],"class_names":["0"],"scores":[{"class":0,"metric":"accuracy","value":0.5}]}"#;
    [vec![event.into_bytes(), scores.into()], configurations()].concat()
}
