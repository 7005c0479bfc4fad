//! Checks the documents of the project: what a link of theirs leads to exists.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the documents below a folder, without what is built, fetched or hidden.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap();
        !name.starts_with('.') && !["target", "runs", "cache", "node_modules"].contains(&name)
    };
    let (folders, files): (Vec<_>, Vec<_>) = entries.filter(is_ours).partition(|path| path.is_dir());
    let is_document = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "md");
    files.into_iter().filter(is_document).chain(folders.iter().flat_map(|folder| documents(folder))).collect()
}

/// Returns where the links of a document lead, in the order in which they stand.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let outside_code = text.split("```").step_by(2);
    let targets = outside_code.flat_map(|text| text.split("](").skip(1));
    targets.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// Returns the name by which a heading is linked to: in small letters, with `-` between the words.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|&c| c.is_alphanumeric() || "-_".contains(c)).collect()
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut seen = 0;
    for document in documents(root) {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link} leads nowhere", document.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|line| anchor(line.trim_start_matches('#')) == heading);
                assert!(found, "{}: {link} names no heading", document.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "the documents have only {seen} links");
}
