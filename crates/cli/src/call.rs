//! How the program was called. The process's own arguments do not tell, because they may be those of Python.

use std::ffi::OsString;
use std::process::Command;
use std::sync::OnceLock;

use mergan_record::quoted;

static REMEMBERED: OnceLock<Call> = OnceLock::new();

/// A call of the program.
#[derive(Clone, Debug)]
pub struct Call {
    /// The words that start the program: its path, or an interpreter and what it runs.
    pub program: Vec<OsString>,
    /// The words after these.
    pub words: Vec<OsString>,
}

impl Call {
    /// Returns the name of the command and its arguments.
    pub(crate) fn command(&self) -> impl Iterator<Item = OsString> {
        [OsString::from("mergan")].into_iter().chain(self.words.iter().cloned())
    }

    /// Makes this the call of the process.
    pub(crate) fn remember(self) {
        REMEMBERED.get_or_init(|| self);
    }
}

/// Returns the command line of this process, quoted for a shell.
pub fn command_line() -> String {
    current().command().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// Returns a call of this program in another process, still without arguments.
pub fn this_program() -> Command {
    let [program, words @ ..] = current().program.as_slice() else { unreachable!("a call begins with a program") };
    let mut command = Command::new(program);
    command.args(words);
    command
}

fn current() -> &'static Call {
    REMEMBERED.get().expect("a command runs only after its call is remembered")
}
