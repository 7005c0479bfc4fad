//! Suggests what a user may have meant by an unknown name.

/// Asks whether the nearest known name was meant, if so few letters differ that the name may be a slip. The text
/// completes an error message.
///
/// ```
/// let known = ["mnist", "svhn"].map(String::from);
/// assert_eq!(mergan_datasets::suggestion("mnits", &known), "; did you mean `mnist`?");
/// assert_eq!(mergan_datasets::suggestion("pets", &known), "");
/// ```
pub fn suggestion(name: &str, known: &[String]) -> String {
    let distance = |known: &&String| strsim::osa_distance(&name.to_lowercase(), known);
    match known.iter().min_by_key(distance) {
        Some(nearest) if distance(&nearest) <= name.len().max(3) / 3 => format!("; did you mean `{nearest}`?"),
        _ => String::new(),
    }
}
