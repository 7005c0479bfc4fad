//! Words of a command that is shown to a user.

/// Quotes a word, such as a path, where a shell would divide or change it, so that a command can be copied from a
/// message.
pub fn quoted(word: &(impl ToString + ?Sized)) -> String {
    let word = word.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_change_is_quoted() {
        for (word, expected) in [
            ("runs/ra-1", "runs/ra-1"),
            ("my runs/ra", "'my runs/ra'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("$a", "'$a'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
