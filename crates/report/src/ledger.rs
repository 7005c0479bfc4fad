//! `ledger.md`: our numbers beside the paper's, with everything needed to judge the comparison.

use crate::comparison::{Beside, Comparison};
use crate::paper::{self, SOURCE};
use crate::table::{Table, escape};
use crate::{Error, Run};
use mergan_metrics::Card;

/// The ledger of the runs in Markdown.
///
/// # Errors
///
/// [`Error::NoRuns`], or [`Error::Incomparable`] where two runs were not measured alike.
pub fn ledger(runs: &[Run]) -> Result<String, Error> {
    let comparison = Comparison::of(runs)?;
    let config = &comparison.first().config;
    let mut deviations = comparison.deviations();
    if deviations.is_empty() {
        deviations.push(NO_DEVIATION.into());
    }
    let list = deviations.iter().map(|text| format!("- {}\n", escape(text)));
    Ok(format!(
        "# Ledger: {dataset}, preset {preset}\n\n{setting}\n\n{beside_paper}\n{scoring}\n\n{reading}\n\n\
         ## Continual metrics\n\n{continual}\n## Wall time of training\n\n{wall_time}\n\
         ## What preset {preset} changes from the released code\n\n{list}",
        dataset = escape(paper::dataset(&config.dataset)),
        preset = escape(&config.preset),
        setting = escape(&setting(&comparison)),
        beside_paper = Table::beside_paper(&comparison).markdown(),
        scoring = escape(&scoring(comparison.first().card())),
        reading = reading(),
        continual = Table::continual(&comparison).markdown(),
        wall_time = Table::wall_time(&comparison).markdown(),
        list = list.collect::<String>(),
    ))
}

/// The table that ends a reproduction in the terminal: our numbers beside the paper's.
///
/// # Errors
///
/// As [`ledger`].
pub fn table(runs: &[Run]) -> Result<String, Error> {
    let comparison = Comparison::of(runs)?;
    let setting = setting(&comparison);
    let table = Table::beside_paper(&comparison).text();
    let scoring = scoring(comparison.first().card());
    Ok(format!("{setting}\n\n{table}\n{scoring}\n"))
}

/// What stands in place of the list when configurations name no deviation from the released code.
pub(crate) const NO_DEVIATION: &str = "The runs record no change.";

/// What was trained, in one sentence.
pub(crate) fn setting(comparison: &Comparison) -> String {
    let config = &comparison.first().config;
    format!(
        "Average accuracy of generated {} images over the classes learned so far: preset {}, {} of {}, {}.",
        paper::dataset(&config.dataset),
        config.preset,
        comparison.tasks(),
        counted(config.tasks, "task"),
        comparison.seeds(),
    )
}

/// How the numbers were measured, in two sentences; `results.json` has the whole hash.
pub(crate) fn scoring(card: &Card) -> String {
    format!(
        "Scored by {} (SHA-256 {}…), which recognises {:.2} % of real test images. {} generated images of each \
         class; normalisation statistics: {}.",
        card.network,
        card.sha256.get(..12).unwrap_or(&card.sha256),
        100.0 * card.test_accuracy,
        card.samples_per_class,
        card.statistics,
    )
}

/// How the table is to be read.
pub(crate) fn reading() -> String {
    format!(
        "Paper: {SOURCE}, which states no spread; numbers within {} percentage point agree. Several seeds are given \
         as mean ± sample standard deviation.",
        Beside::AGREEMENT
    )
}

/// `1 task`, `2 tasks`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
