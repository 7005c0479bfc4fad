//! Work that takes long: it runs on the library's threads without the GIL, while the thread that asked for it watches
//! for Ctrl-C and passes events to a Python function.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use mergan_record::Event;
use mergan_runs::{Happening, Observer, Work};
use mergan_tensor::cuda;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::errors::to_python;

/// The longest time until Ctrl-C is noticed.
const WATCH: Duration = Duration::from_millis(50);

/// What the work knows of the thread that waits for it.
pub struct Watch<'w> {
    interrupted: &'w AtomicBool,
    events: SyncSender<Value>,
}

/// The payload with which interrupted work unwinds.
struct Interrupted;

impl Watch<'_> {
    /// Returns whether the work was interrupted.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Ends work that was interrupted, at a place where there is nothing to save: unwinds to [`compute`].
    pub fn leave_if_interrupted(&self) {
        if self.is_interrupted() {
            resume_unwind(Box::new(Interrupted));
        }
    }

    fn tell(&self, event: Value) {
        // The other end takes events as long as the work goes on.
        let _ = self.events.send(event);
    }
}

impl Observer for Watch<'_> {
    fn happened(&self, happening: &Happening) {
        match *happening {
            Happening::Begins(work) => self.tell(json!({ "event": "begins", "work": work.to_string() })),
            Happening::Ends(work) => self.tell(json!({ "event": "ends", "work": work.to_string() })),
            Happening::Logged(event) => self.tell(value(event)),
            Happening::Warning(text) => self.tell(json!({ "event": "warning", "text": text })),
            // Training stops by itself, with a checkpoint; other work leaves nothing behind that would be missed.
            Happening::Progress { work, .. } if !matches!(work, Work::Training(_)) => self.leave_if_interrupted(),
            Happening::Measuring { .. } => self.leave_if_interrupted(),
            _ => {}
        }
    }
}

fn value(event: &Event) -> Value {
    serde_json::to_value(event).expect("events are numbers and text")
}

/// Does the work and returns its result. `callback` is called with the events, in this thread.
///
/// # Errors
/// The error of the work, or else what interrupted it: `KeyboardInterrupt` or an exception of `callback`.
pub fn compute<T: Send>(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
) -> PyResult<T> {
    // The threads are this call's own, because a process that Python forks has none of its parent's.
    let pool = mergan_cli::start_threads(None).map_err(to_python)?;
    let interrupted = AtomicBool::new(false);
    // The work waits until an event is taken, so an exception of the function takes effect before the event after it.
    let (events, arriving) = sync_channel(0);
    let arriving = Mutex::new(arriving);
    let (outcome, interruption) = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let watch = Watch { interrupted: &interrupted, events };
            pool.install(|| cuda::catch(|| work(&watch)))
        });
        let interruption = attend(py, callback, &arriving, &interrupted);
        (py.detach(|| worker.join()), interruption)
    });
    let result = match (outcome, interruption) {
        (Err(payload), Some(interruption)) if payload.is::<Interrupted>() => return Err(interruption),
        (Err(payload), _) => resume_unwind(payload),
        (Ok(Ok(Ok(_))), Some(interruption)) => return Err(interruption),
        (Ok(result), _) => result,
    };
    result.map_err(anyhow::Error::from).flatten().map_err(to_python)
}

/// Passes events on until the work ends. The first exception interrupts the work and is returned.
fn attend(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    arriving: &Mutex<Receiver<Value>>,
    interrupted: &AtomicBool,
) -> Option<PyErr> {
    let next = || arriving.lock().expect("only this thread receives").recv_timeout(WATCH);
    let mut interruption: Option<PyErr> = None;
    loop {
        let passed = match (py.detach(next), callback) {
            (Err(RecvTimeoutError::Disconnected), _) => return interruption,
            (Ok(event), Some(callback)) if interruption.is_none() => {
                let event = pythonize::pythonize(py, &event).map_err(PyErr::from);
                event.and_then(|event| callback.call1((event,))).map(drop)
            }
            _ => Ok(()),
        };
        if let Err(error) = passed.and_then(|()| py.check_signals()) {
            interrupted.store(true, Ordering::Relaxed);
            interruption.get_or_insert(error);
        }
    }
}
