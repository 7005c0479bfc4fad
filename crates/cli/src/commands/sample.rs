//! `mergan sample`: draws images of one class.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use mergan_models::to_bytes;
use mergan_runs::{Error, RunDir, export::image_grid, export::npy};
use ndarray::{Array4, Ix4};

use crate::args::SampleArguments;
use crate::checked::load_trained;
use crate::console::Console;

/// Runs `mergan sample`.
pub fn run(arguments: &SampleArguments, console: &Console) -> Result<()> {
    let write = writer(&arguments.out)?;
    ensure!(
        !arguments.floats || arguments.out.extension().is_some_and(|extension| extension == "npy"),
        "--floats: a PNG holds bytes; name a FILE.npy with --out"
    );
    let path = RunDir::generator_of(&arguments.source)?;
    let device = arguments.device.open(console)?;
    let trained = load_trained(&path, console)?.on(device);
    let class = &arguments.class;
    let name = &trained.usage.class_names[trained.usage.position(class)?];
    let source = if arguments.batch_statistics { trained.source() } else { trained.standing_source() };
    let out = &arguments.out;
    if let Some(latents) = &arguments.latents {
        let images = trained.draw_at(source, class, &npy::read_matrix(latents)?);
        let images = images.with_context(|| format!("the latents in {}", latents.display()))?;
        console.note(format!("made {} images of class {name} from {}", images.shape()[0], path.display()));
        match arguments.floats {
            true => npy::write(out, images.to_array::<f32, Ix4>().view())?,
            false => write(out, &to_bytes(&images))?,
        }
    } else {
        console.note(format!("drawing {} images of class {name} from {}", arguments.count, path.display()));
        let images = trained.draw_from(source, class, arguments.count.get(), arguments.seed);
        let images = images.with_context(|| format!("the generator in {}", path.display()))?;
        let (found, asked) = (images.dim().0, arguments.count);
        if found < asked.get() {
            let namer = trained.sampler.namer();
            console.note(format!("the {namer} named only {found} images {name} while {asked} were asked for"));
        }
        write(out, &images)?;
    }
    console.note(format!("wrote {}", out.display()));
    Ok(())
}

type Writer = fn(&Path, &Array4<u8>) -> Result<(), Error>;

/// Returns the function that writes a file of this name.
fn writer(path: &Path) -> Result<Writer> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("png") => Ok(image_grid::write_square),
        Some("npy") => Ok(|path, images| npy::write(path, images.view())),
        _ => bail!("--out {}: the name must end in .png or .npy", path.display()),
    }
}
