//! Which strategies there are, by the names that configurations and checkpoints know them by.

mod class_parameters;
mod dgr;
mod ewc;
mod exemplars;
mod jt;
mod jtr;
mod jtr_ra;
mod ra;
mod ra_features;
mod sft;

use std::path::Path;

use mergan_models::{Generator, Network, Standing, Weights, WeightsError};

use crate::error::Error;
use crate::sampler::{ClassConditional, Sampler};
use crate::strategy::{FromOptions, Strategy};

/// The strategies that a training is looked up among. Those of other crates stand beside the built-in ones:
///
/// ```
/// # use mergan_strategies::{FromOptions, Strategies, Strategy};
/// # #[derive(serde::Deserialize)]
/// # struct Options {}
/// # struct Mine;
/// # impl Strategy for Mine {}
/// # impl FromOptions for Mine {
/// #     type Options = Options;
/// #     const NAME: &'static str = "mine";
/// #     fn from_options(_: Options) -> Result<Self, String> {
/// #         Ok(Mine)
/// #     }
/// # }
/// let strategies = Strategies::built_in().with::<Mine>();
/// assert_eq!(strategies.names().last(), Some("mine"));
/// ```
#[derive(Clone, Debug)]
pub struct Strategies(Vec<Registration>);

/// How a strategy of this name is made.
#[derive(Clone, Copy, Debug)]
struct Registration {
    name: &'static str,
    build: fn(&toml::Table) -> Result<Box<dyn Strategy>, Error>,
    about: fn(&str) -> Option<&'static str>,
    restore_sampler: RestoreSampler,
}

/// See [`FromOptions::restore_sampler`].
type RestoreSampler = fn(&Path, &Weights, &Generator, &[usize]) -> Result<Option<Box<dyn Sampler>>, WeightsError>;

impl Strategies {
    /// Those of this crate. A new one is a new file in this folder, declared above, and a line here.
    pub fn built_in() -> Self {
        Strategies(Vec::new())
            .with::<sft::Sft>()
            .with::<ewc::ElasticWeightConsolidation>()
            .with::<dgr::DeepGenerativeReplay>()
            .with::<jtr::JointReplay>()
            .with::<ra::ReplayAlignment>()
            .with::<jt::JointTraining>()
            .with::<ra_features::FeatureAlignment>()
            .with::<jtr_ra::ReplayAndAlignment>()
            .with::<class_parameters::ClassParameters>()
            .with::<exemplars::Exemplars>()
    }

    /// These and one more.
    ///
    /// # Panics
    /// When there is one of its name already: a run that was begun with one must not go on with the other.
    #[track_caller]
    pub fn with<S: FromOptions>(mut self) -> Self {
        let name = S::NAME;
        assert!(
            self.names().all(|known| known != name),
            "there are two strategies called `{name}`; rename one of them"
        );
        self.0.push(Registration { name, build: build::<S>, about: S::about, restore_sampler: S::restore_sampler });
        self
    }

    /// The names, in the order of registration.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|registration| registration.name)
    }

    /// The strategy of this name with these options; it remembers nothing yet.
    ///
    /// # Errors
    /// When there is no such strategy, or an option is missing, unknown or out of range.
    pub fn build(&self, name: &str, options: &toml::Table) -> Result<Box<dyn Strategy>, Error> {
        (self.find(name)?.build)(options)
    }

    /// What draws images from a generator that one of these strategies trained, found beside it in its file: the strategy's own
    /// sampler, else the one that all others share. `learned` are the classes that the generator has learned, and `path` names
    /// the file in errors.
    ///
    /// # Errors
    /// When a part of the sampler is missing or of another size than the generator's images, or a file that this project wrote
    /// holds what none of these strategies reads: the sampler of another one.
    pub fn sampler(
        &self,
        path: &Path,
        weights: &Weights,
        generator: &Generator,
        learned: &[usize],
    ) -> Result<Box<dyn Sampler>, WeightsError> {
        for Registration { restore_sampler, .. } in &self.0 {
            if let Some(sampler) = restore_sampler(path, weights, generator, learned)? {
                return Ok(sampler);
            }
        }
        let is_known = |name: &str| {
            name.starts_with(Standing::PREFIX) || generator.parameters().iter().any(|parameter| parameter.name == name)
        };
        match weights.names().find(|name| !weights.note.is_empty() && !is_known(name)) {
            None => Ok(Box::new(ClassConditional)),
            Some(stranger) => Err(WeightsError::Unsuitable {
                path: path.into(),
                reason: format!(
                    "holds the tensor `{stranger}`, which belongs to what draws from the generator of a strategy that is not \
                     registered; load it with that strategy"
                ),
            }),
        }
    }

    /// What says what the options of the strategy of this name mean.
    pub(crate) fn about(&self, name: &str) -> Result<fn(&str) -> Option<&'static str>, Error> {
        Ok(self.find(name)?.about)
    }

    fn find(&self, name: &str) -> Result<&Registration, Error> {
        let found = self.0.iter().find(|registration| registration.name == name);
        found.ok_or_else(|| Error::unknown_name("strategy", name, self.names()))
    }
}

fn build<S: FromOptions>(options: &toml::Table) -> Result<Box<dyn Strategy>, Error> {
    let fault = |reason: String| Error::Config { place: format!("options of strategy {}", S::NAME), reason };
    let options = options.clone().try_into().map_err(|error: toml::de::Error| fault(error.message().to_string()))?;
    Ok(Box::new(S::from_options(options).map_err(fault)?))
}

/// Refuses a weight that is no positive number.
fn require_positive(name: &str, weight: f64) -> Result<(), String> {
    if weight > 0.0 && weight.is_finite() {
        Ok(())
    } else {
        Err(format!("{name} is {weight}; it must be a positive number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones_and_the_nearest() {
        let strategies = Strategies::built_in();
        let message = |name: &str| strategies.build(name, &toml::Table::new()).err().unwrap().to_string();
        let known = "sft, ewc, dgr, jtr, ra, jt, ra-features, jtr-ra, class-parameters, exemplars";
        assert_eq!(message("gan"), format!("there is no strategy `gan`; choose one of: {known}"));
        for (name, nearest) in
            [("jrt", "jtr"), ("SFT", "sft"), ("rra", "ra"), ("ra_features", "ra-features"), ("exemplar", "exemplars")]
        {
            let suggestion = format!("choose one of: {known}; did you mean `{nearest}`?");
            assert!(message(name).ends_with(&suggestion), "{}", message(name));
        }
    }

    #[test]
    #[should_panic(expected = "there are two strategies called `ra`")]
    fn a_name_stands_for_one_strategy() {
        let _ = Strategies::built_in().with::<ra::ReplayAlignment>();
    }
}
