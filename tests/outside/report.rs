//! Asks for the paper's number, and for a report of a run that does not exist.
use mergan_report::{load_run, paper_accuracy};
use std::path::Path;

fn main() {
    assert_eq!(paper_accuracy("mnist", "ra", 10), Some(97.01));
    let error = load_run(Path::new("no-such-run")).unwrap_err().to_string();
    assert!(error.contains("config.toml") && error.contains("mergan train"), "{error}");
}
