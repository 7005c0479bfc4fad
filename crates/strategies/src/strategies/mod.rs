//! The registry of strategies, by the names that configurations and checkpoints use.

mod adapters;
mod by_class;
mod class_parameters;
mod dgr;
mod ewc;
mod exemplars;
mod jt;
mod jtr;
mod jtr_ra;
mod ra;
mod ra_features;
mod separate;
mod sft;

use std::path::Path;

use mergan_models::{Generator, Network, Standing, Weights, WeightsError};

use crate::config::read;
use crate::error::Error;
use crate::sampler::{ClassConditional, Sampler};
use crate::strategy::{FromOptions, Strategy};

/// A set of strategies among which a training's strategy is looked up by name. Strategies of other crates can be added
/// to the built-in ones:
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

/// A strategy's name and the functions that create it and its sampler.
#[derive(Clone, Copy, Debug)]
struct Registration {
    name: &'static str,
    build: fn(&toml::Table) -> Result<Box<dyn Strategy>, Error>,
    about: fn(&str) -> Option<&'static str>,
    restore_sampler: RestoreSampler,
}

/// The type of [`FromOptions::restore_sampler`].
type RestoreSampler = fn(&Path, &Weights, &Generator, &[usize]) -> Result<Option<Box<dyn Sampler>>, WeightsError>;

impl Strategies {
    /// Returns the strategies of this crate. To add one, create a file in this folder, declare it above and add a line
    /// here.
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
            .with::<separate::Separate>()
            .with::<adapters::Adapters>()
    }

    /// Adds a strategy.
    ///
    /// # Panics
    /// Panics if a strategy of this name exists already, because a run that was begun with one must not continue with
    /// the other.
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

    /// Returns the names, in the order of registration.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|registration| registration.name)
    }

    /// Creates the strategy of this name with these options. It remembers nothing yet.
    ///
    /// # Errors
    /// Returns an error if there is no such strategy, or if an option is missing, unknown or out of range.
    pub fn build(&self, name: &str, options: &toml::Table) -> Result<Box<dyn Strategy>, Error> {
        (self.find(name)?.build)(options)
    }

    /// Returns the sampler for a generator that one of these strategies trained, read from the generator's file: the
    /// strategy's own sampler if it has one, and otherwise the shared one. `learned` are the classes that the generator
    /// has learned, and `path` names the file in errors.
    ///
    /// # Errors
    /// Returns an error if a part of the sampler is missing or does not fit the size of the generator's images. Also
    /// returns an error if a file written by this project holds a tensor that none of these strategies reads, because
    /// it belongs to the sampler of an unknown strategy.
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

    /// Returns the function that describes the options of the strategy of this name.
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
    let named = |(at, reason): (String, String)| if at == "." { reason } else { format!("{at}: {reason}") };
    let options = read(options.clone()).map_err(|error| fault(named(error)))?;
    Ok(Box::new(S::from_options(options).map_err(fault)?))
}

/// Refuses a weight that is not a positive, finite number.
fn require_positive(name: &str, weight: f64) -> Result<(), String> {
    if weight > 0.0 && weight.is_finite() {
        Ok(())
    } else {
        Err(format!("{name} is {weight}; it must be a positive number"))
    }
}

/// Refuses a limit of 0 classes.
fn require_some_classes(limit: Option<usize>) -> Result<(), String> {
    match limit {
        Some(0) => Err("classes_per_step is 0; leave it out to take all past classes in every step".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones_and_the_nearest() {
        let strategies = Strategies::built_in();
        let message = |name: &str| strategies.build(name, &toml::Table::new()).err().unwrap().to_string();
        let known = "sft, ewc, dgr, jtr, ra, jt, ra-features, jtr-ra, class-parameters, exemplars, separate, \
                     adapters";
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
