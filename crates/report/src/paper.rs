//! The numbers of the paper: Wu et al., "Memory Replay GANs", NeurIPS 2018 (arXiv 1809.02058).

use std::path::Path;

/// A strategy that the paper names.
pub(crate) struct Known {
    key: &'static str,
    /// The strategy's method in a few words.
    pub name: &'static str,
}

const STRATEGIES: [Known; 6] = [
    Known { key: "jt", name: "joint training on all classes (upper bound)" },
    Known { key: "sft", name: "sequential fine-tuning" },
    Known { key: "ewc", name: "elastic weight consolidation" },
    Known { key: "dgr", name: "deep generative replay" },
    Known { key: "jtr", name: "joint training with replay" },
    Known { key: "ra", name: "replay alignment" },
];

const LSUN: &str = "lsun";

/// Table 1: average classification accuracy in percent, columns in the order of [`STRATEGIES`].
const TABLE_1: [(&str, usize, [f64; 6]); 4] = [
    ("mnist", 5, [97.66, 19.87, 70.62, 90.39, 97.93, 98.19]),
    ("mnist", 10, [96.92, 10.06, 77.03, 85.40, 97.00, 97.01]),
    ("svhn", 5, [85.30, 19.35, 39.84, 61.29, 80.90, 76.05]),
    ("svhn", 10, [84.82, 10.10, 33.02, 47.28, 66.50, 66.78]),
];

/// Table 2: LSUN after four tasks, columns in the order of [`STRATEGIES`] without joint training. Accuracies are in
/// percent; the FID is the mean of the classes'.
pub(crate) const TABLE_2: [(&str, [f64; 5]); 3] = [
    ("accuracy, %", [15.02, 14.28, 15.40, 79.19, 81.03]),
    ("reverse accuracy, %", [28.0, 63.35, 26.17, 70.00, 83.62]),
    ("FID", [110.12, 178.05, 93.70, 49.69, 37.73]),
];

/// The source of the numbers in [`paper_accuracy`].
pub(crate) const SOURCE: &str = "Wu et al., Memory Replay GANs, NeurIPS 2018, Tables 1 and 2";

/// The task counts after which the paper measured the digit datasets; LSUN's four tasks were measured at their end.
pub const TASK_COUNTS: [usize; 2] = [5, 10];

/// Returns the average accuracy in percent that Tables 1 and 2 of the paper give for a strategy after `tasks` tasks.
///
/// ```
/// assert_eq!(mergan_report::paper_accuracy("mnist", "ra", 10), Some(97.01));
/// assert_eq!(mergan_report::paper_accuracy("lsun", "ra", 4), Some(81.03));
/// assert_eq!(mergan_report::paper_accuracy("mnist", "ra", 3), None);
/// ```
pub fn paper_accuracy(dataset: &str, strategy: &str, tasks: usize) -> Option<f64> {
    let column = STRATEGIES.iter().position(|known| known.key == strategy)?;
    if (dataset, tasks) == (LSUN, 4) {
        return Some(TABLE_2[0].1[column.checked_sub(1)?]);
    }
    let row = TABLE_1.iter().find(|(name, count, _)| *name == dataset && *count == tasks)?;
    Some(row.2[column])
}

/// Returns whether the paper has numbers for this dataset.
pub(crate) fn is_in_paper(dataset: &str) -> bool {
    dataset == LSUN || TABLE_1.iter().any(|(name, ..)| *name == dataset)
}

/// Returns whether [`TABLE_2`] covers this dataset.
pub(crate) fn has_table_2(dataset: &str) -> bool {
    dataset == LSUN
}

/// Returns the strategies of [`TABLE_2`], by their names in configurations.
pub(crate) fn strategies_of_table_2() -> impl Iterator<Item = &'static str> {
    strategies().skip(1)
}

/// Returns the strategies of the paper, by their names in configurations.
pub(crate) fn strategies() -> impl Iterator<Item = &'static str> {
    STRATEGIES.iter().map(|known| known.key)
}

/// Returns what is known of a strategy, by its name in configurations.
pub(crate) fn known(strategy: &str) -> Option<&'static Known> {
    STRATEGIES.iter().find(|known| known.key == strategy)
}

/// Returns whether a strategy replays images of an unconditional generator, which carry no class to count them by.
pub(crate) fn replays_uncounted(strategy: &str) -> bool {
    strategy == "dgr"
}

/// Returns the spelling of a strategy in tables: the paper's abbreviation in capitals, any other name unchanged.
pub(crate) fn label(strategy: &str) -> String {
    if known(strategy).is_some() { strategy.to_uppercase() } else { strategy.to_owned() }
}

/// Returns the spelling of a dataset in texts: a published dataset as its authors spell it, and the last part of the
/// path of a user's own.
pub(crate) fn dataset(name: &str) -> &str {
    match name {
        "mnist" => "MNIST",
        "fashion" => "Fashion-MNIST",
        "svhn" => "SVHN",
        LSUN => "LSUN",
        other => Path::new(other).file_name().and_then(|last| last.to_str()).unwrap_or(other),
    }
}

/// The details of the experiments in which the paper and its released code differ or are silent, and what the preset
/// `paper` does. Other presets name their own changes.
pub(crate) const FOLLOWED: [(&str, &str); 13] = [
    (
        "Iterations a task: the code's default is 4,001, with which ten tasks fall short; 8,001 reached the paper's number \
         (issue 4 of the released code).",
        "8,001",
    ),
    (
        "Replay alignment: the paper writes a squared norm, the code half the sum over pixels and samples, divided by the \
         number of past classes.",
        "the code; lambda is calibrated for the sum",
    ),
    (
        "Batch normalisation: the code uses the statistics of class-pure batches in training and in scoring; the paper is \
         silent.",
        "the code",
    ),
    (
        "The class loss: the paper has none in SFT and RA, the code always has it (trivial with one class a task).",
        "the code",
    ),
    (
        "Joint replay: the paper trains on the union of real and replayed images; the code adds terms for each past class, \
         t - 1 in total, without a gradient penalty.",
        "the code",
    ),
    ("The generator's class loss in equation 6 has the wrong sign in the paper.", "the code"),
    (
        "Optimiser: the paper says Adam with rate 1e-4; the code has beta1 = 0, beta2 = 0.9, and starts it anew at every \
         task while the networks are kept.",
        "the code",
    ),
    ("Images: the paper says resized to 32 x 32; the code pads 28 x 28 with two pixels of zeros.", "the code"),
    (
        "Joint training after five tasks: the paper does not say whether it is a model of its own; the code trains on all \
         ten classes at once.",
        "neither: tasks in sequence, on the real images of all classes so far",
    ),
    (
        "EWC: the paper's lambda is 1e9, for a likelihood that it does not state; the code has no EWC.",
        "lambda 4e3, with the critic's score for the likelihood and the Fisher information of single samples under standing \
         statistics, measured anew after every task as in equation 9",
    ),
    (
        "LSUN: the paper says that the generator has conditional batch norm; the code gives it the class beside the latent, \
         and its batch norm knows no classes.",
        "the code",
    ),
    (
        "LSUN: the code replays a whole batch of each past class, takes the mean of JTR's terms over them and divides RA's \
         by nothing; for digits it is the other way round.",
        "the code",
    ),
    (
        "DGR: the paper does not specify the solver, the mixture of real and replayed images and their labels; the code of \
         it is not released.",
        "a solver of the scoring classifier's layers, trained anew at each task on real images and on replayed ones with \
         the old solver's labels; every class has an equal share of a batch",
    ),
];
