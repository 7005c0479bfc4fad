//! Describes how two fingerprints differ.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::{Class, Fingerprint, Split};

/// At most this many names are listed; the rest are left out.
const MOST: usize = 3;

impl Fingerprint {
    /// Describes how `now` differs from `self`, as the end of a sentence: `3 added, 1 removed, 2 altered` with the
    /// names of such files, `other images of 3 and 5 in train`, or just `other images` if no more can be said.
    /// Returns `None` if the two are equal.
    pub fn difference(&self, now: &Self) -> Option<String> {
        if self == now {
            return None;
        }
        let difference = (self.other_classes(now))
            .or_else(|| self.splits.iter().zip(&now.splits).find_map(|(then, now)| then.other_making(now)))
            .or_else(|| self.exchanged(now))
            .or_else(|| self.other_files(now))
            .or_else(|| self.other_images(now));
        Some(difference.unwrap_or_else(|| "other images".into()))
    }

    fn other_classes(&self, now: &Self) -> Option<String> {
        let [then, now] = [self, now].map(|print| &print.class_names);
        if then == now {
            return None;
        }
        let [old, new] = [then, now].map(|names| names.iter().map(String::as_str).collect::<BTreeSet<_>>());
        let kinds = [("added", &new - &old), ("removed", &old - &new)];
        let kinds = kinds.map(|(kind, names)| (kind, names.into_iter().map(String::from).collect()));
        Some(match listed(&kinds) {
            names if names.is_empty() => "the classes in another order".into(),
            names => format!("other classes ({names})"),
        })
    }

    /// Describes the classes that have changed, if each has the images that another one had.
    fn exchanged(&self, now: &Self) -> Option<String> {
        let labels = || self.labels().union(&now.labels()).copied().collect::<Vec<_>>();
        let former = |label: usize| {
            let images = now.class(label);
            let had_them = |other: &usize| images.iter().any(Option::is_some) && self.class(*other) == images;
            let other = labels().into_iter().find(had_them)?;
            Some(format!("{} has the images of {}", self.name(label), self.name(other)))
        };
        let changed = labels().into_iter().filter(|&label| self.class(label) != now.class(label));
        let exchanged = changed.map(former).collect::<Option<Vec<_>>>()?;
        (!exchanged.is_empty()).then(|| format!("exchanged classes: {}", several(&exchanged)))
    }

    fn other_files(&self, now: &Self) -> Option<String> {
        type Files = BTreeMap<String, String>;
        let lacking = |these: &Files, those: &Files| -> Vec<String> {
            these.keys().filter(|name| !those.contains_key(*name)).cloned().collect()
        };
        let altered = now.files.iter().filter(|(name, sum)| self.files.get(*name).is_some_and(|then| then != *sum));
        let kinds = [
            ("added", lacking(&now.files, &self.files)),
            ("removed", lacking(&self.files, &now.files)),
            ("altered", altered.map(|(name, _)| name.clone()).collect()),
        ];
        let counts = kinds.iter().filter(|(_, names)| !names.is_empty());
        let counts: Vec<_> = counts.map(|(kind, names)| format!("{} {kind}", names.len())).collect();
        (!counts.is_empty()).then(|| format!("{} ({})", counts.join(", "), listed(&kinds)))
    }

    /// Lists the classes of each split whose images differ. Returns `None` if all of them do.
    fn other_images(&self, now: &Self) -> Option<String> {
        let splits = || self.splits.iter().zip(&now.splits);
        let is_other = |(then, now): (&Class, &Class)| then.count == now.count && then != now;
        let all_other = splits().all(|(then, now)| {
            then.classes.keys().eq(now.classes.keys()) && then.classes.values().zip(now.classes.values()).all(is_other)
        });
        let parts: Vec<_> = splits().flat_map(|(then, now)| self.other_images_of(then, now)).collect();
        (!all_other && !parts.is_empty()).then(|| parts.join("; "))
    }

    fn other_images_of(&self, then: &Split, now: &Split) -> Vec<String> {
        let place = if then.name.is_empty() { String::new() } else { format!(" in {}", then.name) };
        let labels: BTreeSet<usize> = then.classes.keys().chain(now.classes.keys()).copied().collect();
        let count = |split: &Split, label| split.classes.get(&label).map_or(0, |class| class.count);
        let mut parts = Vec::new();
        for (ordering, change) in [(Ordering::Greater, "more"), (Ordering::Less, "fewer")] {
            let changed = labels.iter().filter(|&&label| count(now, label).cmp(&count(then, label)) == ordering);
            let changed: Vec<_> = changed
                .map(|&label| match count(now, label).abs_diff(count(then, label)) {
                    1 => format!("1 image of {}", self.name(label)),
                    images => format!("{images} images of {}", self.name(label)),
                })
                .collect();
            if !changed.is_empty() {
                parts.push(format!("{} {change}{place}", several(&changed)));
            }
        }
        let other = labels.iter().filter(|&&label| count(now, label) == count(then, label));
        let other = other.filter(|label| now.classes.get(label) != then.classes.get(label));
        let other: Vec<_> = other.map(|&label| self.name(label)).collect();
        if !other.is_empty() {
            parts.push(format!("other images of {}{place}", several(&other)));
        }
        if parts.is_empty() && then.order != now.order {
            parts.push(format!("the same images in another order{place}"));
        }
        parts
    }

    /// Returns the labels that have images.
    fn labels(&self) -> BTreeSet<usize> {
        self.splits.iter().flat_map(|split| split.classes.keys().copied()).collect()
    }

    /// Returns the images of a class in each split.
    fn class(&self, label: usize) -> Vec<Option<&Class>> {
        self.splits.iter().map(|split| split.classes.get(&label)).collect()
    }

    fn name(&self, label: usize) -> String {
        self.class_names.get(label).cloned().unwrap_or_else(|| label.to_string())
    }
}

impl Split {
    /// Describes a different image shape, or a different way of making images from files.
    fn other_making(&self, now: &Self) -> Option<String> {
        let shape = |[channels, height, width]: [usize; 3]| format!("{channels} x {height} x {width}");
        if self.shape != now.shape {
            return Some(format!("images of {}, not of {}", shape(now.shape), shape(self.shape)));
        }
        match (self.fit, now.fit) {
            (Some(then), Some(now)) if then != now => Some(format!("pictures made square by {now}, not by {then}")),
            (Some(_), None) => Some("images without files of their own, which cannot be compared with pictures".into()),
            (None, Some(_)) => Some("pictures, which cannot be compared with images without files of their own".into()),
            _ => None,
        }
    }
}

/// Formats `added: a, b, c, ...; removed: d`, leaving out kinds without names.
fn listed(kinds: &[(&str, Vec<String>)]) -> String {
    let kinds = kinds.iter().filter(|(_, names)| !names.is_empty());
    let kinds: Vec<_> = kinds.map(|(kind, names)| format!("{kind}: {}", several(names))).collect();
    kinds.join("; ")
}

/// Formats `a`, `a and b`, `a, b and c`, or `a, b, c, ...`.
fn several(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] if names.len() <= MOST => format!("{} and {last}", first.join(", ")),
        _ => format!("{}, ...", names[..MOST].join(", ")),
    }
}
