//! Exemplar replay: a few real images of every past class are added to the real ones of the current task, as in iCaRL
//! (Rebuffi et al., CVPR 2017) and experience replay. This keeps data, which memory replay does without; it serves to
//! measure how much a little data is worth.

use std::collections::BTreeMap;
use std::path::Path;

use documented::DocumentedFieldsOpt;
use mergan_models::{Generator, Network, Weights, WeightsError, from_bytes};
use mergan_tensor::{Device, Tensor};
use serde::Deserialize;

use crate::batches::Batch;
use crate::draws::{Draws, Purpose};
use crate::error::Error;
use crate::step::Step;
use crate::strategy::{FromOptions, Kept, Learned, Strategy, TaskEnd};

/// Keeps a few images of every class.
pub struct Exemplars {
    options: Options,
    /// The images kept of each class, `[n, c, h, w]` with values in [-1, 1].
    buffer: BTreeMap<usize, Tensor>,
}

#[derive(Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The number of images kept of each class, which are the first of its training images.
    per_class: usize,
}

const BUFFER: &str = "strategy.exemplars.";

impl Strategy for Exemplars {
    fn move_to(&mut self, device: Device) {
        self.buffer.values_mut().for_each(|images| *images = images.to_device(device));
    }

    fn mixes_in(&self, past: usize) -> usize {
        past
    }

    fn batch(&self, step: &Step, real: Batch) -> Batch {
        let share = step.share(step.conditions.len());
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for (i, class) in step.mixed_in.iter().enumerate() {
            let kept = &self.buffer[class];
            let draws = Draws { inner: step.inputs.draws.inner * step.mixed_in.len() + i, ..step.inputs.draws };
            let all: Vec<usize> = (0..kept.shape()[0]).collect();
            images.push(kept.index_select(0, &draws.labels(Purpose::CriticExemplars, share, &all)));
            labels.extend(std::iter::repeat_n(*class, share));
        }
        step.inputs.replay_counter.add(&step.mixed_in, share);
        images.push(real.images);
        labels.extend(real.labels);
        Batch { images: Tensor::concat(0, &images.iter().collect::<Vec<_>>()), labels }
    }

    fn end_task(&mut self, end: &TaskEnd) -> Result<(), Error> {
        let images = end.images(self.options.per_class);
        for &class in end.classes() {
            let kept = from_bytes(images.of_class(class).images()?.view(), end.generator.device());
            self.buffer.insert(class, kept);
        }
        Ok(())
    }

    fn kept(&self, learned: &Learned) -> Kept {
        Kept {
            generator_parameters: learned.generator.parameter_count(),
            images: self.buffer.values().map(|images| images.shape()[0]).sum(),
            ..Kept::default()
        }
    }

    fn save(&self, weights: &mut Weights) {
        for (class, images) in &self.buffer {
            weights.insert(format!("{BUFFER}{class}"), images);
        }
    }

    fn restore(
        &mut self,
        path: &Path,
        weights: &Weights,
        _generator: &Generator,
        learned: &[usize],
    ) -> Result<(), WeightsError> {
        let kept = learned.iter().map(|class| {
            let name = format!("{BUFFER}{class}");
            match weights.get(&name) {
                Some(images) => Ok((*class, images.clone())),
                None => Err(WeightsError::Missing { path: path.into(), name }),
            }
        });
        self.buffer = kept.collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl FromOptions for Exemplars {
    type Options = Options;
    const NAME: &'static str = "exemplars";
    fn about(option: &str) -> Option<&'static str> {
        Options::get_field_docs(option).ok()
    }
    fn from_options(options: Options) -> Result<Self, String> {
        if options.per_class == 0 {
            return Err("per_class is 0; keep at least one image of each class, or choose sft".into());
        }
        Ok(Exemplars { options, buffer: BTreeMap::new() })
    }
}
