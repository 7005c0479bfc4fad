//! Runs side by side: grouped by strategy, averaged over seeds, refused where their cards differ.

use crate::paper::{self, TASK_COUNTS, paper_accuracy};
use crate::{Config, Error, Run};
use mergan_metrics::{AccuracyMatrix, Difference, MatrixError, comparable};
use std::collections::BTreeSet;

/// The runs of a report, known to be comparable.
pub(crate) struct Comparison<'a> {
    /// One group a strategy, in order of appearance; never empty.
    pub groups: Vec<Group<'a>>,
}

/// The runs of one strategy: one a seed.
pub(crate) struct Group<'a> {
    pub strategy: &'a str,
    /// Never empty.
    pub runs: Vec<&'a Run>,
}

/// A number over several seeds.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub mean: f64,
    /// The sample standard deviation; unknown for one seed.
    deviation: Option<f64>,
}

/// A metric of a whole run, read from its accuracy matrix.
pub(crate) struct Continual {
    /// Its name in `results.json`.
    pub key: &'static str,
    /// Its name in tables.
    pub name: &'static str,
    pub of: fn(&AccuracyMatrix) -> Result<f64, MatrixError>,
}

/// The continual metrics that training alone gives; [`AccuracyMatrix`] has their formulas.
pub(crate) const CONTINUAL: [Continual; 4] = [
    Continual { key: "average_accuracy", name: "ACC (average accuracy)", of: AccuracyMatrix::average_accuracy },
    Continual { key: "forgetting_chaudhry_2018", name: "forgetting (Chaudhry 2018)", of: AccuracyMatrix::forgetting },
    Continual {
        key: "average_incremental_accuracy",
        name: "average incremental accuracy",
        of: AccuracyMatrix::average_incremental_accuracy,
    },
    Continual { key: "learning_accuracy", name: "learning accuracy", of: AccuracyMatrix::learning_accuracy },
];

/// Our average accuracy after some tasks beside the paper's, in percent.
pub(crate) struct Beside<'a> {
    pub strategy: &'a str,
    pub tasks: usize,
    pub ours: Spread,
    pub paper: Option<f64>,
}

impl<'a> Comparison<'a> {
    /// Groups the runs, unless two of them are of one strategy and seed or were not measured alike.
    pub fn of(runs: &'a [Run]) -> Result<Self, Error> {
        let first = runs.first().ok_or(Error::NoRuns)?;
        let mut groups: Vec<Group> = Vec::new();
        for run in runs {
            Difference::check("dataset", &first.config.dataset, &run.config.dataset)
                .and_then(|()| run.tasks.iter().try_for_each(|task| comparable(first.card(), task.card())))
                .and_then(|()| same_classes(first, run))
                .map_err(|source| Error::Incomparable { left: first.dir.clone(), right: run.dir.clone(), source })?;
            match groups.iter_mut().find(|group| group.strategy == run.config.strategy) {
                Some(group) => group.add(run)?,
                None => groups.push(Group { strategy: &run.config.strategy, runs: vec![run] }),
            }
        }
        Ok(Self { groups })
    }

    /// Any run, for what all runs have in common: dataset, preset and the way of scoring.
    pub fn first(&self) -> &'a Run {
        self.groups[0].runs[0]
    }

    pub fn runs(&self) -> impl Iterator<Item = &'a Run> {
        self.groups.iter().flat_map(|group| group.runs.iter().copied())
    }

    /// The longest run's finished tasks.
    pub fn tasks(&self) -> usize {
        self.runs().map(|run| run.tasks.len()).max().unwrap_or(0)
    }

    /// The seeds, such as `seed 0` or `seeds 0, 1`.
    pub fn seeds(&self) -> String {
        let seeds: BTreeSet<_> = self.runs().map(|run| run.config.seed).collect();
        let listed = seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        if seeds.len() == 1 { format!("seed {listed}") } else { format!("seeds {listed}") }
    }

    /// Our numbers beside the paper's, after as many tasks as the paper measured and after the last one.
    pub fn beside_paper(&self) -> Vec<Beside<'a>> {
        let last = self.tasks();
        let counts: BTreeSet<_> = TASK_COUNTS.into_iter().filter(|&tasks| tasks < last).chain([last]).collect();
        let dataset = &self.first().config.dataset;
        let rows = counts.into_iter().flat_map(|tasks| {
            self.groups.iter().filter_map(move |group| {
                let paper = paper_accuracy(dataset, group.strategy, tasks);
                Some(Beside { strategy: group.strategy, tasks, ours: group.accuracy(tasks, None)?.percent(), paper })
            })
        });
        rows.collect()
    }

    /// What the runs change from the released code; what only some strategies change says which.
    pub fn deviations(&self) -> Vec<String> {
        let mut deviations: Vec<(&str, BTreeSet<String>)> = Vec::new();
        for run in self.runs() {
            let strategy = paper::label(&run.config.strategy);
            for text in &run.config.deviations {
                match deviations.iter_mut().find(|(known, _)| known == text) {
                    Some((_, strategies)) => _ = strategies.insert(strategy.clone()),
                    None => deviations.push((text, BTreeSet::from([strategy.clone()]))),
                }
            }
        }
        let describe = |(text, strategies): (&str, BTreeSet<String>)| {
            if strategies.len() == self.groups.len() {
                return text.to_owned();
            }
            format!("{text} ({})", strategies.into_iter().collect::<Vec<_>>().join(", "))
        };
        deviations.into_iter().map(describe).collect()
    }
}

impl<'a> Group<'a> {
    fn add(&mut self, run: &'a Run) -> Result<(), Error> {
        let Config { strategy, seed, .. } = &run.config;
        if let Some(other) = self.runs.iter().find(|other| other.config.seed == *seed) {
            let (left, right) = (other.dir.clone(), run.dir.clone());
            return Err(Error::Duplicate { left, right, strategy: strategy.clone(), seed: *seed });
        }
        self.runs.push(run);
        Ok(())
    }

    /// The accuracy (0 to 1) after `task` of a class or of the mean over the learned ones, over the seeds that
    /// have come so far.
    pub fn accuracy(&self, task: usize, class: Option<usize>) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| run.accuracy(task, class)))
    }

    /// The accuracy of a class after each seed's last task.
    pub fn final_accuracy(&self, class: usize) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| run.accuracy(run.tasks.len(), Some(class))))
    }

    pub fn continual(&self, metric: &Continual) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| (metric.of)(&run.matrix()).ok()))
    }

    /// The mean training time of `task` in seconds.
    pub fn task_seconds(&self, task: usize) -> Option<f64> {
        Spread::of(self.runs.iter().filter_map(|run| run.history.seconds(task))).map(|spread| spread.mean)
    }

    /// The mean training time of a run in seconds.
    pub fn seconds(&self) -> Option<f64> {
        Spread::of(self.runs.iter().filter_map(|run| run.seconds())).map(|spread| spread.mean)
    }
}

/// Whether the tasks that both have finished taught them the same classes in the same order.
fn same_classes(left: &Run, right: &Run) -> Result<(), Difference> {
    left.tasks.iter().zip(&right.tasks).try_for_each(|(left, right)| {
        let [left, right] = [left, right].map(|task| task.scores.class_names.join(", "));
        Difference::check("classes", &left, &right)
    })
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        match values.len() {
            0 => None,
            1 => Some(Self { mean, deviation: None }),
            _ => Some(Self { mean, deviation: Some((squares / (count - 1.0)).sqrt()) }),
        }
    }

    pub fn percent(self) -> Self {
        Self { mean: 100.0 * self.mean, deviation: self.deviation.map(|deviation| 100.0 * deviation) }
    }

    /// `97.01`, or `97.01 ± 0.20` over several seeds.
    pub fn show(self) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.2} ± {deviation:.2}", self.mean),
            None => format!("{:.2}", self.mean),
        }
    }
}

impl Beside<'_> {
    /// The difference up to which two numbers are said to agree, in percentage points: the paper states no spread.
    pub const AGREEMENT: f64 = 1.0;

    /// Ours minus the paper's in percentage points.
    pub fn difference(&self) -> Option<f64> {
        self.paper.map(|paper| self.ours.mean - paper)
    }

    pub fn verdict(&self) -> String {
        match self.difference() {
            None => "not in the paper".into(),
            Some(difference) if difference.abs() <= Self::AGREEMENT => "agrees".into(),
            Some(difference) if difference > 0.0 => format!("{difference:.1} points above"),
            Some(difference) => format!("{:.1} points below", -difference),
        }
    }
}
