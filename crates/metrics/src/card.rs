//! The card that every number carries: how it was measured, and of what.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a number was measured. Numbers whose cards differ must not be compared; see [`comparable`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Card {
    /// The scoring network's name.
    pub network: String,
    /// The SHA-256 of the scoring network's weights, in lower-case hexadecimal.
    pub sha256: String,
    /// The scoring network's accuracy on real test images, from 0 to 1: no score means more than this does.
    pub test_accuracy: f64,
    /// How many generated images of each class were scored, or trained on.
    pub samples_per_class: usize,
    /// The real images that the generated ones were compared with, such as `all test images`, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_images: Option<String>,
    /// The normalisation statistics the generator used, such as `batch of 64` or `standing`.
    pub statistics: String,
    /// Whether the images that were normalised together were of one class (`pure`) or of all (`mixed`).
    pub grouping: String,
    /// The preset the generator was trained with.
    pub preset: String,
    /// The seed of the run.
    pub seed: u64,
    /// The commit of the code that made the run, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Where two numbers that were to be compared differ.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{field} differs: {left} and {right}")]
pub struct Difference {
    /// The field of the card, spelled as in its JSON.
    pub field: &'static str,
    /// Its value on the first card.
    pub left: String,
    /// Its value on the second card.
    pub right: String,
}

impl Difference {
    /// `Ok` when `left` equals `right`, else their difference in `field`.
    pub fn check<T: PartialEq + ToString + ?Sized>(field: &'static str, left: &T, right: &T) -> Result<(), Self> {
        if left == right {
            return Ok(());
        }
        Err(Self { field, left: left.to_string(), right: right.to_string() })
    }
}

/// Whether two numbers were measured alike: by the same network, on as many samples, with the same statistics,
/// after training with the same preset.
///
/// Seed and commit say which run a number is from, and a generator is scored in the groups that it was trained in; these
/// belong to what is compared, not to how it was measured, so they may differ. The network's test accuracy follows from
/// its weights, which the hash identifies.
///
/// # Errors
///
/// The first field that differs.
pub fn comparable(left: &Card, right: &Card) -> Result<(), Difference> {
    Difference::check("network", &left.network, &right.network)?;
    Difference::check("sha256", &left.sha256, &right.sha256)?;
    Difference::check("samples_per_class", &left.samples_per_class, &right.samples_per_class)?;
    let [ours, theirs] = [left, right].map(|card| card.real_images.as_deref().unwrap_or("none"));
    Difference::check("real_images", ours, theirs)?;
    Difference::check("statistics", &left.statistics, &right.statistics)?;
    Difference::check("preset", &left.preset, &right.preset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        Card {
            network: "digit-mlp".into(),
            sha256: "ab".repeat(32),
            test_accuracy: 0.98,
            samples_per_class: 6400,
            real_images: None,
            statistics: "batch of 64".into(),
            grouping: "pure".into(),
            preset: "quick".into(),
            seed: 0,
            commit: None,
        }
    }

    #[test]
    fn seeds_and_commits_may_differ() {
        let other = Card { seed: 1, commit: Some("0123abc".into()), ..card() };
        assert_eq!(comparable(&card(), &other), Ok(()));
    }

    #[test]
    fn a_difference_names_its_field() {
        let cases = [
            ("network", Card { network: "vgg".into(), ..card() }),
            ("sha256", Card { sha256: "cd".repeat(32), ..card() }),
            ("samples_per_class", Card { samples_per_class: 64, ..card() }),
            ("real_images", Card { real_images: Some("all test images".into()), ..card() }),
            ("statistics", Card { statistics: "standing".into(), ..card() }),
            ("preset", Card { preset: "paper".into(), ..card() }),
        ];
        for (field, other) in cases {
            assert_eq!(comparable(&card(), &other).unwrap_err().field, field);
        }
        let difference = Difference { field: "preset", left: "quick".into(), right: "paper".into() };
        assert_eq!(difference.to_string(), "preset differs: quick and paper");
    }
}
