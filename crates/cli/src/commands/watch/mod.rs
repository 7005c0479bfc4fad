//! `mergan watch`: shows runs on a terminal while they are trained.

mod pixels;
mod run;
mod view;

use std::io::{self, IsTerminal};
use std::mem;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::args::WatchArguments;
use crate::exit::ExitCode;
use crate::signals::Noted;
use pixels::Colours;
use run::Watched;

/// The interval at which the runs' files are read.
const READING: Duration = Duration::from_millis(500);
/// The longest wait for a key, after which a signal is noticed.
const KEYS: Duration = Duration::from_millis(100);

/// Runs `mergan watch`, which ends with a key, with a signal, or with the terminal.
pub fn run(arguments: &WatchArguments) -> Result<ExitCode> {
    let mut runs = arguments.runs.iter().map(|run| Watched::open(run)).collect::<Result<Vec<_>>>()?;
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!("watch draws on a terminal, and this is none; `mergan report --watch` keeps a page up to date instead");
    }
    let signals = Noted::catch()?;
    let mut terminal = ratatui::try_init().context("preparing the terminal")?;
    let end = show(&mut terminal, &mut runs, &signals);
    if let Ok(None) = end {
        // A terminal that was closed cannot be restored, and there is nobody to complain to.
        mem::forget(terminal);
        return Ok(ExitCode::SUCCESS);
    }
    drop(terminal);
    ratatui::try_restore().context("restoring the terminal")?;
    Ok(end?.unwrap_or(ExitCode::SUCCESS))
}

/// Draws until a key or a signal ends it; `None` if the terminal was closed.
fn show(terminal: &mut DefaultTerminal, runs: &mut [Watched], signals: &Noted) -> Result<Option<ExitCode>> {
    let colours = Colours::of_terminal();
    // The first run that is shown, and the last that may be.
    let (mut first, mut last) = (0, 0);
    let mut read = Instant::now();
    loop {
        let drawn = terminal.draw(|frame| {
            last = runs.len() - view::fits(frame.area().width, runs.len());
            first = first.min(last);
            view::draw(frame, runs, first, colours);
        });
        if drawn.is_err() {
            return Ok(None);
        }
        // Nothing changes until the next reading, unless there is a key.
        let mut is_drawn = true;
        while is_drawn {
            if let Some(signal) = signals.caught() {
                return Ok(Some(signal.exit_code()));
            }
            if read.elapsed() >= READING {
                runs.iter_mut().try_for_each(Watched::update)?;
                read = Instant::now();
                is_drawn = false;
            }
            let Ok(keys) = keys() else { return Ok(None) };
            for key in keys {
                match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(Some(ExitCode::SUCCESS)),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        return Ok(Some(ExitCode::SUCCESS));
                    }
                    KeyCode::Left => first = first.saturating_sub(1),
                    KeyCode::Right => first = (first + 1).min(last),
                    _ => continue,
                }
                is_drawn = false;
            }
        }
    }
}

/// Waits a moment for keys, and returns those that were pressed. It is an error if the terminal was closed.
fn keys() -> io::Result<Vec<KeyEvent>> {
    wait_for_keys()?;
    let mut keys = Vec::new();
    while event::poll(Duration::ZERO)? {
        if let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
        {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Waits here rather than in crossterm, which reads a closed terminal for ever.
#[cfg(unix)]
fn wait_for_keys() -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let stdin = io::stdin();
    let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
    let timeout = Timespec { tv_sec: 0, tv_nsec: KEYS.subsec_nanos().into() };
    match poll(&mut waiting, Some(&timeout)) {
        // A signal or another size of the terminal.
        Err(rustix::io::Errno::INTR) => Ok(()),
        polled => {
            polled?;
            let is_closed = waiting[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
            if is_closed { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        }
    }
}

#[cfg(not(unix))]
fn wait_for_keys() -> io::Result<()> {
    event::poll(KEYS).map(drop)
}
