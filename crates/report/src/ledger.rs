//! `ledger.md`: our numbers beside the paper's, with everything needed to judge the comparison.

use crate::comparison::{Comparison, Over, Pair, Pairs};
use crate::paper::{self, SOURCE};
use crate::table::{Table, escape};
use crate::verdict::USEFUL_MARGIN;
use crate::{Error, Run};
use mergan_record::metric::{ACCURACY, COVERAGE, Metric, RECALL, REVERSE_ACCURACY};

/// Renders the ledger of the runs in Markdown.
///
/// # Errors
///
/// [`Error::NoRuns`], or [`Error::Incomparable`] if two runs were not measured alike.
pub fn ledger(runs: &[Run]) -> Result<String, Error> {
    let comparison = Comparison::of(runs)?;
    let config = &comparison.first().config;
    let mut deviations = comparison.deviations();
    if deviations.is_empty() {
        deviations.push(NO_DEVIATION.into());
    }
    let preset = &config.preset;
    let mut text = format!(
        "# Ledger: {}, preset {}\n\n{}\n\n{}\n{}\n\n{}\n",
        escape(paper::dataset(&config.dataset)),
        escape(preset),
        escape(&setting(&comparison)),
        Table::measured(&comparison).markdown(),
        escape(&scoring(&comparison)),
        escape(&quality(&comparison)),
    );
    let warnings = list(comparison.warnings());
    if !warnings.is_empty() {
        text += &format!("\n{warnings}");
    }
    let mut section = |title: &str, body: String| text += &format!("\n## {title}\n\n{body}");
    section(
        "Average accuracy beside the paper",
        Table::beside_paper(&comparison, true).markdown() + "\n" + &reading(&comparison) + "\n",
    );
    let budget = Table::budget(&comparison);
    if !budget.rows.is_empty() {
        section("What the scores cost", budget.markdown() + "\n" + BUDGET + "\n");
    }
    if comparison.is_reordered() {
        let orders: Vec<_> = comparison.orders().into_iter().map(order).collect();
        section("Class orders", list(orders.iter().map(String::as_str)));
    }
    if paper::has_table_2(&config.dataset) {
        section("The paper's Table 2, after four tasks", Table::paper_lsun().markdown() + "\n" + TABLE_2 + "\n");
    }
    section("Continual metrics", Table::continual(&comparison).markdown());
    for pairs in pairings(&comparison) {
        let table = Table::paired(&pairs, comparison.over).markdown();
        section(
            &format!("Strategies {} by {}: {}", comparison.over.one(), comparison.over.one(), pairs.metric.name),
            table + "\n" + &escape(&pairing(&pairs, comparison.over)) + "\n",
        );
    }
    let audit = Table::audit(&comparison);
    if !audit.rows.is_empty() {
        section("Replay audit", audit.markdown() + "\n" + AUDIT + "\n");
    }
    section("Wall time of training", Table::wall_time(&comparison).markdown());
    let made: Vec<_> = comparison.runs().flat_map(made).collect();
    if !made.is_empty() {
        section("When and on what", list(made.iter().map(String::as_str)));
    }
    let changes = comparison.data_changes();
    if !changes.is_empty() {
        section("Data that were changed", list(changes.iter().map(String::as_str)));
    }
    if paper::is_in_paper(&config.dataset) {
        let followed = paper::FOLLOWED.map(|(difference, choice)| format!("{difference} Preset paper: {choice}."));
        section("Where paper and released code differ", list(followed.iter().map(String::as_str)));
    }
    section(
        &format!("What preset {} changes from the released code", escape(preset)),
        list(deviations.iter().map(String::as_str)),
    );
    Ok(text)
}

/// Returns when and on what a run was trained.
fn made(run: &Run) -> impl Iterator<Item = String> {
    let name = format!("{}, seed {}", paper::label(&run.config.strategy), run.config.seed);
    run.history.made().into_iter().map(move |made| format!("{name}: {made}"))
}

/// Explains how to read the paper's table for LSUN.
const TABLE_2: &str = "The paper states neither the networks and images behind its FID and reverse accuracy nor a row for \
    joint training; a Frechet distance on other features than Inception's is no FID.";

/// Formats a Markdown list.
fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    texts.into_iter().map(|text| format!("- {}\n", escape(text))).collect()
}

/// Formats the tables that end a reproduction in the terminal: the scores, and the average accuracy beside the paper's.
///
/// # Errors
///
/// The errors of [`ledger`].
pub fn table(runs: &[Run]) -> Result<String, Error> {
    let comparison = Comparison::of(runs)?;
    let (setting, scoring) = (setting(&comparison), scoring(&comparison));
    let measured = Table::measured(&comparison).compact().text();
    let beside = Table::beside_paper(&comparison, false).text();
    Ok(format!("{setting}\n\n{measured}\nAverage accuracy beside the paper:\n\n{beside}\n{scoring}\n"))
}

/// Replaces the list if configurations name no deviation from the released code.
pub(crate) const NO_DEVIATION: &str = "The runs record no change.";

/// Describes what was trained, in one sentence.
pub(crate) fn setting(comparison: &Comparison) -> String {
    let config = &comparison.first().config;
    format!(
        "Generated {} images of the classes learned so far: preset {}, {} of {}, {}.",
        paper::dataset(&config.dataset),
        config.preset,
        comparison.tasks(),
        counted(config.tasks, "task"),
        comparison.seeds(),
    )
}

/// Describes how the numbers were measured, in two sentences; `results.json` has the full hash.
pub(crate) fn scoring(comparison: &Comparison) -> String {
    let card = comparison.first().card();
    let hash = card.sha256.as_deref().unwrap_or("unknown");
    let recognises = card.test_accuracy.map_or("an unknown share".into(), |share| format!("{:.2} %", 100.0 * share));
    let samples = card.samples_per_class.map_or("An unknown number of".into(), |samples| samples.to_string());
    format!(
        "Scored by {} (SHA-256 {}…), which recognises {recognises} of real test images. {}{samples} generated images \
         of each class; normalisation statistics: {}.",
        card.network,
        hash.get(..12).unwrap_or(hash),
        if comparison.lacks_images() { "At most " } else { "" },
        card.statistics,
    )
}

/// Formats the order in which a run learned its classes.
pub(crate) fn order(run: &Run) -> String {
    let origin = if run.config.order().is_some() { "a given one" } else { "the dataset's own" };
    format!("{origin}: {}", run.last().scores.class_names.join(", "))
}

/// Explains how to read the scores, and names those that lead the table but were not measured.
pub(crate) fn quality(comparison: &Comparison) -> String {
    let leading = [REVERSE_ACCURACY, COVERAGE, RECALL].into_iter();
    let names = leading.filter(|key| !comparison.has(key)).filter_map(Metric::of).map(|metric| metric.name);
    let missing = match names.collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        names => format!("{}; ", names.join(", ")),
    };
    format!(
        "Reverse accuracy, the share of real test images recognised by a classifier that was trained on generated ones alone, \
         comes first, because a few good images of each class made over and over have a high accuracy. FD: the Frechet distance \
         of generated from real test images on the features of the network it is named after; lower is better. It is no FID, \
         whose features are Inception's. Accuracy comes last, for comparison with the paper: of images normalised with their \
         batch, as in training; with standing statistics each image is made by itself, as the shipped generator makes it. Above \
         the accuracy of real images, images are more typical of their class than real ones. Not measured: {missing}the \
         reverse accuracy of as many real images, and the distance between two sets of real images.",
    )
}

/// Explains how to read the table beside the paper.
pub(crate) fn reading(comparison: &Comparison) -> String {
    let (one, many) = (comparison.over.one(), comparison.over.many());
    let own = if comparison.is_reordered() { " The paper has one class order, the dataset's own." } else { "" };
    let mean = if comparison.over == Over::Orders { " A score in an order is the mean over its seeds." } else { "" };
    format!(
        "Paper: {SOURCE}, which states no spread. Several {many} are given as mean ± sample standard deviation.{own}{mean} The \
         verdict is by the t interval (95 %) over the {many}: above or below where the paper's number lies outside of it, else \
         agrees, or cannot be told apart where the interval reaches further than {USEFUL_MARGIN} percentage point to either \
         side; then as many {many} are needed as would make it reach no further, if they spread as these do. One {one} has no \
         interval.",
    )
}

/// Compares the strategies by the scores that lead, as far as they were measured over several seeds.
pub(crate) fn pairings<'a>(comparison: &Comparison<'a>) -> Vec<Pairs<'a>> {
    [REVERSE_ACCURACY, ACCURACY].iter().filter_map(|metric| comparison.pairs(metric)).collect()
}

/// Explains how to read the table of pairs, and names the pairs that are told apart and those that are not.
pub(crate) fn pairing(pairs: &Pairs, over: Over) -> String {
    let names = |(first, second): (&str, &str)| format!("{} and {}", paper::label(first), paper::label(second));
    let listed = |what: &str, pairs: Vec<(&str, &str)>| match pairs.is_empty() {
        true => String::new(),
        false => format!(" {what}: {}.", pairs.into_iter().map(names).collect::<Vec<_>>().join("; ")),
    };
    let [apart, not_apart] = [true, false].map(|told| {
        let chosen = pairs.compared.iter().filter(|pair| pair.is_told_apart() == told);
        chosen.map(|pair| (pair.first, pair.second)).collect()
    });
    format!(
        "Differences of {} after {}, {one} by {one}; the interval is a paired t interval, not corrected for the number of pairs. \
         p is that of a paired t test on both sides, and then corrected for {} by Holm's method, which decides who is told apart \
         at {} %.{}{}{}",
        pairs.metric.name,
        counted(pairs.tasks, "task"),
        counted(pairs.compared.len(), "pair"),
        Pair::LEVEL,
        listed("Told apart", apart),
        listed("Not told apart", not_apart),
        listed(
            &format!("Not compared, because they share fewer than two {} with this score", over.many()),
            pairs.left_out.clone()
        ),
        one = over.one(),
    )
}

/// Explains how to read the table of what scores cost.
pub(crate) const BUDGET: &str = "Means over the runs that recorded it, of all tasks together. Images in the critic's batches are real and \
    replayed ones; the generator makes as many again. Replayed images are drawn from the past's generator, in those batches or \
    in terms of the strategy's own. What is kept from a task to the next draws the learned classes and learns the next, without \
    the critic, which all strategies keep: the parameters of generators (EWC's with the importance of each), those of \
    classifiers, and real images; sizes count four bytes for a parameter and one for each channel of a pixel. A dash stands \
    where a run's log has no such count: earlier versions did not record it, and images that DGR replays are not counted.";

/// Explains how to read the table of the replay audit.
pub(crate) const AUDIT: &str = "Of the generator as it stood when the task began, which is what replaying strategies \
    replay from: the mean probability that the scoring classifier gives the class asked for, and its accuracy; and how far \
    the task moved the generator from it at the same latents (pixels from -1 to 1). Means over the past classes.";

/// Formats a count, as in `1 task` or `2 tasks`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
