//! Exit codes as numbers, which the standard library's cannot be turned into.

use std::process::{self, Termination};

/// What a command tells the process that called it: 0 if all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// The command did what it was asked to do.
    pub const SUCCESS: Self = ExitCode(0);
    /// The command failed.
    pub const FAILURE: Self = ExitCode(1);
}

impl Termination for ExitCode {
    fn report(self) -> process::ExitCode {
        self.0.into()
    }
}
