//! Checksums inside files of weights: the last entry of the note, a JSON object, is the SHA-256 of the tensors and of
//! the note with this entry left empty.

use std::path::Path;

use mergan_models::{Weights, WeightsError};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct Noted<'n, N> {
    #[serde(flatten)]
    note: &'n N,
    sha256: &'n str,
}

#[derive(Deserialize)]
struct Stated {
    sha256: Option<String>,
}

/// Gives weights a note, and the checksum in it.
pub(crate) fn note(weights: &mut Weights, note: &impl Serialize) {
    let json = |sha256: &str| {
        serde_json::to_string(&Noted { note, sha256 }).expect("names and numbers can be written as JSON")
    };
    weights.note = json("");
    weights.note = json(&weights.sha256());
}

/// Returns whether weights that were read have a checksum. Those of earlier versions and of other programs have none.
pub(crate) fn is_in(weights: &Weights) -> bool {
    stated(weights).is_some()
}

/// Verifies the checksum of the weights in a file, if they have one.
///
/// # Errors
/// When the checksum does not hold.
pub(crate) fn verify(path: &Path, weights: &Weights) -> Result<(), WeightsError> {
    let Some(stated) = stated(weights) else { return Ok(()) };
    let mut without = weights.clone();
    without.note = weights.note.replace(&stated, "");
    if without.sha256() == stated {
        return Ok(());
    }
    let reason = "its checksum does not hold".into();
    Err(WeightsError::Format { path: path.into(), format: "generator", reason })
}

fn stated(weights: &Weights) -> Option<String> {
    serde_json::from_str::<Stated>(&weights.note).ok()?.sha256
}

#[cfg(test)]
mod tests {
    use mergan_tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn a_changed_weight_or_note_is_noticed() {
        let path = Path::new("generator.safetensors");
        let mut weights = Weights::default();
        weights.insert("a", &Tensor::from_vec(vec![1.0f32, 2.0], [2], Device::Cpu));
        assert!(verify(path, &weights).is_ok() && !is_in(&weights));
        note(&mut weights, &serde_json::json!({ "batch": 16 }));
        assert!(verify(path, &weights).is_ok() && is_in(&weights));

        let mut other = weights.clone();
        other.insert("a", &Tensor::from_vec(vec![1.0f32, 2.5], [2], Device::Cpu));
        let mut renoted = weights.clone();
        renoted.note = weights.note.replace("\"batch\":16", "\"batch\":17");
        for damaged in [other, renoted] {
            let error = verify(path, &damaged).unwrap_err().to_string();
            assert!(error.contains("generator.safetensors") && error.contains("checksum does not hold"), "{error}");
        }
    }
}
