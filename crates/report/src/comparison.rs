//! Runs side by side: grouped by strategy, averaged over seeds or class orders, refused if their cards differ.

use crate::ledger::counted;
use crate::paper::{self, TASK_COUNTS, paper_accuracy};
use crate::verdict::Verdict;
use crate::{Error, Run};
use mergan_metrics::{PairedDifference, Spread, holm};
use mergan_record::metric::{ACCURACY, KEPT_BYTES, Metric};
use mergan_record::{Card, ClassScore, Config, Difference, comparable, show_order};
use std::collections::{BTreeMap, BTreeSet};

/// The runs of a report, checked to be comparable.
pub(crate) struct Comparison<'a> {
    /// One group per strategy, in order of appearance; never empty.
    pub groups: Vec<Group<'a>>,
    /// What means and spreads are over.
    pub over: Over,
}

/// The runs of one strategy, one per seed and class order.
pub(crate) struct Group<'a> {
    pub strategy: &'a str,
    /// Never empty. Those in the order of the comparison's first run come first.
    pub runs: Vec<&'a Run>,
    over: Over,
}

/// What the values of a mean and a spread differ in. Runs in one class order are not independent of each other, so where there
/// are several orders each of them counts once, by the mean over its seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Seeds,
    Orders,
}

/// What distinguishes one value of a mean from the others: a class order or a seed.
type Unit<'a> = (Option<&'a [usize]>, Option<u64>);

/// Our average accuracy after some tasks beside the paper's, in percent.
pub(crate) struct Beside<'a> {
    pub strategy: &'a str,
    pub tasks: usize,
    /// Our number; `None` if no run has got this far.
    pub ours: Option<Spread>,
    /// The mean size in bytes of what was kept; `None` if it was not recorded.
    pub kept: Option<f64>,
    pub paper: Option<f64>,
}

/// Every two strategies compared by one metric after the same number of tasks.
pub(crate) struct Pairs<'a> {
    pub metric: &'static Metric,
    pub tasks: usize,
    pub compared: Vec<Pair<'a>>,
    /// The pairs that share fewer than two seeds.
    pub left_out: Vec<(&'a str, &'a str)>,
}

/// Two strategies compared over the seeds that both have.
pub(crate) struct Pair<'a> {
    pub first: &'a str,
    pub second: &'a str,
    /// The differences of the metric as tables show it.
    pub paired: PairedDifference,
    /// The probability of such a difference, corrected for the number of pairs.
    pub corrected: f64,
}

impl<'a> Comparison<'a> {
    /// Groups the runs. Fails if two of them have the same strategy, seed and class order, if not every strategy learned in
    /// every order, or if they were not measured alike.
    pub fn of(runs: &'a [Run]) -> Result<Self, Error> {
        require_comparable(runs)?;
        let orders = require_same_orders(runs)?;
        for order in &orders {
            require_same_classes(runs.iter().filter(|run| run.config.order() == *order))?;
        }
        let over = if orders.len() > 1 { Over::Orders } else { Over::Seeds };
        let mut groups: Vec<Group> = Vec::new();
        for run in runs {
            match groups.iter_mut().find(|group| group.strategy == run.config.strategy) {
                Some(group) => group.add(run)?,
                None => groups.push(Group { strategy: &run.config.strategy, runs: vec![run], over }),
            }
        }
        for group in &mut groups {
            group.runs.sort_by_key(|run| run.config.order() != runs[0].config.order());
        }
        Ok(Self { groups, over })
    }

    /// Returns whether a run learned the classes in another order than the dataset's own.
    pub fn is_reordered(&self) -> bool {
        self.runs().any(|run| run.config.order().is_some())
    }

    /// Returns one run of each class order, the longest.
    pub fn orders(&self) -> Vec<&'a Run> {
        let mut longest: BTreeMap<Option<&[usize]>, &Run> = BTreeMap::new();
        for run in self.runs() {
            let known = longest.entry(run.config.order()).or_insert(run);
            if run.tasks.len() > known.tasks.len() {
                *known = run;
            }
        }
        longest.into_values().collect()
    }

    /// Returns the classes that the runs have learned, with their names: those of one order as it learned them, followed by
    /// those that only others have learned.
    pub fn classes(&self) -> Vec<(usize, &'a str)> {
        let mut classes: Vec<(usize, &str)> = Vec::new();
        for scores in self.orders().into_iter().map(|run| &run.last().scores) {
            for (&class, name) in scores.classes.iter().zip(&scores.class_names) {
                if classes.iter().all(|&(known, _)| known != class) {
                    classes.push((class, name));
                }
            }
        }
        classes
    }

    /// Returns one of the runs; dataset, preset and the way of scoring are the same in all of them.
    pub fn first(&self) -> &'a Run {
        self.groups[0].runs[0]
    }

    pub fn runs(&self) -> impl Iterator<Item = &'a Run> {
        self.groups.iter().flat_map(|group| group.runs.iter().copied())
    }

    /// Returns a sentence for each time that a run continued with other data than it was started with.
    pub fn data_changes(&self) -> Vec<String> {
        let of_run = |run: &'a Run| {
            let changes = run.history.data_changes().iter();
            changes.map(|change| format!("The data of {} were changed while it was trained: {change}.", run.name()))
        };
        self.runs().flat_map(of_run).collect()
    }

    /// Returns the number of finished tasks of the longest run.
    pub fn tasks(&self) -> usize {
        self.runs().map(|run| run.tasks.len()).max().unwrap_or(0)
    }

    /// Formats the seeds, and the number of class orders if there are several, such as `seed 0`, or `seeds 0, 1, in 3 class
    /// orders`.
    pub fn seeds(&self) -> String {
        let seeds: BTreeSet<_> = self.runs().map(|run| run.config.seed).collect();
        let listed = seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let noun = if seeds.len() == 1 { "seed" } else { "seeds" };
        match self.over {
            Over::Seeds => format!("{noun} {listed}"),
            Over::Orders => format!("{noun} {listed}, in {}", counted(self.orders().len(), "class order")),
        }
    }

    /// Lists our numbers beside the paper's: every number of the paper for this dataset, and ours after the last
    /// task.
    pub fn beside_paper(&self) -> Vec<Beside<'a>> {
        let dataset = &self.first().config.dataset;
        let known = paper::strategies().map(|name| -> &'a str { name });
        let others = known.filter(|name| self.groups.iter().all(|group| group.strategy != *name));
        let strategies: Vec<_> = self.groups.iter().map(|group| group.strategy).chain(others).collect();
        let rows = self.task_counts().flat_map(|tasks| {
            strategies.iter().map(move |&strategy| {
                let group = self.groups.iter().find(|group| group.strategy == strategy);
                let ours = group.and_then(|group| group.accuracy(tasks, None)).map(percent);
                let kept = group.and_then(|group| group.budget(tasks, KEPT_BYTES));
                Beside { strategy, tasks, ours, kept, paper: paper_accuracy(dataset, strategy, tasks) }
            })
        });
        rows.filter(|row| row.ours.is_some() || row.paper.is_some()).collect()
    }

    /// Returns the numbers of tasks after which scores are tabled: those after which the paper measured, and the last.
    pub fn task_counts(&self) -> impl Iterator<Item = usize> + use<> {
        TASK_COUNTS.into_iter().chain([self.tasks()]).collect::<BTreeSet<_>>().into_iter()
    }

    /// Formats the share of real test images that the scoring classifier recognises, in percent, if it was recorded.
    pub fn real_accuracy(&self) -> Option<String> {
        self.first().card().test_accuracy.map(|share| format!("{:.2}", 100.0 * share))
    }

    /// Compares every two strategies by a metric, after the last task that all runs have finished and in which it was
    /// measured for some two of them over at least two seeds. Returns `None` if there is none.
    pub fn pairs(&self, metric: &str) -> Option<Pairs<'a>> {
        let metric = Metric::of(metric)?;
        (1..=self.common_tasks())
            .rev()
            .map(|tasks| self.pairs_after(tasks, metric))
            .find(|pairs| !pairs.compared.is_empty())
    }

    fn pairs_after(&self, tasks: usize, metric: &'static Metric) -> Pairs<'a> {
        let (mut compared, mut left_out) = (Vec::new(), Vec::new());
        for (i, first) in self.groups.iter().enumerate() {
            for second in &self.groups[i + 1..] {
                match first.paired(second, tasks, metric) {
                    Some(paired) => compared.push((first.strategy, second.strategy, paired)),
                    None => left_out.push((first.strategy, second.strategy)),
                }
            }
        }
        let p_values: Vec<_> = compared.iter().map(|(.., paired)| paired.p_value()).collect();
        let pairs = compared.into_iter().zip(holm(&p_values));
        let compared = pairs.map(|((first, second, paired), corrected)| Pair { first, second, paired, corrected });
        Pairs { metric, tasks, compared: compared.collect(), left_out }
    }

    /// Returns the number of tasks that every run has finished.
    pub fn common_tasks(&self) -> usize {
        self.runs().map(|run| run.tasks.len()).min().unwrap_or(0)
    }

    /// Returns the warnings about scores over all classes, which are those shown in tables, without repetition.
    pub fn warnings(&self) -> BTreeSet<&'a str> {
        let scores = self.runs().flat_map(|run| &run.tasks).flat_map(|task| &task.scores.scores);
        scores.filter(|row| row.class.is_none()).filter_map(|row| row.score.warning.as_deref()).collect()
    }

    /// Returns whether some run has this metric as a mean over its classes, or over all at once.
    pub fn has(&self, metric: &str) -> bool {
        self.runs().any(|run| run.has(metric))
    }

    /// Returns whether some run has this metric after its last task.
    pub fn ends_with(&self, metric: &str) -> bool {
        self.runs().any(|run| run.last().scores.get(metric, None).is_some())
    }

    /// Returns whether some accuracy is based on fewer images than its card says, which its warning tells.
    pub fn lacks_images(&self) -> bool {
        let mut tasks = self.runs().flat_map(|run| &run.tasks);
        tasks.any(|task| task.scores.get(ACCURACY, None).is_some_and(|score| score.warning.is_some()))
    }

    /// Returns the changes that the runs make to the released code; if only some strategies make a change, it names
    /// them.
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
        let is_same = |other: &Run| (other.config.seed, other.config.order()) == (*seed, run.config.order());
        if let Some(other) = self.runs.iter().find(|other| is_same(other)) {
            let (left, right) = (other.dir.clone(), run.dir.clone());
            return Err(Error::Duplicate { left, right, strategy: strategy.clone(), seed: *seed });
        }
        self.runs.push(run);
        Ok(())
    }

    /// Returns the mean and the spread of a value of the runs that have it.
    fn spread(&self, value: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        self.spread_of(self.runs.iter().filter_map(|run| Some((*run, value(run)?))))
    }

    /// Returns the mean and the spread of values of runs.
    pub fn spread_of(&self, values: impl IntoIterator<Item = (&'a Run, f64)>) -> Option<Spread> {
        Spread::of(means(values.into_iter().map(|(run, value)| (self.over.unit(run), value))).into_values())
    }

    /// Returns the accuracy (0 to 1) after `task` of a class, or of the mean over the learned classes, over the seeds
    /// that have got this far.
    pub fn accuracy(&self, task: usize, class: Option<usize>) -> Option<Spread> {
        self.score(task, ACCURACY, class)
    }

    /// Compares two strategies by a metric after `tasks` tasks, as tables show it, over the seeds or the orders that both
    /// have. Returns `None` for fewer than two.
    fn paired(&self, other: &Self, tasks: usize, metric: &Metric) -> Option<PairedDifference> {
        let score = |run: &Run| Some(metric.scale.factor() * run.score(tasks, metric.key, None)?);
        let both = self.runs.iter().filter_map(|left| {
            let same =
                |right: &&&Run| (right.config.seed, right.config.order()) == (left.config.seed, left.config.order());
            Some((self.over.unit(left), (score(left)?, score(other.runs.iter().find(same)?)?)))
        });
        let (first, second): (Vec<_>, Vec<_>) = both.map(|(unit, (left, right))| ((unit, left), (unit, right))).unzip();
        PairedDifference::of(&means(first).into_values().zip(means(second).into_values()).collect::<Vec<_>>())
    }

    /// Returns a metric after `task` of a class, or of the mean over the classes, over the seeds that have got this
    /// far.
    pub fn score(&self, task: usize, metric: &str, class: Option<usize>) -> Option<Spread> {
        self.spread(|run| run.score(task, metric, class))
    }

    /// Returns a score of a class after each seed's last task.
    pub fn final_score(&self, metric: &str, class: usize) -> Option<Spread> {
        self.spread(|run| run.score(run.tasks.len(), metric, Some(class)))
    }

    /// Returns forgetting as it was after `tasks` tasks, over the seeds that have got this far.
    pub fn forgetting(&self, tasks: usize) -> Option<Spread> {
        self.spread(|run| (run.tasks.len() >= tasks).then(|| run.after(tasks).matrix().forgetting().ok())?)
    }

    /// Returns a continual metric after each seed's last task.
    pub fn continual(&self, metric: &str) -> Option<Spread> {
        self.spread(|run| run.continual(metric))
    }

    /// Returns the mean amount of what the scores after `tasks` tasks cost, over the runs that have got this far.
    pub fn budget(&self, tasks: usize, metric: &str) -> Option<f64> {
        let spread = self.spread(|run| (run.tasks.len() >= tasks).then(|| run.budget(tasks, metric))?);
        spread.map(|spread| spread.mean)
    }

    /// Returns the mean training time of `task` in seconds.
    pub fn task_seconds(&self, task: usize) -> Option<f64> {
        self.spread(|run| run.history.seconds(task)).map(|spread| spread.mean)
    }

    /// Returns the mean training time of a run in seconds.
    pub fn seconds(&self) -> Option<f64> {
        self.spread(Run::seconds).map(|spread| spread.mean)
    }
}

impl Pair<'_> {
    /// The probability, in percent, of being wrong about any pair that is accepted when two strategies are said to differ.
    pub const LEVEL: f64 = 5.0;

    /// Returns whether the two strategies differ by more than chance explains.
    pub fn is_told_apart(&self) -> bool {
        100.0 * self.corrected < Self::LEVEL
    }
}

impl Over {
    /// Returns what distinguishes the value of a run from others.
    fn unit(self, run: &Run) -> Unit<'_> {
        match self {
            Self::Seeds => (None, Some(run.config.seed)),
            Self::Orders => (run.config.order(), None),
        }
    }

    /// Returns the word for one of them.
    pub fn one(self) -> &'static str {
        match self {
            Self::Seeds => "seed",
            Self::Orders => "class order",
        }
    }

    /// Returns the word for several of them.
    pub fn many(self) -> &'static str {
        match self {
            Self::Seeds => "seeds",
            Self::Orders => "class orders",
        }
    }
}

/// Returns the mean of the values of each unit.
fn means<'a>(values: impl IntoIterator<Item = (Unit<'a>, f64)>) -> BTreeMap<Unit<'a>, f64> {
    let mut all: BTreeMap<Unit, Vec<f64>> = BTreeMap::new();
    for (unit, value) in values {
        all.entry(unit).or_default().push(value);
    }
    all.into_iter().filter_map(|(unit, values)| Some((unit, Spread::of(values)?.mean))).collect()
}

/// Returns the class orders of the runs. Refuses runs of which not every strategy learned in every order, because a mean over
/// other orders is a mean of something else.
fn require_same_orders(runs: &[Run]) -> Result<BTreeSet<Option<&[usize]>>, Error> {
    let of = |run: &Run| -> BTreeSet<_> {
        let alike = runs.iter().filter(|other| other.config.strategy == run.config.strategy);
        alike.map(|run| run.config.order()).collect()
    };
    let orders = of(&runs[0]);
    let show =
        |orders: &BTreeSet<Option<&[usize]>>| orders.iter().copied().map(show_order).collect::<Vec<_>>().join("; ");
    match runs.iter().find(|run| of(run) != orders) {
        None => Ok(orders),
        Some(run) => {
            let source = Difference { field: "order", left: show(&orders), right: show(&of(run)) };
            Err(Error::Incomparable { left: runs[0].dir.clone(), right: run.dir.clone(), source })
        }
    }
}

/// Refuses runs that did not learn the same classes in the same order in the tasks that they have finished.
pub(crate) fn require_same_classes<'r>(mut runs: impl Iterator<Item = &'r Run>) -> Result<(), Error> {
    let Some(first) = runs.next() else { return Ok(()) };
    runs.try_for_each(|run| {
        let refuse = |source| Error::Incomparable { left: first.dir.clone(), right: run.dir.clone(), source };
        same_classes(first, run).map_err(refuse)
    })
}

/// Refuses runs whose numbers were not measured alike: on different datasets, or with cards that differ in any metric that
/// both have.
pub(crate) fn require_comparable(runs: &[Run]) -> Result<(), Error> {
    let first = runs.first().ok_or(Error::NoRuns)?;
    let mut cards: BTreeMap<&str, (&Run, &Card)> = BTreeMap::new();
    for run in runs {
        let refuse =
            |left: &Run, source| Error::Incomparable { left: left.dir.clone(), right: run.dir.clone(), source };
        same_data(&first.config, &run.config).map_err(|source| refuse(first, source))?;
        for ClassScore { score, .. } in run.tasks.iter().flat_map(|task| &task.scores.scores) {
            let (known, card) = cards.entry(&score.metric).or_insert((run, &score.card));
            comparable(card, &score.card).map_err(|source| refuse(known, source))?;
        }
    }
    Ok(())
}

/// Checks that both learn from the same data. It compares fingerprints, because the data may lie in different places,
/// or else the names of the datasets.
fn same_data(left: &Config, right: &Config) -> Result<(), Difference> {
    match (&left.data, &right.data) {
        (Some(left), Some(right)) => Difference::check("data", left, right),
        _ => Difference::check("dataset", &left.dataset, &right.dataset),
    }
}

/// Checks that the tasks that both have finished taught them the same classes in the same order.
fn same_classes(left: &Run, right: &Run) -> Result<(), Difference> {
    left.tasks.iter().zip(&right.tasks).try_for_each(|(left, right)| {
        let [left, right] = [left, right].map(|task| task.scores.class_names.join(", "));
        Difference::check("classes", &left, &right)
    })
}

/// Converts shares to percent.
pub(crate) fn percent(share: Spread) -> Spread {
    share.times(100.0)
}

/// Formats JSON values of a metric in its unit and with its digits.
pub(crate) fn show(metric: &Metric, spread: Spread) -> String {
    format!("{:.*}", metric.digits, spread.times(metric.scale.factor()))
}

impl Beside<'_> {
    /// Returns ours minus the paper's in percentage points.
    pub fn difference(&self) -> Option<f64> {
        Some(self.ours?.mean - self.paper?)
    }

    pub fn verdict(&self) -> Verdict {
        Verdict::on(self.ours, self.paper)
    }
}
