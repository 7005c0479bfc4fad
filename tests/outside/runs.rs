//! Makes a run with a custom strategy: trained, interrupted, resumed, scored and sampled without the command.
use std::cell::Cell;
use std::fs;

use mergan_runs::{Happening, Observer, Outcome, Run, Scorer, Trained};
use mergan_strategies::{Choice, Config, FromOptions, Step, Strategies, Strategy, Term};

/// Holds the generator's first weights near zero.
struct Decay;

impl Strategy for Decay {
    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        vec![Term::new("decay", 0.01, mergan_models::Network::values(step.generator)[0].square().mean())]
    }
}

impl FromOptions for Decay {
    type Options = std::collections::BTreeMap<String, f64>;
    const NAME: &'static str = "decay";
    fn from_options(_: Self::Options) -> Result<Self, String> {
        Ok(Decay)
    }
}

/// Counts the iterations that it is told of.
#[derive(Default)]
struct Count(Cell<usize>);

impl Observer for Count {
    fn happened(&self, happening: &Happening) {
        if let Happening::Iteration(_) = happening {
            self.0.set(self.0.get() + 1);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("outside-run-{}", std::process::id()));
    let dir = folder.join("decay");
    let data = mergan_datasets::load("shapes", &Default::default())?;
    let strategies = Strategies::built_in().with::<Decay>();
    let [dataset, strategy, preset] = ["shapes", "decay", "smoke"].map(String::from);
    let choice = Choice { dataset, strategy, preset, tasks: Some(3), ..Choice::default() };
    let config = Config::resolve(&choice, &strategies, data.class_names.len())?;

    // The run is stopped in the middle of the second task.
    let count = Count::default();
    let scorer = Scorer::obtain(None, &data, &folder.join("cache"), &count)?;
    let enough = config.iterations(0) + 2;
    let mut run = Run::start(&dir, config, &data, &strategies)?.scored_by(scorer.clone());
    assert_eq!(run.train(&count, &|| count.0.get() >= enough)?, Outcome::Stopped);
    drop(run);

    // Without its strategy the run is refused with an error that names it; with the strategy it continues.
    let mut stranger = Run::open(&dir, &data, &Strategies::built_in())?.scored_by(scorer.clone());
    let refused = stranger.train(&count, &|| false).unwrap_err().to_string();
    assert!(refused.contains("there is no strategy `decay`"), "{refused}");
    drop(stranger);
    let mut run = Run::open(&dir, &data, &strategies)?.scored_by(scorer.clone());
    assert_eq!(run.train(&count, &|| false)?, Outcome::Finished);

    let events = fs::read_to_string(dir.join("events.jsonl"))?;
    for task in 1..=3 {
        let losses = events.lines().filter(|line| line.contains("\"losses\"") && line.contains(&format!("\"task\":{task},")));
        let last = losses.last().expect("every task logs its losses");
        assert!(last.contains("\"decay\""), "{last}");
    }
    assert_eq!(run.evaluate(&scorer)?.class_names, ["disc", "ring", "square"]);
    assert_eq!(Trained::load(&dir)?.draw("ring", 16, 0)?.dim(), (16, 1, 32, 32));
    fs::remove_dir_all(folder)?;
    Ok(())
}
