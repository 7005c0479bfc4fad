//! Checksums inside text files: the last entry of a JSON object, or the last line of a TOML file, states the SHA-256 of
//! the text before it. A file stays one that any reader of its format reads.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// What stands before the checksum and after it.
type Frame = (&'static str, &'static str);

pub(crate) const JSON: Frame = (",\n  \"sha256\": \"", "\"\n}\n");
pub(crate) const TOML: Frame = ("# The SHA-256 of the lines above: ", "\n");

/// What a text says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// The checksum fits the text.
    Holds,
    /// There is none: an earlier version wrote the text.
    Missing,
    /// The text has been damaged or changed.
    Broken,
}

/// Returns an object as JSON, one entry a line, with the checksum as its last entry. A reader may ignore it.
///
/// # Panics
/// If the value is not an object with at least one entry.
pub fn sealed_json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("numbers and text can be written as JSON");
    seal(text.strip_suffix("\n}").expect("an object with entries ends in a line of its own"), JSON)
}

/// Returns a TOML file with the checksum as a comment in its last line. The text has to end with a line.
pub fn sealed_toml(text: &str) -> String {
    seal(text, TOML)
}

fn seal(text: &str, (before, after): Frame) -> String {
    format!("{text}{before}{}{after}", sha256(text))
}

/// Compares a text with the checksum that it states.
pub(crate) fn check(text: &str, (before, after): Frame) -> Seal {
    match text.strip_suffix(after).and_then(|text| text.rsplit_once(before)) {
        Some((text, stated)) if stated == sha256(text) => Seal::Holds,
        Some(_) => Seal::Broken,
        None => Seal::Missing,
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_the_text_and_of_its_checksum_is_noticed() {
        let json = sealed_json(&serde_json::json!({ "task": 3, "value": 0.25 }));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((value["task"].as_u64(), value["value"].as_f64()), (Some(3), Some(0.25)));
        let toml = sealed_toml("tasks = 3\n");
        assert_eq!(toml.parse::<toml::Table>().unwrap()["tasks"].as_integer(), Some(3));
        for (text, frame) in [(json, JSON), (toml, TOML)] {
            assert_eq!(check(&text, frame), Seal::Holds);
            for bit in 0..8 * text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                // What is no text any more cannot even be read.
                let Ok(flipped) = String::from_utf8(bytes) else { continue };
                assert_ne!(check(&flipped, frame), Seal::Holds, "{flipped}");
            }
        }
    }

    #[test]
    fn what_earlier_versions_wrote_has_no_checksum() {
        for text in ["{\n  \"task\": 3\n}\n", "", "{"] {
            assert_eq!(check(text, JSON), Seal::Missing, "{text}");
        }
        assert_eq!(check("tasks = 3\n", TOML), Seal::Missing);
    }
}
