//! What somebody may have meant who wrote a name that nobody knows.

/// Asks for the known name that a wrong one is nearest to, where so few letters differ that it may be a slip; to complete a
/// message.
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
