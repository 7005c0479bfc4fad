//! The findings of the checkers in a launch.

use std::collections::HashSet;
use std::fmt;

use crate::shadow::Site;

/// The most findings kept for a launch; more would add nothing new.
const MOST: usize = 8;

/// Something that a kernel must not do.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The kernel.
    pub kernel: String,
    /// The erroneous action, in words.
    pub what: String,
    /// The place, a file and a line.
    pub place: String,
    /// The block that did it.
    pub block: [u32; 3],
    /// The thread of the block.
    pub thread: [u32; 3],
    /// The place of the other access, if this is a race.
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

/// The findings of a launch, one for each place.
#[derive(Default)]
pub struct Findings {
    found: Vec<Finding>,
    places: HashSet<(String, String, Option<String>)>,
    sites: HashSet<(String, Site, Option<Site>)>,
}

impl Findings {
    /// Returns whether the limit of findings has been reached.
    pub fn full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// Returns whether this is the first such finding between these sites. It saves looking up their places, which
    /// takes long.
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

    /// Returns all findings.
    pub fn into_vec(self) -> Vec<Finding> {
        self.found
    }
}
