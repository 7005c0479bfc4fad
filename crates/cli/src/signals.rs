//! Ctrl-C and SIGTERM: the training ends at its next safe point.
//!
//! A second signal changes nothing, because some senders (`timeout` of coreutils) send each one twice. A user who
//! cannot wait may kill the process; the run can be resumed from its last checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::ExitCode;

/// Records the signals that were caught.
pub struct Signals {
    last: Arc<AtomicUsize>,
}

/// A caught signal, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(u8);

impl Signals {
    /// Catches signals from now on.
    pub fn catch() -> Result<Self> {
        let last = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            flag::register_usize(signal, Arc::clone(&last), signal as usize).context("catching signals")?;
        }
        Ok(Signals { last })
    }

    /// Returns the signal that asks for an end, if one arrived.
    pub fn caught(&self) -> Option<Signal> {
        match self.last.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(Signal(signal as u8)),
        }
    }
}

impl Signal {
    /// Returns the exit code that a shell reports for a process ended by the signal.
    pub fn exit_code(self) -> ExitCode {
        ExitCode(128 + self.0)
    }
}
