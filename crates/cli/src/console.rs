//! Output of the command: a progress bar on a terminal, plain lines elsewhere, and results on the standard output.

use std::collections::HashSet;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use console::{StyledObject, Term, style};
use indicatif::{FormattedDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mergan_datasets::printable;
use mergan_record::TaskScores;
use mergan_record::metric::ACCURACY;
use mergan_runs::{Happening, Iteration, Observer};

/// How much is printed besides results and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing.
    Quiet,
    /// What the user waits for.
    Normal,
    /// Details that may interest the user as well.
    Verbose,
}

/// Prints progress and notes on the standard error, and results on the standard output.
pub struct Console {
    verbosity: Verbosity,
    /// Whether progress is shown as a bar rather than as plain lines.
    draws: bool,
    bars: MultiProgress,
    /// The work in progress on runs, the innermost last.
    work: Mutex<Vec<Progress>>,
    /// The notes that are not said again.
    said: Mutex<HashSet<String>>,
}

/// The interval between plain progress lines.
const LINES: Duration = Duration::from_secs(5);
/// The interval between updates of the text beside a bar. Making the text may require waiting for a busy GPU.
const TEXTS: Duration = Duration::from_millis(200);

impl Console {
    /// Creates a console of this verbosity.
    pub fn new(verbosity: Verbosity) -> Self {
        let draws = verbosity > Verbosity::Quiet && io::stderr().is_terminal();
        let target = if draws { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Console {
            verbosity,
            draws,
            bars: MultiProgress::with_draw_target(target),
            work: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// Prints a result. It is no error if the reader, such as `head`, has gone away.
    pub fn print(&self, text: impl Display) -> Result<()> {
        let printed = writeln!(io::stdout(), "{}", safe(text));
        match printed {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            printed => printed.context("writing to the standard output"),
        }
    }

    /// Prints what the user waits for.
    pub fn note(&self, text: impl Display) {
        self.say(Verbosity::Normal, None, text);
    }

    /// Prints a note unless it was printed before: a folder may be listed several times.
    pub fn note_once(&self, text: &str) {
        if self.is_new(text) {
            self.note(text);
        }
    }

    /// Prints a warning, unless the same one was printed before: a dataset may be opened more than once.
    pub fn warn_once(&self, text: &str) {
        if self.is_new(text) {
            self.warn(text);
        }
    }

    /// Prints a detail that may interest the user.
    pub fn detail(&self, text: impl Display) {
        self.say(Verbosity::Verbose, None, text);
    }

    /// Prints a problem that does not stop the work.
    pub fn warn(&self, text: impl Display) {
        self.say(Verbosity::Normal, Some(style("warning:").yellow()), text);
    }

    /// Prints why the work stopped.
    pub fn error(&self, error: &Error) {
        self.say(Verbosity::Quiet, Some(style("error:").red()), explain(error.as_ref()));
    }

    /// Starts to show the progress of `what`, which has `total` steps.
    pub fn progress(&self, what: impl Into<String>, total: u64) -> Progress {
        let what = safe(what.into());
        let bar = self.bars.add(ProgressBar::new(total));
        if self.draws {
            let style = ProgressStyle::with_template("{prefix} {bar:24.cyan/dim} {percent:>3}% {msg}");
            bar.set_style(style.expect("the template is well-formed"));
            bar.set_prefix(what.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
        } else {
            self.note(&what);
        }
        Progress { bar, what, said: Instant::now() }
    }

    /// Reports that `done` steps of a piece of work are done; `text` gives more information.
    pub fn update(&self, progress: &mut Progress, done: u64, text: impl FnOnce() -> String) {
        progress.bar.set_position(done);
        if progress.said.elapsed() < if self.draws { TEXTS } else { LINES } {
            return;
        }
        progress.said = Instant::now();
        if self.draws {
            progress.bar.set_message(safe(text()));
        } else {
            self.note(format!("{}: {}", progress.what, text()));
        }
    }

    /// Returns whether this was not asked before.
    fn is_new(&self, text: &str) -> bool {
        self.said.lock().expect("nothing panics while a note is kept").insert(text.into())
    }

    fn work(&self) -> MutexGuard<'_, Vec<Progress>> {
        self.work.lock().expect("nothing panics while bars are drawn")
    }

    /// Prints text after a word that is emphasised, unless the standard error is no terminal or `NO_COLOR` is set.
    fn say(&self, least: Verbosity, mark: Option<StyledObject<&str>>, text: impl Display) {
        if self.verbosity < least {
            return;
        }
        let mark = mark.map_or(String::new(), |mark| format!("{} ", mark.bold().for_stderr()));
        // Failing to write to the standard error is no reason to stop.
        let _ = self.bars.suspend(|| writeln!(io::stderr(), "{mark}{}", safe(text)));
    }
}

/// Returns text whose lines a terminal shows and does not obey, whatever names of files are in it.
fn safe(text: impl Display) -> String {
    let line = |line: &str| line.split('\t').map(printable).collect::<Vec<_>>().join("\t");
    text.to_string().split('\n').map(line).collect::<Vec<_>>().join("\n")
}

impl Observer for Console {
    fn happened(&self, happening: &Happening) {
        let innermost = |done, total, text: &dyn Fn() -> String| {
            if let Some(progress) = self.work().last_mut() {
                progress.set_total(total);
                self.update(progress, done, text);
            }
        };
        match *happening {
            Happening::Begins(work) => self.work().push(self.progress(work.to_string(), 0)),
            Happening::Progress { done, total, detail, .. } => innermost(done, total, detail),
            Happening::Iteration(iteration) => innermost(iteration.done, iteration.total, &|| match self.draws {
                true => draw(iteration, usize::from(Term::stderr().size().1)),
                false => describe(iteration),
            }),
            Happening::Ends(_) => drop(self.work().pop()),
            Happening::Resumed { checkpoint } => self.detail(format!("going on from {}", checkpoint.display())),
            Happening::Saved { tasks, iterations } => {
                self.detail(format!("saved a checkpoint: {tasks} tasks and {iterations} iterations done"));
            }
            Happening::Learned { task, tasks, took } => {
                self.note(format!("task {task} of {tasks} learned in {}", FormattedDuration(took)));
            }
            Happening::Scored(scores) => self.note(accuracies(scores)),
            Happening::Finished { tasks, run } => {
                let learned = if tasks == 1 { "the task is".into() } else { format!("all {tasks} tasks are") };
                self.note(format!("{learned} learned; the run is in {}", run.display()));
            }
            Happening::ScorerTrained { test_accuracy: Some(share) } => {
                self.note(format!("it recognises {:.2} % of the test images", 100.0 * share));
            }
            Happening::ScorerTrained { test_accuracy: None } => {
                self.warn("there are no test images: how well it recognises real ones is not known");
            }
            Happening::Warning(text) => self.warn(text),
            Happening::Detail(text) => self.detail(text),
            _ => {}
        }
    }
}

/// Formats a line, as in `task 2/5, iteration 40/1200, 00:03:12 left, critic -3.14`.
fn describe(at: &Iteration) -> String {
    let left = format!("{} left", FormattedDuration(at.left));
    position(at).into_iter().chain([left]).chain(losses(at)).collect::<Vec<_>>().join(", ")
}

/// Formats what stands beside and below a bar: the time that is left, then the position and the losses, in lines of at
/// most `columns` characters.
fn draw(at: &Iteration, columns: usize) -> String {
    let mut text = format!("{} left", FormattedDuration(at.left));
    // The first entry begins a line.
    let mut free = 0;
    for entry in position(at).into_iter().chain(losses(at)) {
        let length = entry.chars().count() + 2;
        if length > free {
            text += "\n  ";
            free = columns.saturating_sub(2);
        } else {
            text += "  ";
        }
        text += &entry;
        free = free.saturating_sub(length);
    }
    text
}

fn position(Iteration { task, tasks, iteration, iterations, .. }: &Iteration) -> [String; 2] {
    [format!("task {task}/{tasks}"), format!("iteration {iteration}/{iterations}")]
}

fn losses(at: &Iteration) -> Vec<String> {
    at.losses.read().iter().map(|(name, value)| format!("{name} {}", short(*value))).collect()
}

/// Formats a number with about three significant digits, as in `-10.8`.
pub fn short(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn accuracies(scores: &TaskScores) -> String {
    let percent = |class| 100.0 * scores.get(ACCURACY, class).map_or(f64::NAN, |score| score.value);
    let classes = scores.classes.iter().zip(&scores.class_names);
    let classes: Vec<_> = classes.map(|(&class, name)| format!("{name}: {:.1}", percent(Some(class)))).collect();
    format!("accuracy after task {}: {:.2} % ({})", scores.task, percent(None), classes.join(", "))
}

/// Returns what an error says, with the causes that it does not already quote.
pub fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut message = error.to_string();
    for cause in anyhow::Chain::new(error).skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message += &format!("\n  because: {cause}");
        }
    }
    message
}

/// The progress of a piece of work. The bar disappears when this is dropped.
pub struct Progress {
    bar: ProgressBar,
    what: String,
    /// When the text was last shown.
    said: Instant,
}

impl Progress {
    /// Sets the number of steps once it is known.
    pub fn set_total(&mut self, total: u64) {
        self.bar.set_length(total);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
