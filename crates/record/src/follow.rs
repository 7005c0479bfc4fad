//! Follows an `events.jsonl` while it grows.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::events::parse;
use crate::{Error, Event};

/// A log that is read while a run writes it. Nothing is read twice, and an incomplete last line is left for later.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// The bytes and lines that were read.
    bytes: u64,
    lines: usize,
}

/// What a log has gained.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// Whether the log was replaced by a shorter one, so that nothing that was read before counts any more.
    pub anew: bool,
    /// The new events.
    pub events: Vec<Event>,
}

impl Follower {
    /// Follows the log at `path` from its beginning.
    pub fn new(path: &Path) -> Self {
        Follower { path: path.into(), bytes: 0, lines: 0 }
    }

    /// Reads the events that were added since the last call.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Event`], which names the line that is not an event.
    pub fn news(&mut self) -> Result<News, Error> {
        let reading = Error::reading(&self.path);
        let read = |from: &mut u64| {
            let mut file = File::open(&self.path)?;
            let anew = file.metadata()?.len() < *from;
            if anew {
                *from = 0;
            }
            file.seek(SeekFrom::Start(*from))?;
            let mut log = Vec::new();
            file.read_to_end(&mut log)?;
            Ok((anew, log))
        };
        let (anew, mut log) = read(&mut self.bytes).map_err(reading)?;
        if anew {
            self.lines = 0;
        }
        log.truncate(log.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
        let events = parse(&log, &self.path, self.lines)?;
        self.bytes += log.len() as u64;
        self.lines += log.iter().filter(|&&byte| byte == b'\n').count();
        Ok(News { anew, events })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    fn line(task: usize) -> String {
        Event::Evaluation { task, accuracy: 0.5, seconds: 1.0, kept: None }.to_line("2026-11-27T00:20:36Z")
    }

    fn tasks(news: &News) -> Vec<usize> {
        let task = |event: &Event| match event {
            Event::Evaluation { task, .. } => *task,
            _ => 0,
        };
        news.events.iter().map(task).collect()
    }

    #[test]
    fn every_event_is_read_once_and_only_when_its_line_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut follower = Follower::new(&path);
        assert!(matches!(follower.news(), Err(Error::Read { .. })));
        fs::write(&path, line(1)).unwrap();
        assert_eq!(tasks(&follower.news().unwrap()), [1]);
        assert_eq!(follower.news().unwrap(), News::default());

        let append =
            |text: &str| OpenOptions::new().append(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
        let second = line(2);
        let (half, rest) = second.split_at(20);
        append(half);
        assert_eq!(follower.news().unwrap(), News::default());
        append(&format!("{rest}{}", line(3)));
        assert_eq!(tasks(&follower.news().unwrap()), [2, 3]);

        append("nonsense\n");
        assert!(follower.news().unwrap_err().to_string().contains("line 4"));
        // A run that begins anew in the same place.
        fs::write(&path, line(7)).unwrap();
        let news = follower.news().unwrap();
        assert!(news.anew);
        assert_eq!(tasks(&news), [7]);
    }
}
