//! `mergan sample`: images of one class.

use std::path::Path;

use anyhow::{Context, Result, bail};
use mergan_models::write_whole;
use mergan_strategies::Grouping;
use ndarray::Array4;

use crate::args::SampleArguments;
use crate::console::Console;
use crate::generator::Trained;
use crate::image_grid;
use crate::run_dir::RunDir;

/// Answers `mergan sample`.
pub fn run(arguments: &SampleArguments, console: &Console) -> Result<()> {
    let write = writer(&arguments.out)?;
    let source = &arguments.source;
    let path = if source.is_dir() {
        let run = RunDir::new(source);
        run.generator(run.newest_task()?)
    } else {
        source.clone()
    };
    let trained = Trained::load(&path)?;
    let position = trained.usage.position(&arguments.class)?;
    let name = &trained.usage.class_names[position];
    console.note(format!("drawing {} images of class {name} from {}", arguments.count, path.display()));
    let images = draw(&trained, position, arguments.count.get(), arguments.seed);
    let (found, asked) = (images.dim().0, arguments.count);
    if found == 0 {
        bail!("the solver of {} names none of its generator's images {name}: the class is lost", path.display());
    }
    if found < asked.get() {
        console.note(format!("the solver named only {found} images {name} while {asked} were asked for"));
    }
    write(&arguments.out, &images)?;
    console.note(format!("wrote {}", arguments.out.display()));
    Ok(())
}

/// In mixed batches a class is drawn among the others, as it was trained.
fn draw(trained: &Trained, position: usize, count: usize, seed: u64) -> Array4<u8> {
    let learned = &trained.usage.classes;
    let (classes, position) = match trained.usage.grouping {
        Grouping::Pure => (&learned[position..=position], 0),
        Grouping::Mixed => (learned.as_slice(), position),
    };
    trained.sampling(seed).images(trained.source(), classes, count).swap_remove(position)
}

type Writer = fn(&Path, &Array4<u8>) -> Result<()>;

/// What writes a file of this name.
fn writer(path: &Path) -> Result<Writer> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("png") => Ok(image_grid::write_square),
        Some("npy") => Ok(write_npy),
        _ => bail!("--out {}: the name must end in .png or .npy", path.display()),
    }
}

/// NumPy's format, version 1.0, for an array of bytes.
fn write_npy(path: &Path, images: &Array4<u8>) -> Result<()> {
    let (n, c, h, w) = images.dim();
    let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({n}, {c}, {h}, {w}), }}");
    // Magic string, version, length and header fill a multiple of 64 bytes, the last of which ends the line.
    let start = b"\x93NUMPY\x01\x00".len() + size_of::<u16>();
    let length = (start + header.len() + 1).next_multiple_of(64) - start;
    header += &" ".repeat(length - header.len() - 1);
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((length as u16).to_le_bytes());
    file.extend(header.bytes());
    file.push(b'\n');
    file.extend(images.iter());
    write_whole(path, &file).with_context(|| format!("writing {}", path.display()))
}
