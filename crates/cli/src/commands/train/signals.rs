//! Ctrl-C and SIGTERM: the training ends at its next safe point; a second signal ends the process at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The signals that were caught.
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
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let code = Signal(signal as u8).code().into();
            // In this order: the first signal finds `again` unset and sets it, the second one finds it set.
            flag::register_conditional_shutdown(signal, code, Arc::clone(&again))
                .and_then(|_| flag::register(signal, Arc::clone(&again)))
                .and_then(|_| flag::register_usize(signal, Arc::clone(&last), signal as usize))
                .context("catching signals")?;
        }
        Ok(Signals { last })
    }

    /// The signal that asks for an end, if one came.
    pub fn caught(&self) -> Option<Signal> {
        match self.last.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(Signal(signal as u8)),
        }
    }
}

impl Signal {
    /// What a shell reports of a process that the signal ended.
    pub fn exit_code(self) -> ExitCode {
        self.code().into()
    }

    fn code(self) -> u8 {
        128 + self.0
    }
}
