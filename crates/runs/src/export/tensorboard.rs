//! TensorBoard's event files: the numbers of `events.jsonl` and the sample grids, for users who follow runs there.
//!
//! A file is a sequence of records, each a protocol buffer `Event` between checksums (TensorFlow's `record_writer.h`).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use mergan_record::{Event, Position};
use mergan_strategies::Config;

use crate::dir::make_folder;
use crate::error::{At, Error};
use crate::export::protobuf::Message;

/// An event file, open for appending.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    config: Config,
}

impl TensorBoard {
    /// Creates a new file in `folder` for a run at `position`. TensorBoard discards the later steps that it has
    /// already read.
    pub fn create(folder: &Path, config: &Config, position: Position) -> Result<Self, Error> {
        make_folder(folder)?;
        let name = format!("events.out.tfevents.{:.6}.{}", seconds(), std::process::id());
        let path = folder.join(name);
        let file = File::create_new(&path).at("writing", &path)?;
        let mut log = TensorBoard { path, file, config: config.clone() };
        log.record(Message::new().double(1, seconds()).bytes(3, "brain.Event:2"))?;
        let start = Message::new().int(1, 1);
        let step = 1 + log.step(position.tasks + 1, position.iterations);
        log.record(Message::new().double(1, seconds()).int(2, step).message(7, &start))?;
        Ok(log)
    }

    /// Adds the numbers of an event.
    pub fn write(&mut self, event: &Event) -> Result<(), Error> {
        let (task, iteration, scalars) = match event {
            Event::Progress { task, iteration, losses, .. } => {
                let losses = losses.iter().map(|(name, value)| (format!("losses/{name}"), value.unwrap_or(f64::NAN)));
                (*task, *iteration, losses.collect())
            }
            Event::Gap { task, iteration, accuracy, classes, .. } => {
                let classes = classes.iter().map(|(class, value)| (format!("past_accuracy/class_{class}"), *value));
                (*task, *iteration, classes.chain([("past_accuracy/mean".into(), *accuracy)]).collect())
            }
            Event::Evaluation { task, accuracy, .. } => (task + 1, 0, vec![("accuracy".to_string(), *accuracy)]),
            Event::Start(_)
            | Event::DataChanged { .. }
            | Event::Checkpoint { .. }
            | Event::TaskEnd { .. }
            | Event::Unknown => return Ok(()),
        };
        let value = |(tag, value): &(String, f64)| Message::new().bytes(1, tag).float(2, *value as f32);
        self.summary(self.step(task, iteration), &scalars.iter().map(value).collect::<Vec<_>>())
    }

    /// Adds the sample grid of a learned task, a PNG.
    pub fn samples(&mut self, task: usize, path: &Path) -> Result<(), Error> {
        let png = fs::read(path).at("reading", path)?;
        let (width, height) = image::image_dimensions(path)
            .map_err(|error| Error::file_for(path, format!("reading {}", path.display()), error))?;
        let image = Message::new().int(1, height.into()).int(2, width.into()).bytes(4, png);
        self.summary(self.step(task + 1, 0), &[Message::new().bytes(1, "samples").message(4, &image)])
    }

    /// Returns the iteration counted through all tasks.
    fn step(&self, task: usize, iteration: usize) -> i64 {
        let before: usize = (0..task - 1).map(|task| self.config.iterations(task)).sum();
        (before + iteration) as i64
    }

    fn summary(&mut self, step: i64, values: &[Message]) -> Result<(), Error> {
        let summary = Message::new().messages(1, values);
        self.record(Message::new().double(1, seconds()).int(2, step).message(5, &summary))
    }

    fn record(&mut self, event: Message) -> Result<(), Error> {
        let data = event.into_bytes();
        let length = (data.len() as u64).to_le_bytes();
        let record = [&length[..], &checksum(&length), &data, &checksum(&data)].concat();
        self.file.write_all(&record).at("writing", &self.path)
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Returns the CRC-32C of the bytes, masked as the format requires, which avoids trouble with checksums of data that
/// contain checksums.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let crc = crc32c(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// Tests the examples of RFC 3720, appendix B.4.
    #[test]
    fn checksums_are_castagnolis() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&std::array::from_fn::<u8, 32, _>(|i| i as u8)), 0x46dd_794e);
    }
}
