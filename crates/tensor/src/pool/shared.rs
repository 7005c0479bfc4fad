//! The pool.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::Range;
use std::slice;
use std::sync::Mutex;

use super::length_class;

/// Bytes that are asked of the system together. They become memory when they are first used.
const SLAB: usize = if cfg!(target_family = "wasm") { 16 << 20 } else { 256 << 20 };

/// Arrays of at least this many bytes are cut from any free space and joined with it again, so that little is lost between
/// them; smaller ones are kept by their lengths, which is quicker and does not divide the space of large ones.
const LARGE: usize = 1 << 18;

/// Large arrays start at pages.
const PAGE: usize = 4096;

/// A number that a buffer can hold: `f32` on the CPU device, `f64` on the reference device.
pub trait Pooled: Copy + Send + Sync + 'static {
    const ZERO: Self;
    fn pool() -> &'static Pool<Self>;
}

/// Free arrays, and memory for new ones.
pub struct Pool<T: 'static>(Mutex<Free<T>>);

struct Free<T: 'static> {
    /// The mappings.
    slabs: Vec<Slab<T>>,
    /// Small arrays by their length class.
    small: BTreeMap<usize, Vec<Place>>,
    /// Where the next small array is cut from.
    next_small: Place,
    /// The free space for large arrays, by slab and start: its end.
    spaces: BTreeMap<(usize, usize), usize>,
    /// The same by length, slab and start.
    by_length: BTreeSet<(usize, usize, usize)>,
}

/// A mapping for the rest of the process.
struct Slab<T>(*mut T);

// SAFETY: the pointer is only an address; who has a place in the slab has its numbers alone.
unsafe impl<T: Send> Send for Slab<T> {}

/// A part of a slab. There is one for every number of the slab: free, or in an array.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    slab: usize,
    range: Range<usize>,
}

impl<T: Pooled> Pool<T> {
    const fn new() -> Self {
        Pool(Mutex::new(Free::none()))
    }

    /// Runs `f` on what is free. A panic elsewhere cannot leave it half changed, so a poisoned lock is still good.
    fn with<R>(&self, f: impl FnOnce(&mut Free<T>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

impl<T: Pooled> Free<T> {
    const fn none() -> Self {
        Free {
            slabs: Vec::new(),
            small: BTreeMap::new(),
            next_small: Place { slab: 0, range: 0..0 },
            spaces: BTreeMap::new(),
            by_length: BTreeSet::new(),
        }
    }

    /// Takes an array back, to be handed out again.
    fn give(&mut self, place: Place) {
        if place.range.len() < LARGE / size_of::<T>() {
            return self.small.entry(place.range.len()).or_default().push(place);
        }
        let Place { slab, range: Range { mut start, mut end } } = place;
        let before = self.spaces.range(..(slab, start)).next_back().map(|(&at, &end)| (at, end));
        if let Some(((other, first), last)) = before
            && (other, last) == (slab, start)
        {
            self.take_space(slab, first..last);
            start = first;
        }
        if let Some(&last) = self.spaces.get(&(slab, end)) {
            self.take_space(slab, end..last);
            end = last;
        }
        self.give_space(slab, start..end);
    }

    fn give_space(&mut self, slab: usize, range: Range<usize>) {
        if !range.is_empty() {
            self.spaces.insert((slab, range.start), range.end);
            self.by_length.insert((range.len(), slab, range.start));
        }
    }

    fn take_space(&mut self, slab: usize, range: Range<usize>) {
        self.spaces.remove(&(slab, range.start));
        self.by_length.remove(&(range.len(), slab, range.start));
    }

    /// Returns an array of at least `len` numbers.
    fn take(&mut self, len: usize) -> Place {
        let class = length_class(len);
        if class < LARGE / size_of::<T>() { self.take_small(class) } else { self.take_large(len) }
    }

    /// Returns the first part of the smallest space that is large enough.
    fn take_large(&mut self, len: usize) -> Place {
        let len = len.max(LARGE / size_of::<T>()).next_multiple_of(PAGE / size_of::<T>());
        let fits = self.by_length.range((len, 0, 0)..).next().copied();
        let (all, slab, start) = fits.unwrap_or_else(|| {
            let (slab, all) = self.map(len);
            self.give_space(slab, 0..all);
            (all, slab, 0)
        });
        self.take_space(slab, start..start + all);
        self.give_space(slab, start + len..start + all);
        Place { slab, range: start..start + len }
    }

    /// Returns an array of `class` numbers, or of up to twice as many: batches of 63 images would else need other arrays than
    /// those of 64.
    fn take_small(&mut self, class: usize) -> Place {
        let recycled = self.small.range_mut(class..=2 * class).find_map(|(_, list)| list.pop());
        recycled.unwrap_or_else(|| {
            if self.next_small.range.len() < class {
                // The rest of the old slab has never been touched, so it takes no physical memory.
                let (slab, all) = self.map(class);
                self.next_small = Place { slab, range: 0..all };
            }
            let start = self.next_small.range.start;
            self.next_small.range.start += class;
            Place { slab: self.next_small.slab, range: start..start + class }
        })
    }

    /// Makes a slab of at least `len` numbers, and returns its index and its length.
    fn map(&mut self, len: usize) -> (usize, usize) {
        let slab = map(len.max(SLAB / size_of::<T>()));
        self.slabs.push(Slab(slab.as_mut_ptr()));
        (self.slabs.len() - 1, slab.len())
    }

    /// Returns the numbers at a place.
    ///
    /// # Safety
    ///
    /// The place was taken and not given back, and nothing else has its numbers.
    unsafe fn numbers(&self, Place { slab, range }: &Place) -> &'static mut [T] {
        // SAFETY: a place lies inside its slab, which stays for the rest of the process; the caller vouches for the rest.
        unsafe { slice::from_raw_parts_mut(self.slabs[*slab].0.add(range.start), range.len()) }
    }
}

/// At least `len` zeros that start at a huge page, from the system, for the rest of the process.
#[cfg(not(target_family = "wasm"))]
fn map<T: Pooled>(len: usize) -> &'static mut [T] {
    use std::alloc::{Layout, handle_alloc_error};

    /// Bytes of a huge page of x86-64 and most of ARM.
    const HUGE_PAGE: usize = 2 << 20;
    let bytes = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(HUGE_PAGE));
    let Some(Ok(map)) = bytes.map(memmap2::MmapMut::map_anon) else {
        handle_alloc_error(Layout::array::<T>(len).unwrap_or(Layout::new::<T>()))
    };
    // If there are no huge pages, small ones are used.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    let bytes: &'static mut [u8] = Box::leak(Box::new(map)).as_mut();
    let start = bytes.as_ptr().align_offset(HUGE_PAGE);
    // SAFETY: every pattern of bits is a number to the types that are pooled.
    let (_, numbers, _) = unsafe { bytes[start..].align_to_mut() };
    numbers
}

/// `len` zeros for the rest of the process. WebAssembly has neither mappings nor pages to choose.
#[cfg(target_family = "wasm")]
fn map<T: Pooled>(len: usize) -> &'static mut [T] {
    vec![T::ZERO; len].leak()
}

macro_rules! pooled {
    ($number:ty) => {
        impl Pooled for $number {
            const ZERO: Self = 0.0;
            fn pool() -> &'static Pool<Self> {
                static POOL: Pool<$number> = Pool::new();
                &POOL
            }
        }
    };
}
pooled!(f32);
pooled!(f64);

/// An array of the pool, with room for at least as many numbers as were asked for.
pub(super) struct Array<T: Pooled> {
    pub(super) data: &'static mut [T],
    place: Place,
}

impl<T: Pooled> Array<T> {
    pub(super) fn take(len: usize) -> Self {
        T::pool().with(|free| {
            let place = free.take(len);
            // SAFETY: the place was just taken.
            let data = unsafe { free.numbers(&place) };
            Array { data, place }
        })
    }
}

impl<T: Pooled> Drop for Array<T> {
    fn drop(&mut self) {
        self.data = &mut [];
        let place = Place { slab: self.place.slab, range: mem::take(&mut self.place.range) };
        T::pool().with(|free| free.give(place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_array_is_handed_out_again() {
        let (mut free, len) = (Free::<f64>::none(), 12_345);
        let mut place_of = |len: usize| {
            let place = free.take(len);
            free.give(place.clone());
            place
        };
        let place = place_of(len);
        assert_eq!(place_of(len - 1), place);
        assert_eq!(place_of(len / 2 + 1), place, "half of its length");
        assert_ne!(place_of(len / 3), place, "a third of its length");
    }

    #[test]
    fn large_arrays_never_overlap_and_their_space_is_joined_again() {
        let mut free = Free::<f32>::none();
        let mut state = 1u64;
        let mut held: Vec<Place> = Vec::new();
        for _ in 0..3000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let random = (state >> 33) as usize;
            if held.len() < 20 && random.is_multiple_of(2) {
                let place = free.take((LARGE / size_of::<f32>()) + random % 2_000_000);
                for other in held.iter().filter(|other| other.slab == place.slab) {
                    assert!(other.range.end <= place.range.start || place.range.end <= other.range.start);
                }
                held.push(place);
            } else if !held.is_empty() {
                free.give(held.swap_remove(random / 2 % held.len()));
            }
        }
        held.into_iter().for_each(|place| free.give(place));
        assert_eq!(free.spaces.len(), free.slabs.len(), "one space in every slab");
        assert_eq!(free.spaces.len(), free.by_length.len());
    }
}
