//! Names that others chose, made fit to print.

/// Returns the text with control characters, and those that change the direction of writing, written as `\u{1b}`: a
/// terminal would obey them.
///
/// ```
/// assert_eq!(mergan_datasets::printable("cat\u{1b}[2J"), "cat\\u{1b}[2J");
/// ```
pub fn printable(text: &str) -> String {
    let is_harmful =
        |letter: char| letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_harmful(letter) {
            true => safe.extend(letter.escape_unicode()),
            false => safe.push(letter),
        }
    }
    safe
}
