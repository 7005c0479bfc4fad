//! Makes a run without the command line: two strategies learn three shapes one after another, starting from the same
//! first task. Both are scored, and the one that remembers is sampled and exported.
//!
//! ```sh
//! cargo run --release --example run
//! ```

use std::error::Error;
use std::path::Path;

use mergan_runs::export::{image_grid, onnx};
use mergan_runs::{Happening, Observer, Run, Scorer, Trained};
use mergan_strategies::{Choice, Config, Strategies};

/// An observer that prints what the user waits for.
struct Said;

impl Observer for Said {
    fn happened(&self, happening: &Happening) {
        match happening {
            Happening::Begins(work) => println!("{work} ..."),
            Happening::Learned { task, tasks, took } => {
                println!("task {task} of {tasks} took {:.1} s", took.as_secs_f64())
            }
            Happening::Warning(text) => println!("warning: {text}"),
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let dir = |name: &str| folder.path().join(name);
    let data = mergan_datasets::load("shapes", &Default::default())?;
    let strategies = Strategies::built_in();
    let config = |strategy: &str, tasks| {
        let [dataset, strategy, preset] = ["shapes", strategy, "smoke"].map(String::from);
        let choice = Choice { dataset, strategy, preset, tasks: Some(tasks), ..Choice::default() };
        Config::resolve(&choice, &strategies, data.class_names.len())
    };
    let scorer = Scorer::obtain(None, &data, &dir("cache"), &Said)?;
    let finish = |run: Run| run.scored_by(scorer.clone()).train(&Said, &|| false);
    finish(Run::start(&dir("first"), config("sft", 1)?, &data, &strategies)?)?;
    for strategy in ["sft", "ra"] {
        finish(Run::fork(&dir(strategy), config(strategy, 3)?, &data, &strategies, &dir("first"))?)?;
        let run = Run::open(&dir(strategy), &data, &strategies)?;
        let scores = run.evaluate(&scorer)?;
        let accuracy = |class| 100.0 * scores.get("accuracy", class).map_or(f64::NAN, |score| score.value);
        println!(
            "{strategy}: {:.1} % of the images are recognised, {:.1} % of the first class's",
            accuracy(None),
            accuracy(Some(0))
        );
    }

    let trained = Trained::load(&dir("ra"))?;
    image_grid::write_classes(Path::new(&dir("rings.png")), &[trained.draw("ring", 16, 0)?])?;
    onnx::write(&dir("generator.onnx"), &trained)?;
    println!("it knows {}", trained.usage.class_names.join(", "));
    Ok(())
}
