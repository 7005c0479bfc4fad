//! `events.jsonl`: the events of a run, one JSON object per line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Error;

/// One event. Tasks and iterations are counted from 1. Seconds count training since the task began, without the time
/// that evaluation takes.
///
/// An event or field added by a later version does not keep this version from reading its logs. Every field added
/// here is optional, so that this version reads the logs of earlier ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run starts, or continues after it was stopped.
    Start(Start),
    /// The losses during training.
    Progress {
        /// The task being learned.
        task: usize,
        /// The iterations done in it.
        iteration: usize,
        /// The iterations it has in all.
        iterations: usize,
        /// The losses by name; the names depend on the strategy. JSON has neither NaN nor infinity, so such a loss is
        /// written as null and read as `None`.
        #[serde(default)]
        losses: BTreeMap<String, Option<f64>>,
        /// Seconds of training since the task began.
        seconds: f64,
    },
    /// A checkpoint is about to be written.
    Checkpoint {
        /// The number of tasks learned.
        tasks: usize,
        /// The iterations done in the next task.
        iterations: usize,
        /// Seconds of training since the task began.
        seconds: f64,
    },
    /// A task has been learned. A run that was stopped before it was scored may repeat this event; the last one
    /// counts.
    TaskEnd {
        /// The task.
        task: usize,
        /// Seconds of training.
        seconds: f64,
        /// The number of replayed images of each class in the task.
        #[serde(default, deserialize_with = "by_number")]
        replayed: BTreeMap<usize, u64>,
        /// The number of images in the critic's batches of the task, real and replayed ones together; `None` in logs of
        /// versions that did not record it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        critic_images: Option<u64>,
    },
    /// During training, the generator is scored on a few images of each past class. A resumed run repeats this event
    /// with the same numbers.
    Gap {
        /// The task being learned.
        task: usize,
        /// The iterations done in it.
        iteration: usize,
        /// The mean over the classes, from 0 to 1.
        accuracy: f64,
        /// The accuracy of each class, from 0 to 1.
        #[serde(deserialize_with = "by_number")]
        classes: BTreeMap<usize, f64>,
        /// The number of images of each class.
        samples: usize,
        /// The SHA-256 of the classifier's weights, in lower-case hexadecimal.
        scorer: String,
        /// Seconds that the scoring took.
        seconds: f64,
    },
    /// The generator is scored after a task has been learned.
    Evaluation {
        /// The task.
        task: usize,
        /// The mean over the classes, from 0 to 1.
        accuracy: f64,
        /// Seconds that the evaluation took.
        seconds: f64,
        /// What is kept for the next task; `None` in logs of versions that did not record it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<Kept>,
    },
    /// The run continues with different data, because the user allowed it.
    DataChanged {
        /// The differences in the data, such as `3 added, 1 removed`.
        difference: String,
        /// The SHA-256 of the new data's fingerprint, in lower-case hexadecimal.
        data: String,
    },
    /// An event of a later version.
    #[serde(other)]
    Unknown,
}

/// What is kept from the end of a task to the next one, without the critic, which all strategies keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The parameters of generators, and numbers that belong to them one by one.
    pub generator_parameters: u64,
    /// The parameters of classifiers.
    pub classifier_parameters: u64,
    /// The number of real images.
    pub images: u64,
    /// The size of all of it in bytes: four of a parameter, and one of a channel of a pixel.
    pub bytes: u64,
}

/// The circumstances in which a run starts or continues.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The command line.
    pub command: String,
    /// The version of the program.
    pub version: String,
    /// The microkernel, which affects the last bits of the result.
    pub microkernel: String,
    /// The device and its precision, which affect more of those bits; `None` in logs of versions that had one device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The number of threads, which affects only the time.
    pub threads: usize,
    /// The time in UTC, in RFC 3339 format; `None` in logs of versions that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The machine, if it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// The commit of the code, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The processor's name for itself.
    pub cpu: String,
    /// The number of cores that the process may use.
    pub cores: usize,
    /// The size of its memory in bytes.
    pub memory: u64,
}

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

impl Event {
    /// Formats the event as a line of the log; `time` is the time in UTC, in RFC 3339 format.
    pub fn to_line(&self, time: &str) -> String {
        serde_json::to_string(&Line { time, event: self }).expect("events are numbers and text") + "\n"
    }
}

/// Reads an `events.jsonl`.
///
/// A run that was killed may leave an incomplete last line, which is ignored, as are blank lines. A resumed run
/// repeats iterations, and the later line counts.
///
/// # Errors
/// [`Error::Read`], or [`Error::Event`], which names the line that is not an event.
pub fn read(path: &Path) -> Result<Vec<Event>, Error> {
    read_as(path)
}

/// Does the same as [`read`] for events of another type, such as a JSON object, which also holds the times and what a
/// later version has added.
///
/// # Errors
/// The errors of [`read`].
pub fn read_as<E: DeserializeOwned>(path: &Path) -> Result<Vec<E>, Error> {
    // The log is read as bytes because a line may have been cut inside a character.
    parse(&fs::read(path).map_err(Error::reading(path))?, path, 0)
}

/// Reads the events of a log, or of its part after `before` lines; `path` names it in errors.
pub(crate) fn parse<E: DeserializeOwned>(log: &[u8], path: &Path, before: usize) -> Result<Vec<E>, Error> {
    let mut events = Vec::new();
    for (index, line) in log.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            Err(_) if line.trim_ascii().is_empty() || !line.ends_with(b"\n") => {}
            Err(source) => return Err(Error::Event { path: path.into(), line: before + index + 1, source }),
        }
    }
    Ok(events)
}

/// Reads a map whose keys are class numbers. JSON keys are text, and serde does not convert them to numbers inside an
/// internally tagged enum.
fn by_number<'de, D: Deserializer<'de>, V: Deserialize<'de>>(deserializer: D) -> Result<BTreeMap<usize, V>, D::Error> {
    let by_text = BTreeMap::<String, V>::deserialize(deserializer)?;
    let number = |key: String| key.parse().map_err(|_| D::Error::custom(format!("`{key}` is no number of a class")));
    by_text.into_iter().map(|(key, value)| Ok((number(key)?, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-27T00:20:36Z";

    fn progress(iteration: usize, wasserstein: f64) -> Event {
        let losses = BTreeMap::from([("penalty".into(), Some(0.5)), ("wasserstein".into(), Some(wasserstein))]);
        Event::Progress { task: 1, iteration, iterations: 200, losses, seconds: 1.5 }
    }

    fn read_text(text: impl AsRef<[u8]>) -> Result<Vec<Event>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    /// Returns each event with its line, which every version writes identically.
    fn lines() -> [(Event, &'static str); 6] {
        let start = Start {
            command: "mergan train --run 'é'".into(),
            version: "0.1.0".into(),
            microkernel: "avx2".into(),
            device: Some("cpu".into()),
            threads: 2,
            ..Start::default()
        };
        [
            (
                Event::Start(start),
                r#"{"event":"start","command":"mergan train --run 'é'","version":"0.1.0","microkernel":"avx2","device":"cpu","threads":2}"#,
            ),
            (
                progress(100, -3.0),
                r#"{"event":"progress","task":1,"iteration":100,"iterations":200,"losses":{"penalty":0.5,"wasserstein":-3.0},"seconds":1.5}"#,
            ),
            (
                Event::Checkpoint { tasks: 1, iterations: 0, seconds: 0.0 },
                r#"{"event":"checkpoint","tasks":1,"iterations":0,"seconds":0.0}"#,
            ),
            (
                Event::TaskEnd {
                    task: 3,
                    seconds: 2.5,
                    replayed: BTreeMap::from([(0, 640), (10, 320)]),
                    critic_images: Some(7200),
                },
                r#"{"event":"task_end","task":3,"seconds":2.5,"replayed":{"0":640,"10":320},"critic_images":7200}"#,
            ),
            (
                Event::Gap {
                    task: 2,
                    iteration: 1,
                    accuracy: 0.75,
                    classes: BTreeMap::from([(4, 0.5), (7, 1.0)]),
                    samples: 64,
                    scorer: "5e".into(),
                    seconds: 0.1,
                },
                r#"{"event":"gap","task":2,"iteration":1,"accuracy":0.75,"classes":{"4":0.5,"7":1.0},"samples":64,"scorer":"5e","seconds":0.1}"#,
            ),
            (
                Event::Evaluation {
                    task: 2,
                    accuracy: 0.9,
                    seconds: 1.0,
                    kept: Some(Kept { generator_parameters: 7, classifier_parameters: 2, images: 1, bytes: 1060 }),
                },
                r#"{"event":"evaluation","task":2,"accuracy":0.9,"seconds":1.0,"kept":{"generator_parameters":7,"classifier_parameters":2,"images":1,"bytes":1060}}"#,
            ),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let events = lines().map(|(event, line)| {
            let at_a_time = line.replacen('{', &format!("{{\"time\":\"{TIME}\","), 1);
            assert_eq!(event.to_line(TIME), format!("{at_a_time}\n"));
            event
        });
        assert_eq!(read_text(lines().map(|(_, line)| format!("{line}\n")).concat()).unwrap(), events);
    }

    #[test]
    fn logs_of_other_versions_are_read() {
        let later = lines().map(|(_, line)| line.replacen("{", r#"{"time":{"at":"2031-01-02"},"#, 1) + "\n").concat();
        assert_eq!(read_text(later).unwrap(), lines().map(|(event, _)| event));
        let unknown = "{\"event\":\"scored_again\",\"by\":[1]}\n";
        assert_eq!(read_text(unknown).unwrap(), [Event::Unknown]);
        let earlier = "{\"event\":\"start\",\"command\":\"mergan\",\"version\":\"0\",\"microkernel\":\"avx2\",\"threads\":1}\n\
                       {\"event\":\"task_end\",\"task\":1,\"seconds\":1.0}\n\
                       {\"event\":\"evaluation\",\"task\":1,\"accuracy\":1.0,\"seconds\":1.0}\n";
        let [Event::Start(start), Event::TaskEnd { replayed, critic_images, .. }, Event::Evaluation { kept, .. }] =
            &read_text(earlier).unwrap()[..]
        else {
            panic!("other events")
        };
        assert_eq!((start.device.as_ref(), replayed.len(), critic_images, kept), (None, 0, &None, &None));
    }

    #[test]
    fn a_loss_that_is_no_number_is_null() {
        let lost = progress(100, f64::NAN);
        assert!(lost.to_line(TIME).contains("\"wasserstein\":null"), "{}", lost.to_line(TIME));
        let [Event::Progress { losses, .. }] = &read_text(lost.to_line(TIME)).unwrap()[..] else {
            panic!("another event")
        };
        assert_eq!((losses["penalty"], losses["wasserstein"]), (Some(0.5), None));
    }

    #[test]
    fn blank_lines_and_a_cut_last_line_are_no_errors() {
        let start = lines()[0].0.to_line(TIME);
        let inside_a_letter = start.find('é').unwrap() + 1;
        for cut in [10, inside_a_letter] {
            let whole = start.clone() + "\n \n" + &progress(100, 1.0).to_line(TIME);
            let events = read_text([whole.as_bytes(), &start.as_bytes()[..cut]].concat()).unwrap();
            assert_eq!(events, [lines()[0].0.clone(), progress(100, 1.0)]);
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        let good = progress(100, 1.0).to_line(TIME);
        let bad_key = "{\"event\":\"task_end\",\"task\":1,\"seconds\":1.0,\"replayed\":{\"zero\":1}}\n";
        for bad in ["{\"event\":\"progress\"}\n", "{}\n", "loss\n", bad_key] {
            let error = read_text([&good, bad, &good].concat()).unwrap_err();
            assert!(error.to_string().contains("events.jsonl line 2 is no event: remove the line"), "{error}");
        }
        assert!(matches!(read(Path::new("absent.jsonl")), Err(Error::Read { .. })));
    }
}
