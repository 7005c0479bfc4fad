//! What images are read from: folders of pictures, arrays of NumPy, prepared files, and the generators of runs.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use mergan_datasets::npy::{Element, Npy};
use mergan_datasets::{FetchOptions, Labelled};
use ndarray::Array4;
use zip::ZipArchive;

use super::distances::Sample;
use super::network::BATCH;
use super::{pictures, statistics};
use crate::dir::RunDir;
use crate::trained::Trained;

/// One side of a distance.
pub enum Input {
    /// Images that are yet to go through the network.
    Images(ImageSet),
    /// Mean and covariance of a network's features, from a file.
    Statistics(Sample),
}

/// Images of one size, a batch at a time.
pub struct ImageSet {
    /// How many images.
    pub count: usize,
    /// The images, N x C x H x W.
    pub batches: Box<dyn Iterator<Item = Result<Array4<u8>>>>,
}

/// Opens a folder of pictures, a run directory, an array `.npy` or `.npz` of images, a prepared file `.h5`, or pytorch-fid's
/// `.npz` of statistics.
///
/// `samples` images of each class are drawn from a run's generator; by default as many as the run was configured for.
///
/// # Errors
/// When the path is none of these.
pub fn open(path: &Path, samples: Option<usize>) -> Result<Input> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension {
        _ if path.is_dir() && RunDir::new(path).config().is_file() => Ok(Input::Images(of_run(path, samples)?)),
        _ if path.is_dir() => Ok(Input::Images(of_folder(pictures::in_folder(path)?))),
        "h5" | "hdf5" => Ok(Input::Images(of_prepared(path)?)),
        "npy" => Ok(Input::Images(of_array(path, open_file(path)?)?)),
        "npz" => {
            let mut archive = archive(path)?;
            if let Some(statistics) = statistics::read(path, &mut archive)? {
                return Ok(Input::Statistics(Sample { statistics, features: None }));
            }
            let name = only_array(path, &archive)?;
            // The whole array is unpacked at once: its reader borrows the archive.
            let mut bytes = Vec::new();
            let entry = archive.by_name(&name).with_context(|| format!("reading {name} in {}", path.display()))?;
            entry
                .take(LARGEST)
                .read_to_end(&mut bytes)
                .with_context(|| format!("reading {name} in {}", path.display()))?;
            Ok(Input::Images(of_array(path, std::io::Cursor::new(bytes))?))
        }
        _ => bail!(
            "{} is no set of images; give a folder of pictures, an array .npy or .npz, a prepared file .h5, statistics .npz, or a run directory",
            path.display()
        ),
    }
}

/// More bytes than this are not unpacked.
const LARGEST: u64 = 16 << 30;

fn open_file(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| format!("reading {}", path.display()))?))
}

fn archive(path: &Path) -> Result<ZipArchive<BufReader<File>>> {
    ZipArchive::new(open_file(path)?).with_context(|| format!("{} is no .npz archive", path.display()))
}

/// The name of the array of images in an archive.
fn only_array(path: &Path, archive: &ZipArchive<BufReader<File>>) -> Result<String> {
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    match names.as_slice() {
        [name] => Ok(name.clone()),
        names if names.iter().any(|name| name == "arr_0.npy") => Ok("arr_0.npy".into()),
        names => bail!(
            "{} holds the arrays {}; images are the only one, or arr_0, and statistics are mu and sigma",
            path.display(),
            names.join(", ")
        ),
    }
}

fn of_folder(paths: Vec<PathBuf>) -> ImageSet {
    let count = paths.len();
    let batches = (0..count)
        .step_by(BATCH)
        .map(move |start| pictures::decode(&paths[start..count.min(start + BATCH)], &paths[0]));
    ImageSet { count, batches: Box::new(batches) }
}

/// Images N x H x W x C, as most tools write them, N x C x H x W, as `mergan sample` does, or N x H x W of grey.
fn of_array(path: &Path, reader: impl Read + 'static) -> Result<ImageSet> {
    let name = path.display().to_string();
    let mut npy = Npy::open(reader).with_context(|| format!("{name} is no array of images"))?;
    let shape = npy.shape().to_vec();
    let is_channels = |channels| matches!(channels, 1 | 3);
    let (count, image, channels_last) = match *shape.as_slice() {
        [n, c, h, w] if is_channels(c) => (n, [c, h, w], false),
        [n, h, w, c] if is_channels(c) => (n, [h, w, c], true),
        [n, h, w] => (n, [1, h, w], false),
        _ => bail!("{name} has the axes {shape:?}; images are N x H x W x C or N x C x H x W with 1 or 3 channels"),
    };
    ensure!(
        npy.element() == Element::U8 && npy.is_row_major(),
        "{name} holds no bytes in row-major order; images are uint8, from 0 to 255"
    );
    ensure!(image.iter().all(|&length| (1..1 << 16).contains(&length)), "{name} has images of {image:?}");
    let batches = (0..count).step_by(BATCH).map(move |start| {
        let n = BATCH.min(count - start);
        let bytes = npy.bytes(n * image.iter().product::<usize>()).with_context(|| format!("reading {name}"))?;
        let images =
            Array4::from_shape_vec((n, image[0], image[1], image[2]), bytes).expect("as many bytes as asked for");
        Ok(if channels_last { images.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned() } else { images })
    });
    Ok(ImageSet { count, batches: Box::new(batches) })
}

/// The images of all splits of a prepared file.
fn of_prepared(path: &Path) -> Result<ImageSet> {
    let dataset = mergan_datasets::open(&path.to_string_lossy(), &FetchOptions::default())?;
    let splits = [dataset.train, dataset.validation, dataset.test];
    let count = splits.iter().map(Labelled::len).sum();
    let slabs: Vec<Labelled> = splits.iter().flat_map(|split| split.slabs(BATCH).collect::<Vec<_>>()).collect();
    let batches = slabs.into_iter().map(|slab| Ok(slab.images()?.into_owned()));
    Ok(ImageSet { count, batches: Box::new(batches) })
}

/// Images of every class that a run's newest generator has learned.
fn of_run(path: &Path, samples: Option<usize>) -> Result<ImageSet> {
    let run = RunDir::new(path);
    let config = run.read_config()?;
    let trained = Trained::load(&run.generator(run.newest_task()?))?;
    let samples = samples.unwrap_or(config.evaluation.samples);
    let images = trained.usage.sampling(config.seed).images(trained.source(), &trained.usage.classes, samples);
    let count = images.iter().map(|images| images.dim().0).sum();
    Ok(ImageSet { count, batches: Box::new(images.into_iter().map(Ok)) })
}
