//! The card attached to every number: how the number was measured, and on what.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The way in which a number was measured. Numbers whose cards differ must not be compared; see [`comparable`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Card {
    /// The scoring network's name, or how it was trained if it was trained only for this measurement; `none` for a
    /// count.
    pub network: String,
    /// The SHA-256 of the scoring network's weights, in lower-case hexadecimal, if the network is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// That network's accuracy on real test images, from 0 to 1. No score can be more meaningful than this allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
    /// The number of generated images of each class that were scored or trained on, unless the score's warning gives a
    /// lower number; absent for a count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_per_class: Option<usize>,
    /// The real images that the generated ones were compared with, such as `all test images`, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_images: Option<String>,
    /// The convention by which images were resized for the network, such as `tf1`, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<String>,
    /// The method of computing the number from the network's features, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimator: Option<String>,
    /// The normalisation statistics the generator used, such as `batch of 64` or `standing`; `none` for a count.
    pub statistics: String,
    /// Whether the images normalised together were of one class (`pure`) or of all (`mixed`); `none` for a count.
    pub grouping: String,
    /// The preset the generator was trained with.
    pub preset: String,
    /// The seed of the run.
    pub seed: u64,
    /// The SHA-256 of the data's fingerprint, in lower-case hexadecimal, if it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The commit of the code that made the run, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Card {
    /// Returns the card for what the same run counted while it trained: no images were drawn for it and no network
    /// was used.
    pub fn of_count(&self) -> Self {
        let none = || "none".to_owned();
        Card {
            network: none(),
            sha256: None,
            test_accuracy: None,
            samples_per_class: None,
            real_images: None,
            resize: None,
            estimator: None,
            statistics: none(),
            grouping: none(),
            ..self.clone()
        }
    }
}

/// The field in which two numbers that were to be compared differ.
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
    /// Returns `Ok` if `left` equals `right`, else their difference in `field`.
    pub fn check<T: PartialEq + ToString + ?Sized>(field: &'static str, left: &T, right: &T) -> Result<(), Self> {
        if left == right {
            return Ok(());
        }
        Err(Self { field, left: left.to_string(), right: right.to_string() })
    }
}

/// Checks that two numbers were measured alike: by the same network, on as many samples, with the same statistics,
/// after training with the same preset.
///
/// Seed and commit say which run a number is from, and a generator is scored in the groups that it was trained in.
/// Both belong to what is compared, not to how it was measured, so they may differ. The network's test accuracy
/// follows from its weights, which the hash identifies.
///
/// # Errors
///
/// Returns the first field that differs.
pub fn comparable(left: &Card, right: &Card) -> Result<(), Difference> {
    Difference::check("network", &left.network, &right.network)?;
    let check = |field, of: &dyn Fn(&Card) -> Option<String>| {
        let [ours, theirs] = [left, right].map(|card| of(card).unwrap_or("none".into()));
        Difference::check(field, &ours, &theirs)
    };
    check("sha256", &|card| card.sha256.clone())?;
    check("samples_per_class", &|card| card.samples_per_class.map(|count| count.to_string()))?;
    check("real_images", &|card| card.real_images.clone())?;
    check("resize", &|card| card.resize.clone())?;
    check("estimator", &|card| card.estimator.clone())?;
    Difference::check("statistics", &left.statistics, &right.statistics)?;
    Difference::check("preset", &left.preset, &right.preset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        Card {
            network: "digit-mlp".into(),
            sha256: Some("ab".repeat(32)),
            test_accuracy: Some(0.98),
            samples_per_class: Some(6400),
            real_images: None,
            resize: None,
            estimator: None,
            statistics: "batch of 64".into(),
            grouping: "pure".into(),
            preset: "quick".into(),
            seed: 0,
            data: None,
            commit: None,
        }
    }

    #[test]
    fn seeds_and_commits_may_differ() {
        let other = Card { seed: 1, commit: Some("0123abc".into()), ..card() };
        assert_eq!(comparable(&card(), &other), Ok(()));
    }

    #[test]
    fn a_count_names_no_network() {
        let json = serde_json::to_value(card().of_count()).unwrap();
        assert_eq!((&json["network"], &json["preset"]), (&"none".into(), &"quick".into()));
        for field in ["sha256", "test_accuracy", "samples_per_class"] {
            assert!(json.get(field).is_none(), "{field}");
        }
        assert_eq!(serde_json::from_value::<Card>(json).unwrap(), card().of_count());
    }

    #[test]
    fn a_difference_names_its_field() {
        let cases = [
            ("network", Card { network: "vgg".into(), ..card() }),
            ("sha256", Card { sha256: Some("cd".repeat(32)), ..card() }),
            ("samples_per_class", Card { samples_per_class: Some(64), ..card() }),
            ("real_images", Card { real_images: Some("all test images".into()), ..card() }),
            ("resize", Card { resize: Some("tf1".into()), ..card() }),
            ("estimator", Card { estimator: Some("k = 3".into()), ..card() }),
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
