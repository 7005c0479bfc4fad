//! Groups of pixels that see the same taps.
//!
//! The pixels of the interior, of each border, and of each residue class of a stride have a tap pattern in common, so
//! their rows can share tiles. Finding the groups costs as much as computing a small map, and a training step needs the
//! same few groups again and again, so they are kept for the life of the process.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use super::super::geometry::Geometry;

/// A tap that a group's pixels see, and the source pixel that it reads, relative to the pixel's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tap {
    pub(super) shift: usize,
    pub(super) index: usize,
}

/// A pixel and its origin, the source pixel to which its group's shifts are relative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixel {
    pub(super) index: usize,
    pub(super) origin: usize,
}

/// Pixels with the same tap pattern.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) pixels: Vec<Pixel>,
    pub(super) taps: Vec<Tap>,
}

/// Returns groups of at most `most` output pixels, which read input pixels.
pub(super) fn conv2d_taps(g: &Geometry, most: usize) -> Arc<Vec<Group>> {
    static PLANS: Cache<(Geometry, usize), Vec<Group>> = Cache::new();
    PLANS.get((*g, most), || {
        groups(g.output_pixels(), most, |o| g.taps().filter_map(|tap| Some((g.input_pixel(o, tap)?, tap))).collect())
    })
}

/// Returns groups of at most `most` input pixels, which read output pixels.
pub(super) fn input_grad_taps(g: &Geometry, most: usize) -> Arc<Vec<Group>> {
    static PLANS: Cache<(Geometry, usize), Vec<Group>> = Cache::new();
    PLANS.get((*g, most), || {
        groups(g.input_pixels(), most, |i| g.taps().filter_map(|tap| Some((g.output_pixel(i, tap)?, tap))).collect())
    })
}

/// Returns groups of at most `most` pixels; `sources` lists the (source pixel, tap) pairs of a pixel.
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
    // Neighbouring pixels read the same source pixels, so they are kept close in time.
    groups.sort_by_key(|group| group.pixels[0].index);
    groups
}

/// A cache of plans. A process uses few geometries, so no plan is ever removed.
pub(super) struct Cache<K, P>(Mutex<Option<HashMap<K, Arc<P>>>>);

impl<K: Eq + Hash, P> Cache<K, P> {
    pub(super) const fn new() -> Self {
        Cache(Mutex::new(None))
    }

    /// Returns the plan of `key`, which `plan` creates at the first request.
    pub(super) fn get(&self, key: K, plan: impl FnOnce() -> P) -> Arc<P> {
        // A panic cannot leave the map half changed, so a poisoned lock can still be used.
        let mut plans = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        plans.get_or_insert_default().entry(key).or_insert_with(|| Arc::new(plan())).clone()
    }
}
