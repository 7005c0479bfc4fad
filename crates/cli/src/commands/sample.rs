//! `mergan sample`: images of one class.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use mergan_models::{Conditions, Network, to_bytes};
use mergan_strategies::{Grouping, Source};
use mergan_tensor::Tensor;
use ndarray::Array4;

use crate::args::SampleArguments;
use crate::console::Console;
use crate::generator::Trained;
use crate::run_dir::RunDir;
use crate::{image_grid, npy};

/// Answers `mergan sample`.
pub fn run(arguments: &SampleArguments, console: &Console) -> Result<()> {
    let write = writer(&arguments.out)?;
    ensure!(
        !arguments.floats || arguments.out.extension().is_some_and(|extension| extension == "npy"),
        "--floats: a PNG holds bytes; name a FILE.npy with --out"
    );
    let path = RunDir::generator_of(&arguments.source)?;
    let device = arguments.device.open(console)?;
    let trained = Trained::load(&path)?.on(device);
    let position = trained.usage.position(&arguments.class)?;
    let name = &trained.usage.class_names[position];
    let source = if arguments.batch_statistics { trained.source() } else { trained.standing_source() };
    let out = &arguments.out;
    if let Some(latents) = &arguments.latents {
        let images = at(&trained, source, position, latents)?;
        console.note(format!("made {} images of class {name} from {}", images.shape().n, path.display()));
        match arguments.floats {
            true => npy::write(out, images.to_array::<f32>().view())?,
            false => write(out, &to_bytes(&images))?,
        }
        console.note(format!("wrote {}", out.display()));
        return Ok(());
    }
    console.note(format!("drawing {} images of class {name} from {}", arguments.count, path.display()));
    let images = draw(&trained, source, position, arguments.count.get(), arguments.seed);
    let (found, asked) = (images.dim().0, arguments.count);
    if found == 0 {
        bail!("the solver of {} names none of its generator's images {name}: the class is lost", path.display());
    }
    if found < asked.get() {
        console.note(format!("the solver named only {found} images {name} while {asked} were asked for"));
    }
    write(out, &images)?;
    console.note(format!("wrote {}", out.display()));
    Ok(())
}

/// In mixed batches a class is drawn among the others, as it was trained.
fn draw(trained: &Trained, source: Source, position: usize, count: usize, seed: u64) -> Array4<u8> {
    let learned = &trained.usage.classes;
    let (classes, position) = match trained.usage.grouping {
        Grouping::Pure => (&learned[position..=position], 0),
        Grouping::Mixed => (learned.as_slice(), position),
    };
    trained.usage.sampling(seed).images(source, classes, count).swap_remove(position)
}

/// The images of a file's latents, in (-1, 1).
fn at(trained: &Trained, source: Source, position: usize, path: &Path) -> Result<Tensor> {
    ensure!(
        trained.solver.is_none(),
        "this generator knows no classes, its solver names what it made; leave --latents out and it draws until there are \
         enough of the class"
    );
    let latents = npy::read_matrix(path)?;
    let (rows, numbers) = latents.dim();
    let expected = trained.generator.config().latent;
    ensure!(
        rows > 0 && numbers == expected,
        "{} holds {rows} latents of {numbers} numbers; the generator takes {expected}",
        path.display()
    );
    let latents = Tensor::from_array(&latents, trained.generator.device());
    let conditions = Conditions::pure(&trained.usage.classes[position..=position]);
    let batches = (0..rows).step_by(trained.usage.batch).map(|first| {
        let batch = latents.rows(first..rows.min(first + trained.usage.batch));
        source.generate(&batch, &conditions)
    });
    Ok(Tensor::concat(&batches.collect::<Vec<_>>().iter().collect::<Vec<_>>()))
}

type Writer = fn(&Path, &Array4<u8>) -> Result<()>;

/// What writes a file of this name.
fn writer(path: &Path) -> Result<Writer> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("png") => Ok(image_grid::write_square),
        Some("npy") => Ok(|path, images| npy::write(path, images.view())),
        _ => bail!("--out {}: the name must end in .png or .npy", path.display()),
    }
}
