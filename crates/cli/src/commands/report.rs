//! `mergan report`: compares runs with each other and with the paper.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use mergan_record::{Config, Layout};
use mergan_report::{Error, Run, load_run, results, table, write_growing_report, write_report};

use crate::args::ReportArguments;
use crate::checked::load_runs;
use crate::console::Console;
use crate::exit::ExitCode;
use crate::signals::{Noted, Signal};

/// The interval at which growing runs are looked at, and a browser loads their page again.
const INTERVAL: Duration = Duration::from_secs(5);
/// The interval at which signals are looked for.
const SIGNALS: Duration = Duration::from_millis(100);

/// Runs `mergan report`. The exit code says whether a report of growing runs was interrupted (128 plus the signal's
/// number).
pub fn run(arguments: &ReportArguments, console: &Console) -> Result<ExitCode> {
    let page = &arguments.out;
    let interrupted = if arguments.watch { watch(arguments, console)? } else { None };
    let runs = load_runs(&arguments.runs, console)?;
    make_folder_of(page)?;
    write_report(&runs, page)?;
    if arguments.json {
        console.print(serde_json::to_string_pretty(&results(&runs)).expect("rows of numbers and text are JSON"))?;
    } else {
        console.print(table(&runs)?)?;
    }
    for path in [page.with_file_name("results.json"), page.with_file_name("ledger.md"), page.clone()] {
        console.note(format!("wrote {}", path.display()));
    }
    Ok(interrupted.map_or(ExitCode::SUCCESS, Signal::exit_code))
}

/// Writes the report anew whenever a run has learned more, until all runs are finished or a signal arrives, which is
/// returned. Runs without a finished task are left out until they have one.
fn watch(ReportArguments { runs, out, .. }: &ReportArguments, console: &Console) -> Result<Option<Signal>> {
    let signals = Noted::catch()?;
    let tasks = runs.iter().map(|run| Ok(Config::read(&Layout::new(run).config())?.tasks));
    let tasks = tasks.collect::<Result<Vec<_>>>()?;
    let (mut said, mut written) = (None, None);
    loop {
        let finished: Vec<_> = runs.iter().zip(&tasks).map(|(run, &tasks)| finished(run, tasks)).collect();
        if finished == tasks {
            return Ok(None);
        }
        let logged: Vec<_> = runs.iter().map(|run| logged(run)).collect();
        if written.as_ref() != Some(&logged) {
            let grown = runs.iter().map(|run| load_grown(run)).filter_map(Result::transpose);
            let grown = grown.collect::<Result<Vec<_>, _>>()?;
            if !grown.is_empty() {
                make_folder_of(out)?;
                write_growing_report(&grown, out, INTERVAL)?;
            }
            written = Some(logged);
            let done = finished.iter().sum::<usize>();
            if said != Some(done) {
                console.note(match grown.is_empty() {
                    true => "waiting for the first task to be learned and scored".into(),
                    false => format!("wrote {}: {done} of {} tasks", out.display(), tasks.iter().sum::<usize>()),
                });
                said = Some(done);
            }
        }
        for _ in 0..INTERVAL.as_millis() / SIGNALS.as_millis() {
            if let Some(signal) = signals.caught() {
                return Ok(Some(signal));
            }
            thread::sleep(SIGNALS);
        }
    }
}

/// Makes the folder of a page, once there is something to be written.
fn make_folder_of(page: &Path) -> Result<()> {
    let folder = page.parent().unwrap_or(page);
    std::fs::create_dir_all(folder).with_context(|| format!("making the directory {}", folder.display()))
}

/// Returns the number of finished tasks of a run that has so many in all.
fn finished(run: &Path, tasks: usize) -> usize {
    (1..=tasks).take_while(|&task| Layout::new(run).scores(task).exists()).count()
}

/// Returns the size of a run's log in bytes.
fn logged(run: &Path) -> u64 {
    Layout::new(run).events().metadata().map_or(0, |file| file.len())
}

/// Reads a run; `None` if it has no finished task yet.
fn load_grown(run: &Path) -> Result<Option<Run>, Error> {
    match load_run(run) {
        Err(Error::NoTask { .. }) => Ok(None),
        run => run.map(Some),
    }
}
