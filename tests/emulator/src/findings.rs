//! What the checkers found in a launch.

use std::collections::HashSet;
use std::fmt;

use crate::shadow::Site;

/// At most so many findings of a launch are kept; more say nothing new.
const MOST: usize = 8;

/// Something that a kernel must not do.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The kernel.
    pub kernel: String,
    /// What it did, in words.
    pub what: String,
    /// Where: a file and a line.
    pub place: String,
    /// The block that did it.
    pub block: [u32; 3],
    /// The thread of the block.
    pub thread: [u32; 3],
    /// For a race, where the other access is.
    pub other: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { kernel, what, place, block, thread, other } = self;
        write!(f, "{kernel}: {what} at {place}, block {block:?} thread {thread:?}")?;
        match other {
            Some(other) => write!(f, "; the other access is at {other}"),
            None => Ok(()),
        }
    }
}

/// The findings of a launch, each place once.
#[derive(Default)]
pub struct Findings {
    found: Vec<Finding>,
    places: HashSet<(String, String, Option<String>)>,
    sites: HashSet<(String, Site, Option<Site>)>,
}

impl Findings {
    /// Whether there are as many as are kept.
    pub fn full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// Whether this was not found before between these sites. Their places take long to look up.
    pub fn is_new(&mut self, what: &str, site: Site, other: Option<Site>) -> bool {
        !self.full() && self.sites.insert((what.into(), site, other))
    }

    /// Adds a finding, unless the same was found at the same place before.
    pub fn add(&mut self, finding: Finding) {
        let place = (finding.what.clone(), finding.place.clone(), finding.other.clone());
        if !self.full() && self.places.insert(place) {
            self.found.push(finding);
        }
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Finding> {
        self.found
    }
}
