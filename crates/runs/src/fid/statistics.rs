//! pytorch-fid's files of statistics: an archive `.npz` of the mean `mu` and the covariance `sigma`. Ours also say of how
//! many samples they are, which pytorch-fid passes over.

use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use mergan_datasets::npy::{Element, Npy, header};
use mergan_metrics::FeatureStatistics;
use mergan_models::write_whole;
use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The statistics in an archive, or `None` where it holds something else.
pub fn read<R: Read + Seek>(path: &Path, archive: &mut ZipArchive<R>) -> Result<Option<FeatureStatistics>> {
    let mut array = |name: &str| -> Result<Option<ArrayD<f64>>> {
        let bad = || format!("reading {name} in {}", path.display());
        match archive.by_name(&format!("{name}.npy")) {
            Ok(entry) => Ok(Some(Npy::open(entry).and_then(Npy::numbers).with_context(bad)?)),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(error) => Err(error).with_context(bad),
        }
    };
    let (Some(mean), Some(covariance)) = (array("mu")?, array("sigma")?) else { return Ok(None) };
    let count = array("count")?.and_then(|count| count.first().map(|&count| count as usize));
    let bad = || format!("{} holds no mean and covariance of one network", path.display());
    let mean: Array1<f64> = mean.into_dimensionality::<Ix1>().with_context(bad)?;
    let covariance = covariance.into_dimensionality::<Ix2>().with_context(bad)?.as_standard_layout().into_owned();
    let d = mean.len();
    ensure!(covariance.dim() == (d, d), "{}: mu has {d} numbers, sigma {:?}", bad(), covariance.dim());
    Ok(Some(FeatureStatistics { count, mean, covariance }))
}

/// Writes statistics, whole or not at all.
pub fn save_statistics(path: &Path, statistics: &FeatureStatistics) -> Result<()> {
    let FeatureStatistics { count, mean, covariance } = statistics;
    let file = encode(*count, mean, covariance).with_context(|| format!("making {}", path.display()))?;
    write_whole(path, &file).with_context(|| format!("writing {}", path.display()))
}

fn encode(count: Option<usize>, mean: &Array1<f64>, covariance: &Array2<f64>) -> Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: &str, shape: &[usize], numbers: &mut dyn Iterator<Item = f64>| -> Result<()> {
        archive.start_file(name, options)?;
        archive.write_all(&header(Element::F64, shape))?;
        Ok(archive.write_all(&numbers.flat_map(f64::to_le_bytes).collect::<Vec<_>>())?)
    };
    add("mu.npy", mean.shape(), &mut mean.iter().copied())?;
    add("sigma.npy", covariance.shape(), &mut covariance.iter().copied())?;
    if let Some(count) = count {
        add("count.npy", &[], &mut [count as f64].into_iter())?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn statistics_survive_the_round_trip() {
        let (mean, covariance) = (array![1.0, -2.5], array![[2.0, 0.5], [0.5, 1.0]]);
        for count in [Some(60), None] {
            let file = encode(count, &mean, &covariance).unwrap();
            let mut archive = ZipArchive::new(Cursor::new(file)).unwrap();
            let read = read(Path::new("statistics.npz"), &mut archive).unwrap().unwrap();
            let expected = FeatureStatistics { count, mean: mean.clone(), covariance: covariance.clone() };
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn other_archives_hold_none_and_odd_ones_are_refused() {
        let mut empty =
            ZipArchive::new(Cursor::new(ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner()))
                .unwrap();
        assert!(read(Path::new("images.npz"), &mut empty).unwrap().is_none());
        let odd = encode(None, &array![1.0], &array![[1.0, 2.0], [2.0, 5.0]]).unwrap();
        let error = read(Path::new("odd.npz"), &mut ZipArchive::new(Cursor::new(odd)).unwrap()).unwrap_err();
        assert!(error.to_string().contains("odd.npz") && error.to_string().contains("mu has 1 numbers"), "{error}");
    }
}
