//! The metrics of a run: their names in files and tables, how their values are shown, and where.
//!
//! A new metric takes an entry in the list, and the code that measures it.

/// A metric as reports and terminals show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name in `scores.json` and `results.json`.
    pub key: &'static str,
    /// Its name in tables, without its unit.
    pub name: &'static str,
    /// The unit used in tables.
    pub scale: Scale,
    /// The number of decimal places in tables.
    pub digits: usize,
    /// Which values are better; `None` if a value is neither good nor bad.
    pub better: Option<Better>,
    /// The places where a report shows it.
    pub shown: &'static [Shown],
}

/// The unit in which a metric is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A share, from 0 to 1 in JSON, or a difference of shares.
    Percent,
    /// The value as it is in JSON.
    Plain,
}

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Larger values are better.
    Higher,
    /// Smaller values are better.
    Lower,
}

/// A place in a report where a metric appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A column of the table of the images' quality, as a mean over the classes or over all of them at once.
    Images(Column),
    /// A column of the replay audit, as a mean over the past classes.
    Audit,
    /// A column of the table of continual metrics.
    Continual,
    /// A table of its own, if it was measured: each class after the last task, strategy by strategy.
    LastTask {
        /// The heading above the table.
        heading: &'static str,
        /// The note below the table.
        note: Option<&'static str>,
    },
    /// A table of its own, if it was measured: each class after each task, run by run.
    EveryTask {
        /// The heading above the table.
        heading: &'static str,
    },
}

/// When a metric has a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The column is always shown, whether or not any run has measured the metric.
    Always,
    /// The column is shown if the metric uses the features of the classifier that scores the runs: see
    /// [`frechet_metrics`].
    OfScorer,
    /// The column is shown if some run has measured the metric.
    Measured,
}

impl Metric {
    /// Returns the metric with this key.
    pub fn of(key: &str) -> Option<&'static Self> {
        METRICS.iter().find(|metric| metric.key == key)
    }

    /// Returns the name with its unit.
    pub fn title(&self) -> String {
        match self.scale {
            Scale::Percent => format!("{}, %", self.name),
            Scale::Plain => self.name.into(),
        }
    }

    /// Formats a JSON value as tables show it.
    pub fn show(&self, value: f64) -> String {
        format!("{:.*}", self.digits, self.scale.factor() * value)
    }
}

impl Scale {
    /// Returns the factor by which a JSON value is multiplied for tables.
    pub fn factor(self) -> f64 {
        match self {
            Scale::Percent => 100.0,
            Scale::Plain => 1.0,
        }
    }
}

/// Describes a share of images, such as those that are recognised.
const fn share(key: &'static str, name: &'static str, shown: &'static [Shown]) -> Metric {
    Metric { key, name, scale: Scale::Percent, digits: 2, better: Some(Better::Higher), shown }
}

/// Describes a distance of generated images from real ones.
const fn distance(key: &'static str, name: &'static str, shown: &'static [Shown]) -> Metric {
    Metric { key, name, scale: Scale::Plain, digits: 2, better: Some(Better::Lower), shown }
}

/// Describes an amount of what a score cost.
const fn cost(key: &'static str, name: &'static str) -> Metric {
    Metric { key, name, scale: Scale::Plain, digits: 0, better: Some(Better::Lower), shown: &[] }
}

/// Defines a constant for each metric's key, and the list of all metrics.
macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident = $metric:expr;)*) => {
        $($(#[$doc])* pub const $name: &str = $metric.key;)*

        /// All metrics, in table order.
        pub const METRICS: &[Metric] = &[$($metric),*];
    };
}

metrics! {
    /// The share of real test images recognised by a classifier that was trained on generated images alone. It
    /// reveals what the accuracy cannot: a generator that makes a few good images over and over.
    REVERSE_ACCURACY = share("reverse_accuracy", "reverse accuracy", &[
        Shown::Images(Column::Always),
        Shown::LastTask {
            heading: "Each class after the last task: reverse accuracy",
            note: Some("The share of real test images of a class that a classifier recognises which saw generated images only."),
        },
    ]);
    /// The share of real images in whose neighbourhood a generated one lies, by the features of the network that defines
    /// FID.
    COVERAGE = share("coverage", "coverage", &[Shown::Images(Column::Measured)]);
    /// The share of real images that lie among generated ones, by the same features.
    RECALL = share("recall", "recall", &[Shown::Images(Column::Measured)]);
    /// The Frechet distance of each class on the features of the scoring classifier. It is not FID, which uses
    /// Inception's features.
    FRECHET = distance("fd_mlp", "FD-mlp-1024-512-256-128", &[Shown::Images(Column::OfScorer)]);
    /// The same distance over all learned classes at once.
    FRECHET_POOLED = distance(
        "fd_mlp_pooled",
        "FD-mlp-1024-512-256-128, all classes at once",
        &[Shown::Images(Column::OfScorer)],
    );
    /// [`FRECHET`] for a scoring classifier with convolutions.
    FRECHET_CNN = distance("fd_cnn", "FD-cnn", &[Shown::Images(Column::OfScorer)]);
    /// [`FRECHET_POOLED`] for a scoring classifier with convolutions.
    FRECHET_CNN_POOLED = distance("fd_cnn_pooled", "FD-cnn, all classes at once", &[Shown::Images(Column::OfScorer)]);
    /// The Frechet distance of each class on the features of the network that defines FID; the paper's FID for LSUN
    /// is their mean.
    FID = distance("fid", "FID", &[Shown::Images(Column::Measured)]);
    /// The same distance over all learned classes at once.
    FID_POOLED = distance("fid_pooled", "FID, all classes at once", &[Shown::Images(Column::Measured)]);
    /// The kernel distance of each class on the same features, averaged over subsets.
    KID = Metric { digits: 5, ..distance("kid", "KID", &[Shown::Images(Column::Measured)]) };
    /// The share of generated images that lie among real ones, by the same features.
    PRECISION = share("precision", "precision", &[Shown::Images(Column::Measured)]);
    /// How many real images' neighbourhoods a generated image lies in, relative to what is expected of a real one.
    DENSITY = Metric {
        scale: Scale::Plain,
        digits: 4,
        ..share("density", "density", &[Shown::Images(Column::Measured)])
    };
    /// The share of generated images that are recognised as the requested class. Every scored task has it.
    ACCURACY = share("accuracy", "accuracy", &[
        Shown::Images(Column::Always),
        Shown::LastTask { heading: "Each class after the last task", note: None },
        Shown::EveryTask { heading: "Accuracy of each class after each task" },
    ]);
    /// The accuracy when standing statistics normalise the images. Each image is then independent of the others, as
    /// when the generator is deployed.
    STANDING_ACCURACY = share("standing_accuracy", "accuracy with standing statistics", &[Shown::Images(Column::Always)]);
    /// The accuracy on the classes of the next task, before they are learned. With `new_classes = "mean"`, as in the
    /// preset `quick`, their parameters start as the mean of the learned ones, which accounts for part of it.
    NEXT_ACCURACY = share("next_accuracy", "accuracy before the class is learned", &[]);
    /// The accuracy of the untrained generator on the classes of all tasks.
    INITIAL_ACCURACY = Metric { better: None, ..share("initial_accuracy", "accuracy of the untrained generator", &[]) };
    /// The mean probability that the classifier gives the requested class, for images of the previous task's
    /// generator, from which the past was replayed.
    REPLAY_CONFIDENCE = share("replay_confidence", "confidence in the past", &[
        Shown::Audit,
        Shown::EveryTask { heading: "Confidence in the images of each past class that a task had to replay" },
    ]);
    /// The accuracy of the previous task's generator.
    REPLAY_ACCURACY = share("replay_accuracy", "accuracy of the past", &[Shown::Audit]);
    /// How far the generator moved in a task: the mean squared pixel difference, with pixels from -1 to 1, between
    /// its images and those of the previous task's generator at the same latents.
    REPLAY_SHIFT = Metric {
        digits: 4,
        better: None,
        ..distance("replay_shift", "mean squared pixel difference from the past", &[Shown::Audit])
    };
    /// How many steps the generator took, over all tasks so far.
    GENERATOR_STEPS = cost("generator_steps", "generator steps");
    /// How many steps the critic took, over all tasks so far.
    CRITIC_STEPS = cost("critic_steps", "critic steps");
    /// How many images the critic's batches held, real and replayed ones together, over all tasks so far.
    CRITIC_IMAGES = cost("critic_images", "images in the critic's batches");
    /// How many images of a class were replayed in a task.
    REPLAYED_IMAGES = Metric {
        key: "replayed_images",
        name: "replayed images",
        scale: Scale::Plain,
        digits: 0,
        better: None,
        shown: &[],
    };
    /// How many images of all classes were replayed, over all tasks so far: in the critic's batches, which count them too, or
    /// in terms of the strategy's own.
    ALL_REPLAYED_IMAGES = cost("all_replayed_images", "replayed images of all classes");
    /// How many seconds the training of all tasks so far took.
    TRAINING_SECONDS = Metric { digits: 1, ..cost("training_seconds", "seconds of training") };
    /// How many parameters of generators, and numbers that belong to them one by one, are kept from a task to the next.
    KEPT_GENERATOR_PARAMETERS = cost("kept_generator_parameters", "kept parameters of generators");
    /// How many parameters of classifiers are kept from a task to the next.
    KEPT_CLASSIFIER_PARAMETERS = cost("kept_classifier_parameters", "kept parameters of classifiers");
    /// How many real images are kept from a task to the next.
    KEPT_IMAGES = cost("kept_images", "kept real images");
    /// The size in bytes of all that is kept from a task to the next, without the critic.
    KEPT_BYTES = cost("kept_bytes", "kept bytes");
    /// Average accuracy (ACC, Lopez-Paz & Ranzato 2017, "GEM"): the mean over all tasks after the last one.
    AVERAGE_ACCURACY = share("average_accuracy", "ACC (average accuracy)", &[Shown::Continual]);
    /// Backward transfer (GEM): the effect of later tasks on earlier ones, negative if they were forgotten.
    BACKWARD_TRANSFER = share("backward_transfer_gem", "BWT (backward transfer, GEM)", &[Shown::Continual]);
    /// Forward transfer (GEM): the effect of earlier tasks on tasks not yet learned.
    FORWARD_TRANSFER = share("forward_transfer_gem", "FWT (forward transfer, GEM)", &[Shown::Continual]);
    /// Forgetting (Chaudhry et al. 2018): how far each task fell from its best score before the last task.
    FORGETTING = Metric {
        better: Some(Better::Lower),
        ..share("forgetting_chaudhry_2018", "forgetting (Chaudhry 2018)", &[Shown::Continual])
    };
    /// Learning accuracy: how well each task was learned at the time.
    LEARNING_ACCURACY = share("learning_accuracy", "learning accuracy", &[Shown::Continual]);
    /// Average incremental accuracy: the mean over time of the average over the tasks learned so far.
    AVERAGE_INCREMENTAL_ACCURACY =
        share("average_incremental_accuracy", "average incremental accuracy", &[Shown::Continual]);
}

/// The metrics of what a score cost, in table order: work so far, and what is kept from a task to the next.
pub const BUDGET: [&str; 9] = [
    GENERATOR_STEPS,
    CRITIC_STEPS,
    CRITIC_IMAGES,
    ALL_REPLAYED_IMAGES,
    TRAINING_SECONDS,
    KEPT_GENERATOR_PARAMETERS,
    KEPT_CLASSIFIER_PARAMETERS,
    KEPT_IMAGES,
    KEPT_BYTES,
];

/// Returns the metrics that appear in a place, in order.
pub fn shown_in(place: Shown) -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().filter(move |metric| metric.shown.contains(&place))
}

/// Returns the Frechet distance metrics for the network that a card names: per class, and over all classes at once.
pub fn frechet_metrics(network: &str) -> [&'static str; 2] {
    if network.starts_with("cnn") { [FRECHET_CNN, FRECHET_CNN_POOLED] } else { [FRECHET, FRECHET_POOLED] }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_metrics_share_a_key_or_a_name() {
        for of in [|metric: &Metric| metric.key, |metric: &Metric| metric.name] {
            let distinct: BTreeSet<_> = METRICS.iter().map(of).collect();
            assert_eq!(distinct.len(), METRICS.len());
        }
    }

    #[test]
    fn values_are_shown_in_the_unit_of_the_title() {
        let shown = |key, value| {
            let metric = Metric::of(key).unwrap();
            format!("{}: {}", metric.title(), metric.show(value))
        };
        assert_eq!(shown(ACCURACY, 0.12345), "accuracy, %: 12.35");
        assert_eq!(shown(KID, 0.123456), "KID: 0.12346");
        assert_eq!(shown(DENSITY, 0.98765), "density: 0.9877");
        assert_eq!(shown(REPLAYED_IMAGES, 640.0), "replayed images: 640");
        assert_eq!(shown(FORGETTING, -0.5), "forgetting (Chaudhry 2018), %: -50.00");
        assert_eq!(Metric::of("fd_vgg"), None);
    }

    #[test]
    fn distances_and_what_is_kept_or_forgotten_are_better_small() {
        let low = METRICS.iter().filter(|metric| metric.better == Some(Better::Lower)).map(|metric| metric.key);
        let distances = [FRECHET, FRECHET_POOLED, FRECHET_CNN, FRECHET_CNN_POOLED, FID, FID_POOLED, KID];
        assert_eq!(low.collect::<Vec<_>>(), [&distances[..], &BUDGET, &[FORGETTING]].concat());
    }
}
