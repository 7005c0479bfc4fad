//! `mergan evaluate`: the scores of a generator, class by class.

use anyhow::{Result, ensure};
use mergan_metrics::{ACCURACY, TaskScores};
use mergan_report::scores_table;

use crate::args::EvaluateArguments;
use crate::console::Console;
use crate::evaluation::{Evaluation, InceptionScores};
use crate::extension;
use crate::fid::FeatureNetwork;
use crate::generator::Trained;
use crate::run_dir::RunDir;

/// Answers `mergan evaluate`.
pub fn run(arguments: &EvaluateArguments, console: &Console) -> Result<()> {
    let run = RunDir::new(&arguments.run);
    let config = run.read_config()?;
    let newest = run.newest_task()?;
    let task = arguments.task.unwrap_or(newest);
    ensure!((1..=newest).contains(&task), "task {task} is not learned; choose one of 1 to {newest}");
    let device = arguments.device.open(console)?;
    let trained = Trained::load(&run.generator(task))?.on(device);
    let data = extension::load(&run, &config, &arguments.data, console)?;
    let cache = arguments.data.cache();
    let scorer = extension::scorer(&run, &config, arguments.scorer.as_deref(), &data, &cache, console)?;
    let inception = (!arguments.metrics.is_empty()).then(|| -> Result<_> {
        let network = FeatureNetwork::obtain(&arguments.inception, &arguments.data, device, console)?;
        Ok(InceptionScores::new(network, &arguments.metrics))
    });
    let evaluation = Evaluation::new(&config, &data, scorer, console)?.with_inception(inception.transpose()?);

    let samples = arguments.samples.map_or(config.evaluation.samples, usize::from);
    let seed = arguments.seed.unwrap_or(config.seed);
    let measured = evaluation.task(&run, &trained, task, samples, seed)?;
    if arguments.save {
        measured.save(&run)?;
    }
    let scores = measured.scores;
    if arguments.json {
        return console.print(serde_json::to_string_pretty(&scores).expect("scores are numbers and text"));
    }
    let fewer = scores.get(ACCURACY, None).is_some_and(|score| score.warning.is_some());
    let most = if fewer { "at most " } else { "" };
    console.print(format!("after task {task}, {most}{samples} images of each class\n"))?;
    console.print(scores_table(&scores, &data.class_names))?;
    console.print(format!("recognised by {}", evaluation.scorer().description()))
}

/// The accuracy of a class, or the mean, in percent.
pub fn percent(scores: &TaskScores, class: Option<usize>) -> f64 {
    100.0 * scores.get(ACCURACY, class).expect("every learned class is scored").value
}
