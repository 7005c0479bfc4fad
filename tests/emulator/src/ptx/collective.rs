//! Operations of the lanes of a warp together: shuffles, votes, tensor cores.

use super::access::Lanes;
use super::arithmetic::to_tf32;
use super::block::Stop;
use super::instruction::{Operand, Register, Shuffle, Vote};

/// The operands of a shuffle.
pub struct Shuffled {
    pub shuffle: Shuffle,
    pub to: usize,
    pub found: Option<usize>,
    pub value: Operand,
    pub lane: Operand,
    pub clamp: Operand,
    pub mask: Operand,
}

impl Lanes<'_, '_> {
    /// Refuses a collective whose mask differs from the lanes that execute it.
    pub fn meet(&mut self, what: &str, mask: Operand) -> Result<(), Stop> {
        let masks = self.warp.read_narrow(mask);
        let (lanes, live) = (self.lanes, self.warp.live);
        match self.each().find(|&lane| masks[lane] & live != lanes) {
            None => Ok(()),
            Some(lane) => {
                let what =
                    format!("divergent {what}: the mask names {:#010x}, the lanes {lanes:#010x} came", masks[lane]);
                self.block.stop(self.warp, lane, what)
            }
        }
    }

    /// Lets each lane read a value of another lane.
    pub fn shuffle(&mut self, shuffled: &Shuffled) -> Result<(), Stop> {
        self.meet("shuffle", shuffled.mask)?;
        let [values, lanes, clamps] =
            [shuffled.value, shuffled.lane, shuffled.clamp].map(|operand| self.warp.read_narrow(operand));
        let mut results = [0; 32];
        let mut found = 0;
        for lane in self.each() {
            let (own, by) = (lane as i32, (lanes[lane] & 31) as i32);
            let (clamp, segment) = ((clamps[lane] & 31) as i32, (clamps[lane] >> 8 & 31) as i32);
            let (first, last) = (own & segment, own & segment | clamp & !segment);
            let (from, inside) = match shuffled.shuffle {
                Shuffle::Up => (own - by, own - by >= last),
                Shuffle::Down => (own + by, own + by <= last),
                Shuffle::Butterfly => (own ^ by, own ^ by <= last),
                Shuffle::Index => (first | by & !segment, first | by & !segment <= last),
            };
            let from = if inside { from as usize } else { lane };
            if self.lanes >> from & 1 == 0 {
                return self.block.stop(self.warp, lane, format!("shuffle from lane {from}, which does not take part"));
            }
            results[lane] = values[from];
            found |= u32::from(inside) << lane;
        }
        self.warp.write_narrow(shuffled.to, self.lanes, &results);
        if let Some(predicate) = shuffled.found {
            self.warp.write_predicate(predicate, self.lanes, found);
        }
        Ok(())
    }

    /// Tells all lanes for which lanes a predicate is true.
    pub fn vote(
        &mut self,
        vote: Vote,
        to: Register,
        predicate: Operand,
        negated: bool,
        mask: Operand,
    ) -> Result<(), Stop> {
        self.meet("vote", mask)?;
        let values = self.warp.read_predicate(predicate);
        let ballot = if negated { !values } else { values } & self.lanes;
        let result = match vote {
            Vote::Ballot => u64::from(ballot),
            Vote::Any => u64::from(ballot != 0),
            Vote::All => u64::from(ballot == self.lanes),
        };
        self.warp.write(to, self.lanes, &[result; 32]);
        Ok(())
    }

    /// Computes D (16 x 8) = A (16 x 8) B (8 x 8) + C on tensor cores, which read the upper 19 bits of the operands.
    pub fn multiply(&mut self, d: [usize; 4], a: [usize; 4], b: [usize; 2], c: [Operand; 4]) -> Result<(), Stop> {
        self.meet("mma", Operand::Immediate(0xffff_ffff))?;
        let narrow = |index: usize| self.warp.read_narrow(Operand::Register(Register::Narrow(index)));
        let read = |bits: u32| f32::from_bits(bits & 0xffff_e000);
        let (a, b) = (a.map(narrow), b.map(narrow));
        let mut results = c.map(|c| self.warp.read_narrow(c));
        // In the fragments of A, lane 4g + t holds rows g and g + 8 and columns t and t + 4.
        let left = |row: usize, k: usize| read(a[row / 8 + k / 4 * 2][row % 8 * 4 + k % 4]);
        let right = |k: usize, column: usize| read(b[k / 4][column * 4 + k % 4]);
        for (i, result) in results.iter_mut().enumerate() {
            for (lane, sum) in result.iter_mut().enumerate() {
                let (row, column) = (lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2);
                let products = (0..8).map(|k| left(row, k) * right(k, column));
                *sum = products.fold(f32::from_bits(*sum), |sum, product| sum + product).to_bits();
            }
        }
        for (d, result) in d.into_iter().zip(&results) {
            self.warp.write_narrow(d, self.lanes, result);
        }
        Ok(())
    }

    /// Rounds numbers to the precision that tensor cores read.
    pub fn round_to_tf32(&mut self, to: usize, from: Operand) {
        let rounded = self.warp.read_narrow(from).map(to_tf32);
        self.warp.write_narrow(to, self.lanes, &rounded);
    }
}
