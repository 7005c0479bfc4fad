//! What is said while work goes on: a bar on a terminal, plain lines elsewhere, results on the standard output.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How much is said besides results and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing.
    Quiet,
    /// What a person waits for.
    Normal,
    /// Also what a person might wonder about.
    Verbose,
}

/// Where the command speaks: progress and notes on the standard error, results on the standard output.
pub struct Console {
    verbosity: Verbosity,
    /// Whether progress is a bar; else it is plain lines.
    draws: bool,
    bars: MultiProgress,
}

/// Plain lines of progress come at this distance.
const LINES: Duration = Duration::from_secs(5);
/// And the texts beside a bar at this one: what they say may have to be asked of a GPU that is at work.
const TEXTS: Duration = Duration::from_millis(200);

impl Console {
    /// A console that says this much.
    pub fn new(verbosity: Verbosity) -> Self {
        let draws = verbosity > Verbosity::Quiet && io::stderr().is_terminal();
        let target = if draws { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Console { verbosity, draws, bars: MultiProgress::with_draw_target(target) }
    }

    /// Prints a result. A reader that has gone away, such as `head`, is no error.
    pub fn print(&self, text: impl Display) -> Result<()> {
        let printed = writeln!(io::stdout(), "{text}");
        match printed {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            printed => printed.context("writing to the standard output"),
        }
    }

    /// Says what a person waits for.
    pub fn note(&self, text: impl Display) {
        self.say(Verbosity::Normal, text);
    }

    /// Says what a person might wonder about.
    pub fn detail(&self, text: impl Display) {
        self.say(Verbosity::Verbose, text);
    }

    /// Says what went wrong without stopping the work.
    pub fn warn(&self, text: impl Display) {
        self.say(Verbosity::Normal, format!("warning: {text}"));
    }

    /// Says why the work stopped, with the causes that the message does not quote already.
    pub fn error(&self, error: &Error) {
        let mut message = format!("error: {error}");
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !message.contains(&cause) {
                message += &format!("\n  because: {cause}");
            }
        }
        self.say(Verbosity::Quiet, message);
    }

    /// Shows from now on how far `what` is, out of `total` steps.
    pub fn progress(&self, what: impl Into<String>, total: u64) -> Progress<'_> {
        let what = what.into();
        let bar = self.bars.add(ProgressBar::new(total));
        if self.draws {
            let style = ProgressStyle::with_template("{prefix} {bar:24} {percent:>3}% {wide_msg}");
            bar.set_style(style.expect("the template is well-formed"));
            bar.set_prefix(what.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
        } else {
            self.note(&what);
        }
        Progress { console: self, bar, what, said: Instant::now() }
    }

    fn say(&self, least: Verbosity, text: impl Display) {
        if self.verbosity < least {
            return;
        }
        // A standard error that nobody reads is no reason to stop.
        let _ = self.bars.suspend(|| writeln!(io::stderr(), "{text}"));
    }
}

/// How far a piece of work is. The bar goes away with it.
pub struct Progress<'c> {
    console: &'c Console,
    bar: ProgressBar,
    what: String,
    /// When the last text came.
    said: Instant,
}

impl Progress<'_> {
    /// So many steps are done; the text says more.
    pub fn update(&mut self, done: u64, text: impl FnOnce() -> String) {
        self.bar.set_position(done);
        if self.said.elapsed() < if self.console.draws { TEXTS } else { LINES } {
            return;
        }
        self.said = Instant::now();
        if self.console.draws {
            self.bar.set_message(text());
        } else {
            self.console.note(format!("{}: {}", self.what, text()));
        }
    }

    /// So many more steps are done.
    pub fn advance(&mut self, steps: u64) {
        let done = self.bar.position() + steps;
        let total = self.bar.length().unwrap_or(done);
        self.bar.set_position(done);
        self.update(done, || format!("{done} of {total}"));
    }

    /// The number of steps, now that it is known.
    pub fn set_total(&mut self, total: u64) {
        self.bar.set_length(total);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
