//! `generator.safetensors`: the weights left by a finished task, with what is needed to use them.

use std::f64::consts::FRAC_PI_2;
use std::path::Path;

use mergan_models::{Conditions, Generator, Network, Standing, Weights, to_bytes};
use mergan_strategies::{Grouping, Purpose, Sampler, Sampling, Source, Strategies};
use mergan_tensor::{Device, Tensor};
use ndarray::{Array2, Array4};
use serde::{Deserialize, Serialize};

use crate::checksum;
use crate::dir::RunDir;
use crate::error::Error;
use crate::memory;

/// A generator that has learned some classes.
pub struct Trained {
    /// The network.
    pub generator: Generator,
    /// The sampler that draws images of given classes from it.
    pub sampler: Box<dyn Sampler>,
    /// The statistics that normalise its images when their batch does not.
    pub standing: Standing,
    /// The information stored in its file.
    pub usage: Usage,
    /// Whether the checksum in its file was verified. The files of earlier versions and of other programs have none.
    pub checked: bool,
}

/// The information stored in the file beside its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The classes it has learned, in the order it learned them.
    pub classes: Vec<usize>,
    /// Their names, in the same order.
    pub class_names: Vec<String>,
    /// The number of images that are normalised together.
    pub batch: usize,
    /// Whether these are of one class.
    pub grouping: Grouping,
}

impl Trained {
    /// Writes the file, which never appears incomplete.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let mut weights = Weights::default();
        weights.insert_network("", &self.generator);
        self.standing.save(&mut weights);
        self.sampler.save(&mut weights);
        checksum::note(&mut weights, &self.usage);
        Ok(weights.save(path)?)
    }

    /// Reads a file, or the newest generator of a run directory, trained by one of the built-in strategies. A file
    /// without this program's note, such as one written by PyTorch, is assumed to know all its classes, to name them
    /// by number and to have been trained in class-pure batches of 64; missing standing statistics are measured.
    ///
    /// # Errors
    /// When there is no generator, or the file is damaged or of another kind.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Trained::load_with(path, &Strategies::built_in())
    }

    /// Does the same as [`load`](Trained::load) for a generator trained by one of `strategies`, whose sampler draws
    /// from it.
    ///
    /// # Errors
    /// The errors of [`load`](Trained::load).
    pub fn load_with(path: &Path, strategies: &Strategies) -> Result<Self, Error> {
        let path = &RunDir::generator_of(path)?;
        Trained::from_weights(path, Weights::load(path, Device::Cpu)?, strategies)
    }

    /// Reads the contents of a file, as [`load`](Trained::load) does; `path` names the file in errors.
    ///
    /// # Errors
    /// When the contents are damaged or of another kind.
    pub fn from_bytes(path: &Path, contents: &[u8]) -> Result<Self, Error> {
        Trained::from_weights(path, Weights::from_bytes(path, contents, Device::Cpu)?, &Strategies::built_in())
    }

    fn from_weights(path: &Path, weights: Weights, strategies: &Strategies) -> Result<Self, Error> {
        let (generator, usage) = Usage::of(path, &weights)?;
        let checked = checksum::is_in(&weights);
        let sampler = strategies.sampler(path, &weights, &generator, &usage.classes)?;
        let source = Source { sampler: &*sampler, ..Source::from(&generator) };
        let standing = match Standing::restore(path, &weights, &generator)? {
            Some(standing) => standing,
            None => usage.sampling(0).standing(source, &usage.classes),
        };
        Ok(Trained { generator, sampler, standing, usage, checked })
    }

    /// Draws `count` images of a class, given by its name or else its number, at the latents of a seed: bytes, N x C
    /// x H x W. Standing statistics normalise each image, so that it does not depend on the others. There are fewer
    /// images if the generator cannot be asked for a class and makes too few of it.
    ///
    /// # Errors
    /// When the generator has not learned the class or makes no images of it, or the machine has too little memory for
    /// so many.
    pub fn draw(&self, class: &str, count: usize, seed: u64) -> Result<Array4<u8>, Error> {
        self.draw_from(self.standing_source(), class, count, seed)
    }

    /// Draws `count` images of each class that it has learned, in that order. They are normalised with their batch,
    /// as in training and scoring. There may be fewer, as in [`draw`](Trained::draw).
    pub fn draw_all(&self, count: usize, seed: u64) -> Vec<Array4<u8>> {
        self.usage.sampling(seed).images(self.source(), &self.usage.classes, count)
    }

    /// Draws `count` images of each of these classes, in their order, as [`draw_from`](Trained::draw_from) does.
    ///
    /// # Errors
    /// The errors of [`draw`](Trained::draw).
    pub fn draw_each(
        &self,
        source: Source,
        classes: &[String],
        count: usize,
        seed: u64,
    ) -> Result<Vec<Array4<u8>>, Error> {
        memory::require_for_images(count, classes.len(), self.generator.config().image_shape())?;
        classes.iter().map(|class| self.draw_from(source, class, count, seed)).collect()
    }

    /// Does the same as [`draw`](Trained::draw), from [`source`](Trained::source) or
    /// [`standing_source`](Trained::standing_source).
    ///
    /// # Errors
    /// The errors of [`draw`](Trained::draw).
    pub fn draw_from(&self, source: Source, class: &str, count: usize, seed: u64) -> Result<Array4<u8>, Error> {
        let position = self.usage.position(class)?;
        // In mixed batches a class is drawn among the others, as it was trained.
        let learned = &self.usage.classes;
        let (classes, position) = match self.usage.grouping {
            Grouping::Pure => (&learned[position..=position], 0),
            Grouping::Mixed => (learned.as_slice(), position),
        };
        memory::require_for_images(count, classes.len(), self.generator.config().image_shape())?;
        let images = self.usage.sampling(seed).images(source, classes, count).swap_remove(position);
        if images.is_empty() {
            let name = &self.usage.class_names[self.usage.position(class)?];
            let namer = self.sampler.namer();
            let reason = format!("the {namer} names none of its generator's images {name}: the class is lost");
            return Err(Error::Request(reason));
        }
        Ok(images)
    }

    /// Draws the images of a class at latents (N x latent): N x C x H x W, in (-1, 1).
    ///
    /// # Errors
    /// When the generator has not learned the class or knows no classes, or the latents have another width.
    pub fn draw_at(&self, source: Source, class: &str, latents: &Array2<f64>) -> Result<Tensor, Error> {
        let position = self.usage.position(class)?;
        self.require_conditional("leave --latents out and it draws until there are enough of the class")?;
        let (rows, numbers) = latents.dim();
        let expected = self.generator.config().latent;
        if rows == 0 || numbers != expected {
            let reason = format!("the array holds {rows} latents of {numbers} numbers; the generator takes {expected}");
            return Err(Error::Request(reason));
        }
        let latents = Tensor::from_array(latents, self.generator.device());
        let batches = (0..rows).step_by(self.usage.batch).map(|first| {
            let batch = latents.slice(0, first..rows.min(first + self.usage.batch));
            source.generate_class(&batch, self.usage.classes[position])
        });
        Ok(Tensor::concat(0, &batches.collect::<Vec<_>>().iter().collect::<Vec<_>>()))
    }

    /// Draws the images of a class on the way from one latent to another, both of a seed: bytes, `steps` x C x H x W.
    /// The way is an arc, so that every latent on it is as likely as its ends. Standing statistics normalise the images.
    ///
    /// # Errors
    /// When the generator has not learned the class or knows no classes, or the machine has too little memory.
    pub fn between_latents(&self, class: &str, steps: usize, seed: u64) -> Result<Array4<u8>, Error> {
        let class = self.usage.classes[self.usage.position(class)?];
        let [from, to] = self.ends(steps, seed)?;
        let angle = |step| FRAC_PI_2 * step as f64 / (steps - 1).max(1) as f64;
        let column = |of: fn(f64) -> f64| {
            let values = (0..steps).map(|step| of(angle(step))).collect();
            Tensor::from_vec::<f64>(values, [steps, 1], self.generator.device())
        };
        let latents = column(f64::cos) * from + column(f64::sin) * to;
        Ok(to_bytes(&self.standing_source().generate_class(&latents, class)))
    }

    /// Draws the images on the way from one class to another at one latent, the first of
    /// [`between_latents`](Trained::between_latents) with this seed: bytes, `steps` x C x H x W. In between, the class
    /// parameters are weighted means of both. Standing statistics normalise the images.
    ///
    /// # Errors
    /// When the generator has not learned a class or knows no classes, the classes have generators of their own, or
    /// the machine has too little memory.
    pub fn between_classes(&self, from: &str, to: &str, steps: usize, seed: u64) -> Result<Array4<u8>, Error> {
        let class = |name| Ok::<_, Error>(self.usage.classes[self.usage.position(name)?]);
        let ends = [class(from)?, class(to)?];
        let generators = self.sampler.generators(&self.generator, &ends);
        let [(_, generator)] = &generators[..] else {
            let reason = format!("{from} and {to} are made by different generators, and there is no way between them");
            return Err(Error::Request(reason));
        };
        let [latent, _] = self.ends(steps, seed)?;
        let latents = latent.index_select(0, &vec![0; steps]);
        let source = Source { generator, ..self.standing_source() };
        Ok(source.bytes(&latents, &Conditions::between(ends[0], ends[1], steps)))
    }

    /// Returns the two latents of a seed that images are drawn between.
    fn ends(&self, steps: usize, seed: u64) -> Result<[Tensor; 2], Error> {
        self.require_conditional("there is no way between them")?;
        memory::require_for_images(steps, 1, self.generator.config().image_shape())?;
        let latents = self.usage.sampling(seed).latents(&self.generator, Purpose::Evaluation, 0, 0, 2);
        Ok([latents.slice(0, 0..1), latents.slice(0, 1..2)])
    }

    /// Refuses a generator that cannot be asked for a class; `instead` is what to do.
    fn require_conditional(&self, instead: &str) -> Result<(), Error> {
        match self.sampler.only_condition() {
            None => Ok(()),
            Some(_) => {
                let namer = self.sampler.namer();
                Err(Error::Request(format!(
                    "this generator knows no classes, its {namer} names what it made; {instead}"
                )))
            }
        }
    }

    /// Moves it to another device. What reads images as bytes stays where it is.
    pub fn on(mut self, device: Device) -> Self {
        self.sampler.move_to(device);
        Trained { generator: self.generator.on(device), standing: self.standing.on(device), ..self }
    }

    /// Returns a source of images that are normalised with their batch, as in training.
    pub fn source(&self) -> Source<'_> {
        Source { sampler: &*self.sampler, ..Source::from(&self.generator) }
    }

    /// Returns a source of images that do not depend on each other.
    pub fn standing_source(&self) -> Source<'_> {
        Source { standing: Some(&self.standing), ..self.source() }
    }
}

impl Usage {
    /// Returns the generator among a file's weights, and how to use it.
    pub(crate) fn of(path: &Path, weights: &Weights) -> Result<(Generator, Usage), Error> {
        checksum::verify(path, weights)?;
        let generator = Generator::from_weights(path, weights)?;
        let sizes = generator.config();
        let usage: Usage = if weights.note.is_empty() {
            Usage {
                classes: (0..sizes.classes).collect(),
                class_names: (0..sizes.classes).map(|class| class.to_string()).collect(),
                batch: 64,
                grouping: Grouping::Pure,
            }
        } else {
            serde_json::from_str(&weights.note).map_err(|error| {
                let reason = format!("{} is no trained generator: its note is of another kind", path.display());
                Error::file_for(path, reason, error)
            })?
        };
        let known = usage.classes.iter().all(|&class| class < sizes.classes);
        if !known || usage.classes.is_empty() || usage.classes.len() != usage.class_names.len() || usage.batch < 2 {
            let reason =
                format!("the note of {} does not fit its weights; restore the file from a copy", path.display());
            return Err(Error::file(path, reason));
        }
        Ok((generator, usage))
    }

    /// Returns how the generator is sampled, with the latents of a seed.
    pub fn sampling(&self, seed: u64) -> Sampling {
        Sampling { batch: self.batch, grouping: self.grouping, seed }
    }

    /// Returns the names of the classes that a text names: `all`, a class by its name or number, or several, separated by
    /// commas. The name of a class goes before these meanings.
    ///
    /// # Errors
    /// When it names none of the learned classes, or one of them twice.
    pub fn select(&self, text: &str) -> Result<Vec<String>, Error> {
        if self.position(text).is_ok() {
            return Ok(vec![self.class_names[self.position(text)?].clone()]);
        }
        if text == "all" {
            return Ok(self.class_names.clone());
        }
        let mut selected = Vec::new();
        for class in text.split(',') {
            let name = &self.class_names[self.position(class.trim())?];
            if selected.contains(name) {
                return Err(Error::Request(format!("`{text}` names the class {name} twice; name it once")));
            }
            selected.push(name.clone());
        }
        Ok(selected)
    }

    /// Returns the position among the learned classes of the one with this name, or else this number.
    pub fn position(&self, class: &str) -> Result<usize, Error> {
        let by_name = self.class_names.iter().position(|name| name == class);
        let by_number = || self.classes.iter().position(|number| number.to_string() == class);
        by_name.or_else(by_number).ok_or_else(|| {
            let names = self.class_names.join(", ");
            Error::Request(format!("the generator has learned no class `{class}`; choose one of: {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_name_then_by_number() {
        let names = ["ring", "4"].map(String::from).to_vec();
        let usage = Usage { classes: vec![4, 7], class_names: names, batch: 64, grouping: Grouping::Pure };
        assert_eq!(usage.position("ring").unwrap(), 0);
        assert_eq!(usage.position("4").unwrap(), 1, "the name goes before the number");
        assert_eq!(usage.position("7").unwrap(), 1);
        let error = usage.position("disc").unwrap_err().to_string();
        assert_eq!(error, "the generator has learned no class `disc`; choose one of: ring, 4");
    }

    #[test]
    fn classes_are_selected_by_commas_and_names_go_first() {
        let usage = |names: [&str; 3]| Usage {
            classes: vec![4, 7, 9],
            class_names: names.map(String::from).into(),
            batch: 64,
            grouping: Grouping::Pure,
        };
        let plain = usage(["disc", "ring", "star"]);
        assert_eq!(plain.select("all").unwrap(), ["disc", "ring", "star"]);
        assert_eq!(plain.select("star, 4").unwrap(), ["star", "disc"]);
        assert_eq!(usage(["all", "a,b", "b"]).select("all").unwrap(), ["all"]);
        assert_eq!(usage(["all", "a,b", "b"]).select("a,b").unwrap(), ["a,b"]);
        let refusal = |text| plain.select(text).unwrap_err().to_string();
        assert_eq!(refusal("ring,7"), "`ring,7` names the class ring twice; name it once");
        for text in ["ring,moon", "ring,", ""] {
            assert!(refusal(text).contains("choose one of: disc, ring, star"), "{text}");
        }
    }
}
