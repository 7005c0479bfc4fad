//! Tests of the command line as it is described, and as the documents use it.

use std::collections::BTreeMap;

use super::*;
use crate::inception::InceptionArguments;

/// Returns the options of a group that several commands have, and their heading.
fn group<A: Args>() -> BTreeMap<String, String> {
    let command = A::augment_args(clap::Command::new("group"));
    let headed = command
        .get_arguments()
        .filter_map(|argument| Some((argument.get_id().to_string(), argument.get_help_heading()?.to_string())));
    headed.collect()
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn no_option_stands_below_the_heading_of_others() {
    let groups = [
        group::<ConfigArguments>(),
        group::<ImageArguments>(),
        group::<InceptionArguments>(),
        group::<DeviceArguments>(),
        group::<DataArguments>(),
    ];
    let known: BTreeMap<_, _> = groups.into_iter().flatten().collect();
    let mut commands = vec![Arguments::command()];
    let mut headed = 0;
    while let Some(command) = commands.pop() {
        for argument in command.get_arguments() {
            if let Some(heading) = argument.get_help_heading() {
                let name = argument.get_id().to_string();
                assert_eq!(known.get(&name).map(String::as_str), Some(heading), "{} --{name}", command.get_name());
                headed += 1;
            }
        }
        commands.extend(command.get_subcommands().cloned());
    }
    assert!(headed > 50, "{headed} options have a heading");
}

#[test]
fn every_command_in_the_documents_is_understood() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let documents = ["README.md", "crates/cli/README.md"].map(String::from).into_iter();
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| format!("docs/{}", name.to_string_lossy())).filter(|name| name.ends_with(".md"));
    let mut understood = 0;
    for document in documents.chain(docs) {
        let text = read(&document);
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("mergan ")) {
            // What a shell would take away.
            let command = line.split(" > ").next().unwrap_or(line);
            if let Err(error) = Arguments::try_parse_from(command.split_whitespace()) {
                panic!("{document}: `{line}`: {error}");
            }
            understood += 1;
        }
    }
    assert!(understood > 40, "the documents have only {understood} commands");
}
