//! `mergan sample`: draws images from a generator.

use std::path::{Component, Path, PathBuf};
use std::slice;

use anyhow::{Context, Result, ensure};
use mergan_models::to_bytes;
use mergan_runs::export::{folder, image_grid, npy};
use mergan_runs::{RunDir, Trained};
use mergan_strategies::Source;
use mergan_tensor::Tensor;
use ndarray::{Array4, Axis, Ix4, concatenate};

use crate::args::SampleArguments;
use crate::checked::load_trained;
use crate::console::Console;
use crate::out::Form;

const GRID: Form = Form::File("png");
const ARRAY: Form = Form::File("npy");
/// The number of images of a class, unless it is given: of a single class, in an array or a folder; and in a row of a
/// grid.
const MANY: usize = 64;
const FEW: usize = 10;

/// A generator of digits, so that there is something to draw from before anything is trained:
/// `mergan train --dataset mnist --strategy ra --preset quick --run runs/digits`, then
/// `mergan export runs/digits --out digits.safetensors`.
const DIGITS: &[u8] = include_bytes!("../../digits.safetensors");

/// Runs `mergan sample`.
pub fn run(arguments: &SampleArguments, console: &Console) -> Result<()> {
    let SampleArguments { out, scale, .. } = arguments;
    let form = Form::of(out, &[GRID, ARRAY, Form::Folder])?;
    ensure!(!arguments.floats || form == ARRAY, "--floats: a PNG holds bytes; name a FILE.npy with --out");
    ensure!(*scale == 1 || form != ARRAY, "--scale enlarges pictures; name a FILE.png or a folder with --out");
    ensure!(!arguments.interpolate || form == GRID, "--interpolate makes rows of a grid; name a FILE.png with --out");
    ensure!(
        !arguments.per_task || form == Form::Folder,
        "--per-task makes a grid for each task; name a folder with --out, such as grids/"
    );
    match arguments.per_task {
        true => per_task(arguments, console)?,
        false => newest(form, arguments, console)?,
    }
    console.note(format!("wrote {}", out.display()));
    Ok(())
}

/// Draws from one generator: the newest of a run, or that of a file.
fn newest(form: Form, arguments: &SampleArguments, console: &Console) -> Result<()> {
    let out = &arguments.out;
    let (name, trained) = match &arguments.source {
        Some(source) => (RunDir::generator_of(source)?.display().to_string(), load_trained(source, console)?),
        None => (
            "the digits that come with the program".into(),
            Trained::from_bytes("digits.safetensors".as_ref(), DIGITS)?,
        ),
    };
    let classes = trained.usage.select(&arguments.class)?;
    let folders = if form == Form::Folder { folders(out, &classes)? } else { Vec::new() };
    let trained = trained.on(arguments.device.open(console)?);
    let usual = if classes.len() > 1 && form == GRID { FEW } else { MANY };
    let drawing = Drawing { trained: &trained, name: &name, arguments, console };
    console.note(format!("drawing {} from {name}", classes.join(", ")));
    if arguments.interpolate {
        return Ok(image_grid::write_classes(out, &drawing.enlarged(&drawing.interpolated(&classes)?)?)?);
    }
    match form {
        Form::Folder => {
            for (class, folder) in classes.iter().zip(&folders) {
                for images in drawing.enlarged(&drawing.images(slice::from_ref(class), usual)?)? {
                    folder::write(folder, &images)?;
                }
            }
        }
        GRID => image_grid::write_classes(out, &drawing.enlarged(&drawing.images(&classes, usual)?)?)?,
        _ if arguments.floats => {
            let images = drawing.tensors(&classes)?;
            npy::write(out, joined(images.iter().map(Tensor::to_array::<f32, Ix4>).collect()).view())?;
        }
        _ => npy::write(out, joined(drawing.images(&classes, usual)?).view())?,
    }
    Ok(())
}

/// Writes a grid for each task of a run, of those of the classes that were learned by then.
fn per_task(arguments: &SampleArguments, console: &Console) -> Result<()> {
    let out = &arguments.out;
    let source = arguments.source.as_deref().context("--per-task takes a run directory")?;
    ensure!(source.is_dir(), "--per-task: {} is not a run directory", source.display());
    let run = RunDir::new(source);
    let newest = run.newest_task()?;
    let classes = load_trained(&run.generator(newest), console)?.usage.select(&arguments.class)?;
    folder::require_empty(out)?;
    let device = arguments.device.open(console)?;
    for task in 1..=newest {
        let path = run.generator(task);
        let trained = load_trained(&path, console)?.on(device);
        let learned = |class: &&String| trained.usage.class_names.contains(class);
        let classes: Vec<_> = classes.iter().filter(learned).cloned().collect();
        if classes.is_empty() {
            continue;
        }
        let name = path.display().to_string();
        console.note(format!("drawing {} from {name}", classes.join(", ")));
        let drawing = Drawing { trained: &trained, name: &name, arguments, console };
        let images = drawing.enlarged(&drawing.images(&classes, FEW)?)?;
        std::fs::create_dir_all(out).with_context(|| format!("making the directory {}", out.display()))?;
        image_grid::write_classes(&out.join(format!("{task:02}.png")), &images)?;
    }
    Ok(())
}

/// A generator and how images are drawn from it.
struct Drawing<'d> {
    trained: &'d Trained,
    /// What errors call it.
    name: &'d str,
    arguments: &'d SampleArguments,
    console: &'d Console,
}

impl Drawing<'_> {
    /// Returns the generator with the statistics that normalise its images.
    fn source(&self) -> Source<'_> {
        if self.arguments.batch_statistics { self.trained.source() } else { self.trained.standing_source() }
    }

    /// Returns images of each class, N x C x H x W: as many as asked for, else `usual` many.
    fn images(&self, classes: &[String], usual: usize) -> Result<Vec<Array4<u8>>> {
        let Drawing { trained, arguments, console, .. } = self;
        if arguments.latents.is_some() {
            return Ok(self.tensors(classes)?.iter().map(to_bytes).collect());
        }
        let asked = arguments.count.map_or(usual, usize::from);
        let images = self.named(trained.draw_each(self.source(), classes, asked, arguments.seed))?;
        for (images, name) in images.iter().zip(classes) {
            let (found, namer) = (images.dim().0, trained.sampler.namer());
            if found < asked {
                console.note(format!("the {namer} named only {found} images {name} while {asked} were asked for"));
            }
        }
        Ok(images)
    }

    /// Returns the images of each class at the given latents, N x C x H x W, with values in (-1, 1).
    fn tensors(&self, classes: &[String]) -> Result<Vec<Tensor>> {
        let Drawing { trained, arguments, .. } = self;
        let path = arguments.latents.as_deref().context("--floats takes --latents")?;
        let latents = npy::read_matrix(path)?;
        let images = classes.iter().map(|class| trained.draw_at(self.source(), class, &latents));
        images.collect::<Result<_, _>>().with_context(|| format!("the latents in {}", path.display()))
    }

    /// Returns a row between two latents of each class, then a row between each class and the next.
    fn interpolated(&self, classes: &[String]) -> Result<Vec<Array4<u8>>> {
        let Drawing { trained, arguments, .. } = self;
        let (steps, seed) = (arguments.count.map_or(FEW, usize::from), arguments.seed);
        let within = classes.iter().map(|class| trained.between_latents(class, steps, seed));
        let across = classes.windows(2).map(|pair| trained.between_classes(&pair[0], &pair[1], steps, seed));
        self.named(within.chain(across).collect::<Result<_, _>>())
    }

    fn enlarged(&self, images: &[Array4<u8>]) -> Result<Vec<Array4<u8>>> {
        Ok(image_grid::enlarged(images, self.arguments.scale)?)
    }

    /// Adds what the generator is called to an error.
    fn named<T>(&self, drawn: Result<T, mergan_runs::Error>) -> Result<T> {
        drawn.with_context(|| format!("the generator in {}", self.name))
    }
}

/// Returns the folders of the classes, which must be new or empty.
fn folders(out: &Path, classes: &[String]) -> Result<Vec<PathBuf>> {
    let folder_of = |class: &String| {
        let mut parts = Path::new(class).components();
        let is_a_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        ensure!(
            is_a_name,
            "no folder can have the name of the class `{class}`; name a FILE.png or FILE.npy with --out"
        );
        let folder = out.join(class);
        folder::require_empty(&folder)?;
        Ok(folder)
    };
    classes.iter().map(folder_of).collect()
}

/// Joins the images of all classes, class by class.
fn joined<T: Clone>(images: Vec<Array4<T>>) -> Array4<T> {
    let views: Vec<_> = images.iter().map(|images| images.view()).collect();
    concatenate(Axis(0), &views).expect("images of one generator have one size")
}
