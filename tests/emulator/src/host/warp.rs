//! Collectives of a warp: the lanes named by a mask meet, and each sees the values of the others.

/// A meeting of lanes.
#[derive(Clone, Copy, Default)]
struct Meeting {
    mask: u32,
    arrived: u32,
    /// The number of meetings of this mask so far. The values of a meeting stay until the one after the next begins.
    count: usize,
    brought: [[u64; 32]; 2],
}

/// The meetings of all warps of a block.
#[derive(Default)]
pub struct Meetings {
    threads: usize,
    /// The meetings of each warp, one per mask in use.
    warps: Vec<[Meeting; MASKS]>,
}

/// The number of masks that a warp may use at the same time.
const MASKS: usize = 4;

/// The outcome of an arrival.
pub enum Arrival {
    /// The lane is the last one, so all may continue.
    Complete { lanes: u32, brought: *const [u64; 32] },
    /// The other lanes are still to come; their values will be here.
    Waiting { brought: *const [u64; 32] },
    /// The lane is not in the mask, or the warp uses too many masks.
    Refused(&'static str),
}

impl Meetings {
    /// Begins a block of `threads` threads.
    pub fn reset(&mut self, threads: usize) {
        self.threads = threads;
        self.warps.clear();
        self.warps.resize(threads.div_ceil(32), [Meeting::default(); MASKS]);
    }

    /// Records that a thread has arrived at the meeting of these lanes of its warp.
    pub fn arrive(&mut self, thread: usize, mask: u32, mine: u64) -> Arrival {
        let (warp, lane) = (thread / 32, thread % 32);
        // Lanes beyond the end of the block do not exist, whatever the mask says.
        let lanes = (self.threads - warp * 32).min(32);
        let mask = if lanes == 32 { mask } else { mask & ((1 << lanes) - 1) };
        if mask >> lane & 1 == 0 {
            return Arrival::Refused("warp collective called by a lane that its mask leaves out");
        }
        let meetings = &mut self.warps[warp];
        let same = meetings.iter().position(|meeting| meeting.mask == mask);
        let Some(place) = same.or_else(|| meetings.iter().position(|meeting| meeting.arrived == 0)) else {
            return Arrival::Refused("too many masks of warp collectives at the same time");
        };
        let meeting = &mut meetings[place];
        meeting.mask = mask;
        let brought = &mut meeting.brought[meeting.count % 2];
        brought[lane] = mine;
        meeting.arrived |= 1 << lane;
        let brought: *const [u64; 32] = brought;
        if meeting.arrived != mask {
            return Arrival::Waiting { brought };
        }
        meeting.arrived = 0;
        meeting.count += 1;
        Arrival::Complete { lanes: mask, brought }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_see_what_the_others_brought() {
        let mut meetings = Meetings::default();
        meetings.reset(40);
        for thread in 32..39 {
            assert!(matches!(meetings.arrive(thread, !0, thread as u64), Arrival::Waiting { .. }));
        }
        let Arrival::Complete { lanes, brought } = meetings.arrive(39, !0, 39) else { panic!("all eight have come") };
        // SAFETY: the meetings still exist.
        let brought = unsafe { &*brought };
        assert_eq!((lanes, &brought[..8]), (0xff, &[32, 33, 34, 35, 36, 37, 38, 39][..]));
        assert!(matches!(meetings.arrive(3, 0b11, 0), Arrival::Refused(_)));
    }
}
