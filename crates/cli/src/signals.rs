//! Ctrl-C, SIGTERM and SIGHUP: the training ends as soon as nothing is lost by it.
//!
//! A process may end at any moment, because files never appear incomplete under their final names. All that can be
//! lost is the training since the last checkpoint. So a signal waits for the end of the iteration, where a checkpoint
//! is written; if there is nothing to save, as while a task is scored, it ends the process at once. So does a second
//! signal, unless it follows the first so closely that it must come from the same sender: `timeout` of coreutils sends
//! each one twice.

use std::env;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mergan_runs::{Happening, Observer};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as Arriving};
use signal_hook::{flag, low_level};

use crate::console::Console;
use crate::exit::ExitCode;

/// The time within which signals count as one.
const ONE: Duration = Duration::from_millis(500);
/// The variable that tells a process that the other end of its standard input is held by its parent.
const LIFELINE: &str = "MERGAN_LIFELINE";

/// The signals that were caught, and whether they have to wait for a checkpoint.
pub struct Signals<'c> {
    console: &'c Console,
    go_on: String,
    caught: AtomicUsize,
    /// Whether iterations have been done since the last checkpoint.
    unsaved: AtomicBool,
}

/// The last signal that arrived while there was nothing to lose, but something to tidy up.
pub struct Noted(Arc<AtomicUsize>);

/// A caught signal, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(u8);

/// Ends the watch when it is dropped, also while a panic unwinds.
struct Closing(Handle);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<'c> Signals<'c> {
    /// Catches signals while `work` is done. `go_on` is what the user does after an interruption, such as "go on with
    /// `mergan train --resume runs/ra`".
    pub fn during<T>(console: &'c Console, go_on: String, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let mut arriving = Arriving::new(those_that_end()).context("catching signals")?;
        let end = Closing(arriving.handle());
        let signals = Signals { console, go_on, caught: AtomicUsize::new(0), unsaved: AtomicBool::new(false) };
        thread::scope(|scope| {
            scope.spawn(|| signals.watch(&mut arriving));
            let _end = end;
            work(&signals)
        })
    }

    /// Returns the signal that asks for an end, if one arrived.
    pub fn caught(&self) -> Option<Signal> {
        Signal::of(&self.caught)
    }

    /// Says that the work was interrupted after all of it was saved, and how to go on.
    pub fn say(&self) {
        self.console.note(format!("interrupted, nothing is lost; {}", self.go_on));
    }

    fn watch(&self, arriving: &mut Arriving) {
        let mut first: Option<Instant> = None;
        for signal in arriving.forever() {
            self.caught.store(signal as usize, Ordering::SeqCst);
            // Exiting unwinds and closes nothing, because other threads are still at work.
            if !self.unsaved.load(Ordering::SeqCst) {
                self.say();
                low_level::exit(128 + signal);
            }
            if first.is_some_and(|first| first.elapsed() > ONE) {
                let lost = "ended at once, what was learned since the last checkpoint is lost";
                self.console.note(format!("{lost}; {}", self.go_on));
                low_level::exit(128 + signal);
            }
            if first.is_none() {
                self.console.note("stopping after this iteration; a second signal ends the process at once");
                first = Some(Instant::now());
            }
        }
    }
}

impl Observer for Signals<'_> {
    fn happened(&self, happening: &Happening) {
        match happening {
            Happening::Iteration(_) => self.unsaved.store(true, Ordering::SeqCst),
            Happening::Saved { .. } => self.unsaved.store(false, Ordering::SeqCst),
            _ => {}
        }
        self.console.happened(happening);
    }
}

impl Noted {
    /// Notes signals from now on, instead of ending the process.
    pub fn catch() -> Result<Self> {
        let caught = Arc::new(AtomicUsize::new(0));
        for signal in those_that_end() {
            flag::register_usize(signal, Arc::clone(&caught), signal as usize).context("catching signals")?;
        }
        Ok(Noted(caught))
    }

    /// Returns the signal that asks for an end, if one arrived.
    pub fn caught(&self) -> Option<Signal> {
        Signal::of(&self.0)
    }
}

impl Signal {
    fn of(caught: &AtomicUsize) -> Option<Self> {
        match caught.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(Signal(signal as u8)),
        }
    }

    /// Returns the exit code that a shell reports for a process ended by the signal.
    pub fn exit_code(self) -> ExitCode {
        ExitCode(128 + self.0)
    }
}

/// Returns the signals by which a user or the system asks for the end of a process.
fn those_that_end() -> impl Iterator<Item = i32> {
    [SIGINT, SIGTERM].into_iter().chain(hangup())
}

/// Returns SIGHUP, unless this process was started to outlive its terminal, as `nohup` does by ignoring the signal.
/// Where that cannot be found out, the signal keeps its own effect: it ends the process at once, or is ignored.
fn hangup() -> Option<i32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    (ignored & (1 << (SIGHUP - 1)) == 0).then_some(SIGHUP)
}

/// Makes a child end when this process ends, however it ends. The child, which must call [`end_with_parent`], reads
/// its standard input, which this process holds open and the system closes.
pub fn tie(child: &mut Command) {
    child.env(LIFELINE, "stdin").stdin(Stdio::piped());
}

/// Returns whether this process is the child of one that has [tied](tie) it.
pub fn is_tied() -> bool {
    env::var_os(LIFELINE).is_some()
}

/// Ends this process like SIGTERM when the parent that has [tied](tie) it ends.
pub fn end_with_parent() {
    if !is_tied() {
        return;
    }
    thread::spawn(|| {
        // The parent writes nothing, so this returns when its end is closed.
        let _ = io::stdin().read(&mut [0]);
        let _ = low_level::raise(SIGTERM);
    });
}
