//! Groups of pixels that see the same taps.
//!
//! Pixels of the interior, of each border, and of each residue class of a stride have a tap pattern in common, so their
//! rows can share tiles. Finding the groups costs as much as a small map itself, and a training step asks for the same
//! few again and again: they are kept for the life of the process.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use super::super::geometry::Geometry;

/// A tap that a group's pixels see, and the source pixel it reads, counted from the pixel's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tap {
    pub(super) shift: usize,
    pub(super) index: usize,
}

/// A pixel and the source pixel that its group's shifts start from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixel {
    pub(super) index: usize,
    pub(super) origin: usize,
}

/// Pixels with one tap pattern.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) pixels: Vec<Pixel>,
    pub(super) taps: Vec<Tap>,
}

/// The groups of output pixels, which read input pixels, at most `most` pixels each.
pub(super) fn conv2d_taps(g: &Geometry, most: usize) -> Arc<Vec<Group>> {
    static PLANS: Cache<(Geometry, usize), Vec<Group>> = Cache::new();
    PLANS.get((*g, most), || {
        groups(g.output_pixels(), most, |o| g.taps().filter_map(|tap| Some((g.input_pixel(o, tap)?, tap))).collect())
    })
}

/// The groups of input pixels, which read output pixels, at most `most` pixels each.
pub(super) fn input_grad_taps(g: &Geometry, most: usize) -> Arc<Vec<Group>> {
    static PLANS: Cache<(Geometry, usize), Vec<Group>> = Cache::new();
    PLANS.get((*g, most), || {
        groups(g.input_pixels(), most, |i| g.taps().filter_map(|tap| Some((g.output_pixel(i, tap)?, tap))).collect())
    })
}

/// Groups of at most `most` pixels; `sources` lists the (source pixel, tap) pairs of a pixel.
fn groups(pixels: usize, most: usize, sources: impl Fn(usize) -> Vec<(usize, usize)>) -> Vec<Group> {
    let mut patterns = BTreeMap::<Vec<Tap>, Vec<Pixel>>::new();
    for index in 0..pixels {
        let sources = sources(index);
        let origin = sources.iter().map(|source| source.0).min().unwrap_or(0);
        let taps = sources.iter().map(|&(pixel, index)| Tap { shift: pixel - origin, index }).collect();
        patterns.entry(taps).or_default().push(Pixel { index, origin });
    }
    let mut groups = Vec::new();
    for (taps, pixels) in patterns {
        let parts = pixels.len().div_ceil(most);
        groups.extend((0..parts).map(|part| Group {
            pixels: pixels[pixels.len() * part / parts..pixels.len() * (part + 1) / parts].to_vec(),
            taps: taps.clone(),
        }));
    }
    // Neighbours read the same source pixels: keep them close in time.
    groups.sort_by_key(|group| group.pixels[0].index);
    groups
}

/// Plans by what they depend on. A process meets few geometries, so none is ever forgotten.
pub(super) struct Cache<K, P>(Mutex<Option<HashMap<K, Arc<P>>>>);

impl<K: Eq + Hash, P> Cache<K, P> {
    pub(super) const fn new() -> Self {
        Cache(Mutex::new(None))
    }

    /// The plan of `key`, made by `plan` when it is first asked for.
    pub(super) fn get(&self, key: K, plan: impl FnOnce() -> P) -> Arc<P> {
        // A panic elsewhere cannot leave the map half changed, so a poisoned lock is still good.
        let mut plans = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        plans.get_or_insert_default().entry(key).or_insert_with(|| Arc::new(plan())).clone()
    }
}
