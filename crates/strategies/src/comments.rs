//! Writes a configuration with a comment on each value, which is the documentation of the corresponding field.

use documented::DocumentedFieldsOpt;
use mergan_datasets::{ImageOptions, TaskOptions};

use crate::config::{Config, EvaluationOptions, Extension, ModelOptions, TrainingOptions};
use crate::error::Error;
use crate::strategies::Strategies;

/// The maximum length of a comment line, in bytes.
const WIDTH: usize = 96;

impl Config {
    /// Returns the configuration as TOML with a comment on each value. `strategies` supplies the descriptions of the
    /// strategy's own options.
    ///
    /// # Errors
    /// Returns an error if the strategy is not among `strategies`.
    pub fn to_commented_toml(&self, strategies: &Strategies) -> Result<String, Error> {
        let about = strategies.about(&self.strategy)?;
        let mut text = String::new();
        let mut table = String::new();
        for line in self.to_toml().lines() {
            if let Some(name) = line.strip_prefix('[') {
                table = name.trim_matches(['[', ']']).into();
            } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with([' ', '"'])) {
                let comment = document(&table, key, about);
                text.extend(comment.map(commented));
            }
            text += line;
            text += "\n";
        }
        Ok(text)
    }
}

/// Returns the documentation of the field that holds a value.
fn document(table: &str, key: &str, about: fn(&str) -> Option<&'static str>) -> Option<&'static str> {
    match table {
        "" => Config::get_field_docs(key).ok(),
        "images" => ImageOptions::get_field_docs(key).ok(),
        "sequence" => TaskOptions::get_field_docs(key).ok(),
        "model" => ModelOptions::get_field_docs(key).ok(),
        "training" => TrainingOptions::get_field_docs(key).ok(),
        "evaluation" => EvaluationOptions::get_field_docs(key).ok(),
        "extensions" => Extension::get_field_docs(key).ok(),
        "options" => about(key),
        nested => about(&format!("{}.{key}", nested.strip_prefix("options.")?)),
    }
}

/// Wraps a text into comment lines of at most [`WIDTH`] bytes.
fn commented(text: &str) -> String {
    let plain = text.replace(['[', ']', '`'], "");
    let mut lines = vec![String::from("#")];
    for word in plain.split_whitespace() {
        if lines.last().is_some_and(|line| line.len() + 1 + word.len() > WIDTH) {
            lines.push("#".into());
        }
        let line = lines.last_mut().expect("there is a line");
        *line += " ";
        *line += word;
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Choice, presets};

    #[test]
    fn every_value_of_every_strategy_has_a_comment_and_the_whole_is_the_configuration() {
        let strategies = Strategies::built_in();
        for (preset, strategy) in presets().flat_map(|preset| strategies.names().map(move |name| (preset, name))) {
            let [dataset, strategy, preset] = ["mnist", strategy, preset].map(String::from);
            let choice = Choice { dataset, strategy, preset, ..Choice::default() };
            let config = Config::resolve(&choice, &strategies, 10).unwrap();
            let text = config.to_commented_toml(&strategies).unwrap();
            assert_eq!(Config::parse(&text, "config.toml").unwrap(), config);
            let mut before = "";
            for line in text.lines() {
                let is_value = !line.starts_with([' ', '"', '[', ']', '#']) && line.contains(" = ");
                assert!(!is_value || before.starts_with('#'), "`{line}` of {} has no comment", config.strategy);
                before = line;
            }
        }
    }
}
