//! A process that answers requests line by line.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A running process. It ends when this is dropped, because its input is then closed.
pub struct Server {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    greeting: String,
}

impl Server {
    /// Starts the process and waits for its first line.
    pub fn start(command: &mut Command) -> Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.with_context(|| format!("starting {command:?}"))?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("the process has no output")?);
        let mut server = Server { process, input, output, greeting: String::new() };
        server.greeting = server.read()?;
        Ok(server)
    }

    /// Returns its first line.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Sends a line and returns the numbers of the answer.
    pub fn ask(&mut self, line: &str) -> Result<Vec<f64>> {
        let input = self.input.as_mut().context("the process has no input")?;
        writeln!(input, "{line}").context("asking the process")?;
        let answer = self.read()?;
        answer.split(' ').map(|number| number.parse().with_context(|| format!("reading `{number}`"))).collect()
    }

    /// Returns the most memory that it has used since [`Server::forget_peak_memory`], in MiB.
    pub fn peak_memory(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(peak.with_context(|| format!("{path} has no VmHWM"))?.trim().parse::<f64>()? / 1024.0)
    }

    /// Resets the peak memory, so that earlier use does not count.
    pub fn forget_peak_memory(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.process.id());
        fs::write(&path, "5").with_context(|| format!("writing {path}"))
    }

    fn read(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("reading the answer")?;
        ensure!(!line.is_empty(), "the process ended without an answer");
        Ok(line.trim().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.input = None;
        // The process ends by itself, and its exit status no longer matters.
        let _ = self.process.wait();
    }
}
