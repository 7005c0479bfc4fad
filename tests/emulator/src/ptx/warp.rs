//! A warp: 32 lanes that execute the same instruction, or wait until they do.

use super::arithmetic::{Narrow, Wide};
use super::instruction::{Operand, Register};

/// A copy requested by `cp.async`: the destination, and the bytes, which arrive there when the copy is waited for.
pub struct Copy {
    pub thread: u16,
    pub to: usize,
    pub bytes: Vec<u8>,
}

/// The state of a warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ready,
    Barrier,
    Done,
}

/// A warp's registers, and the positions of its lanes.
pub struct Warp {
    narrow: Vec<Narrow>,
    wide: Vec<Wide>,
    predicates: Vec<u32>,
    /// Local memory, lane after lane.
    pub local: Vec<u8>,
    /// The number of its first thread in the block.
    pub first: u16,
    /// The lanes that exist and have not left the kernel.
    pub live: u32,
    /// The lanes that execute the instruction at `at`.
    pub active: u32,
    /// The instruction being executed.
    pub at: usize,
    /// The position of each live lane, unless all are at the same one.
    lanes: Option<[usize; 32]>,
    pub status: Status,
    /// The copies since the last commit, followed by the committed groups, the oldest first.
    pub open: Vec<Copy>,
    pub groups: Vec<Vec<Copy>>,
}

impl Warp {
    /// Creates a warp with `counts` registers of each file, and `local` bytes of local memory for each lane.
    pub fn new(first: u16, counts: [usize; 3], local: usize) -> Warp {
        Warp {
            narrow: vec![[0; 32]; counts[0]],
            wide: vec![[0; 32]; counts[1]],
            predicates: vec![0; counts[2]],
            local: vec![0; 32 * local],
            first,
            live: 0,
            active: 0,
            at: 0,
            lanes: None,
            status: Status::Done,
            open: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Begins the kernel with these lanes; `special` returns the special registers of each.
    pub fn begin(&mut self, lanes: u32, special: impl Fn(u32) -> [u32; super::names::SPECIAL.len()]) {
        (self.live, self.active, self.at, self.lanes) = (lanes, lanes, 0, None);
        self.status = Status::Ready;
        self.open.clear();
        self.groups.clear();
        for lane in 0..32 {
            for (register, value) in self.narrow.iter_mut().zip(special(u32::from(self.first) + lane)) {
                register[lane as usize] = value;
            }
        }
    }

    /// Activates the lanes that are furthest behind, so that lanes that took different branches meet again.
    pub fn regroup(&mut self) {
        let Some(lanes) = self.lanes else { return };
        let live = |lane: &usize| self.live >> lane & 1 == 1;
        self.at = (0..32).filter(live).map(|lane| lanes[lane]).min().unwrap_or(0);
        self.active =
            (0..32).filter(live).filter(|&lane| lanes[lane] == self.at).fold(0, |mask, lane| mask | 1 << lane);
        if self.active == self.live {
            self.lanes = None;
        }
    }

    /// Moves the active lanes to the next instruction.
    pub fn advance(&mut self) {
        self.jump(self.active, self.at + 1, self.at + 1);
    }

    /// Moves those active lanes that are in `taken` to `target`, and the others to the next instruction.
    pub fn branch(&mut self, taken: u32, target: usize) {
        self.jump(taken, target, self.at + 1);
    }

    fn jump(&mut self, taken: u32, target: usize, next: usize) {
        if self.lanes.is_none() && (taken == self.active || taken == 0) {
            self.at = if taken == 0 { next } else { target };
            return;
        }
        let lanes = self.lanes.get_or_insert([self.at; 32]);
        for (lane, place) in lanes.iter_mut().enumerate().filter(|(lane, _)| self.active >> lane & 1 == 1) {
            *place = if taken >> lane & 1 == 1 { target } else { next };
        }
    }

    /// Lets these lanes leave the kernel; the other active ones continue.
    pub fn leave(&mut self, leaving: u32) {
        self.branch(0, 0);
        self.live &= !leaving;
        self.active &= !leaving;
        if self.live == 0 {
            self.status = Status::Done;
        }
    }

    pub fn read_narrow(&self, operand: Operand) -> Narrow {
        match operand {
            Operand::Register(Register::Narrow(index)) => self.narrow[index],
            Operand::Register(Register::Wide(index)) => self.wide[index].map(|value| value as u32),
            Operand::Register(Register::Predicate(index)) => {
                std::array::from_fn(|lane| self.predicates[index] >> lane & 1)
            }
            Operand::Immediate(value) => [value as u32; 32],
        }
    }

    pub fn read_wide(&self, operand: Operand) -> Wide {
        match operand {
            Operand::Register(Register::Wide(index)) => self.wide[index],
            Operand::Immediate(value) => [value; 32],
            narrow => self.read_narrow(narrow).map(u64::from),
        }
    }

    /// Reads one bit per lane; an immediate is true unless it is 0.
    pub fn read_predicate(&self, operand: Operand) -> u32 {
        match operand {
            Operand::Register(Register::Predicate(index)) => self.predicates[index],
            Operand::Immediate(0) => 0,
            Operand::Immediate(_) => !0,
            Operand::Register(_) => self.mask(|lane| self.read_narrow(operand)[lane] != 0),
        }
    }

    /// Returns the lanes for which a condition is true, as bits.
    pub fn mask(&self, is_true: impl Fn(usize) -> bool) -> u32 {
        (0..32).fold(0, |mask, lane| mask | u32::from(is_true(lane)) << lane)
    }

    pub fn write_narrow(&mut self, index: usize, lanes: u32, value: &Narrow) {
        merge(&mut self.narrow[index], lanes, value);
    }

    pub fn write_wide(&mut self, index: usize, lanes: u32, value: &Wide) {
        merge(&mut self.wide[index], lanes, value);
    }

    pub fn write_predicate(&mut self, index: usize, lanes: u32, value: u32) {
        let register = &mut self.predicates[index];
        *register = *register & !lanes | value & lanes;
    }

    /// Writes a register of any file, truncating the value to what it can hold.
    pub fn write(&mut self, to: Register, lanes: u32, value: &Wide) {
        match to {
            Register::Narrow(index) => self.write_narrow(index, lanes, &value.map(|value| value as u32)),
            Register::Wide(index) => self.write_wide(index, lanes, value),
            Register::Predicate(index) => {
                let mask = self.mask(|lane| value[lane] != 0);
                self.write_predicate(index, lanes, mask);
            }
        }
    }

    /// Writes one lane of a register.
    pub fn write_lane(&mut self, to: Register, lane: usize, value: u64) {
        match to {
            Register::Narrow(index) => self.narrow[index][lane] = value as u32,
            Register::Wide(index) => self.wide[index][lane] = value,
            Register::Predicate(index) => self.write_predicate(index, 1 << lane, u32::from(value != 0) << lane),
        }
    }
}

fn merge<T: std::marker::Copy>(register: &mut [T; 32], lanes: u32, value: &[T; 32]) {
    if lanes == !0 {
        *register = *value;
        return;
    }
    for (lane, (register, value)) in register.iter_mut().zip(value).enumerate() {
        if lanes >> lane & 1 == 1 {
            *register = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_part_come_together_again() {
        let mut warp = Warp::new(0, [14, 0, 0], 0);
        warp.begin(0b1111, |_| [0; 14]);
        warp.branch(0b0011, 5);
        warp.regroup();
        assert_eq!((warp.at, warp.active), (1, 0b1100));
        warp.branch(0b1100, 5);
        warp.regroup();
        assert_eq!((warp.at, warp.active), (5, 0b1111));
        warp.leave(0b0001);
        warp.regroup();
        assert_eq!((warp.at, warp.active, warp.live), (6, 0b1110, 0b1110));
        warp.branch(0b0010, 9);
        warp.regroup();
        warp.leave(0b1100);
        warp.regroup();
        assert_eq!((warp.at, warp.active, warp.live), (9, 0b0010, 0b0010));
    }
}
