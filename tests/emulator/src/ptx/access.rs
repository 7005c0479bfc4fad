//! Loads, stores, atomic operations and asynchronous copies.

use super::block::{Block, LOCAL_WINDOW, SHARED_WINDOW, Stop};
use super::instruction::{Address, Atomic, Operand, Register, Space, Type};
use super::warp::{Copy, Warp};
use crate::memory::POISON;
use crate::shadow::{Access, Word};

/// Some lanes of a warp that execute an instruction, with their block.
pub struct Lanes<'a, 'b> {
    pub warp: &'a mut Warp,
    pub block: &'a mut Block<'b>,
    pub lanes: u32,
}

impl Lanes<'_, '_> {
    /// Returns the numbers of the lanes.
    pub fn each(&self) -> impl Iterator<Item = usize> + use<> {
        let lanes = self.lanes;
        (0..32).filter(move |lane| lanes >> lane & 1 == 1)
    }

    /// Loads `to.len()` consecutive values.
    pub fn load(&mut self, space: Space, ty: Type, to: &[Register], address: Address) -> Result<(), Stop> {
        let base = self.warp.read_wide(address.base);
        let size = ty.bytes();
        let mut bytes = [0; 32];
        let bytes = &mut bytes[..size * to.len()];
        for lane in self.each() {
            self.read(space, lane, base[lane].wrapping_add_signed(address.offset), bytes)?;
            for (register, bytes) in to.iter().zip(bytes.chunks(size)) {
                self.warp.write_lane(*register, lane, value(bytes, ty));
            }
        }
        Ok(())
    }

    /// Stores `from.len()` consecutive values.
    pub fn store(&mut self, space: Space, ty: Type, from: &[Operand], address: Address) -> Result<(), Stop> {
        let base = self.warp.read_wide(address.base);
        let values: Vec<_> = from.iter().map(|&from| self.warp.read_wide(from)).collect();
        let size = ty.bytes();
        let mut bytes = [0; 32];
        for lane in self.each() {
            for (bytes, value) in bytes.chunks_mut(size).zip(&values) {
                bytes.copy_from_slice(&value[lane].to_le_bytes()[..size]);
            }
            let address = base[lane].wrapping_add_signed(address.offset);
            self.write(space, lane, address, &bytes[..size * from.len()], Access::Write)?;
        }
        Ok(())
    }

    /// Changes a value in memory, lane after lane.
    pub fn atomic(
        &mut self,
        space: Space,
        operation: Atomic,
        ty: Type,
        to: Option<Register>,
        address: Address,
        from: [Operand; 2],
    ) -> Result<(), Stop> {
        let base = self.warp.read_wide(address.base);
        let operands = from.map(|from| self.warp.read_wide(from));
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..ty.bytes()];
        for lane in self.each() {
            let address = base[lane].wrapping_add_signed(address.offset);
            self.peek(space, lane, address, bytes)?;
            let old = value(bytes, ty);
            let new = changed(operation, ty, old, operands.map(|operand| operand[lane]));
            self.write(space, lane, address, &new.to_le_bytes()[..ty.bytes()], Access::Atomic)?;
            if let Some(to) = to {
                self.warp.write_lane(to, lane, old);
            }
        }
        Ok(())
    }

    /// Requests copies from global to shared memory. Bytes without a source become 0.
    pub fn copy(&mut self, to: Address, from: Address, bytes: usize, source: Operand) -> Result<(), Stop> {
        let [to_base, from_base] = [to, from].map(|address| self.warp.read_wide(address.base));
        let source = self.warp.read_narrow(source);
        for lane in self.each() {
            let mut data = vec![0; bytes];
            let there = (source[lane] as usize).min(bytes);
            if there > 0 {
                let address = from_base[lane].wrapping_add_signed(from.offset);
                self.read(Space::Global, lane, address, &mut data[..there])?;
            }
            let address = to_base[lane].wrapping_add_signed(to.offset);
            let begin = self.block.shared(self.warp, lane, address, bytes, Access::Write)?;
            self.block.shared[begin..begin + bytes].fill(POISON);
            self.block.shared_words(begin, bytes).0.iter_mut().for_each(Word::begin_copy);
            self.warp.open.push(Copy { thread: self.warp.first + lane as u16, to: begin, bytes: data });
        }
        Ok(())
    }

    /// Closes the group of requested copies.
    pub fn commit(&mut self) -> Result<(), Stop> {
        self.together("commit of copies")?;
        self.warp.groups.push(std::mem::take(&mut self.warp.open));
        Ok(())
    }

    /// Waits until at most `groups` groups are left.
    pub fn wait(&mut self, groups: usize) -> Result<(), Stop> {
        self.together("wait for copies")?;
        let done = self.warp.groups.len().saturating_sub(groups);
        for Copy { thread, to, bytes } in self.warp.groups.drain(..done).flatten() {
            self.block.shared[to..to + bytes.len()].copy_from_slice(&bytes);
            let (words, clock) = self.block.shared_words(to, bytes.len());
            words.iter_mut().for_each(|word| word.end_copy(thread, clock));
        }
        Ok(())
    }

    /// Refuses an operation that only some lanes of the warp execute. For copies a GPU would allow it, but here the
    /// lanes of a warp share their groups.
    pub fn together(&mut self, what: &str) -> Result<(), Stop> {
        let (active, live) = (self.lanes, self.warp.live);
        if active == live {
            return Ok(());
        }
        let lane = active.trailing_zeros() as usize;
        self.block.stop(self.warp, lane, format!("{what} by the lanes {active:#010x} of {live:#010x}"))
    }

    fn read(&mut self, space: Space, lane: usize, address: u64, bytes: &mut [u8]) -> Result<(), Stop> {
        match self.resolve(space, lane, address, bytes.len())? {
            (Space::Parameter, place) => bytes.copy_from_slice(&self.block.arguments[place as usize..][..bytes.len()]),
            (Space::Local, place) => bytes.copy_from_slice(&self.warp.local[place as usize..][..bytes.len()]),
            (Space::Shared, address) => {
                let begin = self.block.shared(self.warp, lane, address, bytes.len(), Access::Read)?;
                bytes.copy_from_slice(&self.block.shared[begin..begin + bytes.len()]);
            }
            (_, address) => {
                let from = self.block.global(self.warp, lane, address, bytes.len(), Access::Read)?;
                // SAFETY: the range lies in a buffer.
                unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
            }
        }
        Ok(())
    }

    fn write(&mut self, space: Space, lane: usize, address: u64, bytes: &[u8], access: Access) -> Result<(), Stop> {
        match self.resolve(space, lane, address, bytes.len())? {
            (Space::Parameter, _) => return self.block.stop(self.warp, lane, "write to an argument"),
            (Space::Local, place) => self.warp.local[place as usize..][..bytes.len()].copy_from_slice(bytes),
            (Space::Shared, address) => {
                let begin = self.block.shared(self.warp, lane, address, bytes.len(), access)?;
                self.block.shared[begin..begin + bytes.len()].copy_from_slice(bytes);
            }
            (_, address) => {
                let to = self.block.global(self.warp, lane, address, bytes.len(), access)?;
                // SAFETY: the range lies in a buffer.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
            }
        }
        Ok(())
    }

    /// Reads the value that an atomic operation is about to overwrite, without recording the access.
    fn peek(&mut self, space: Space, lane: usize, address: u64, bytes: &mut [u8]) -> Result<(), Stop> {
        match self.resolve(space, lane, address, bytes.len())? {
            (Space::Shared, address) => {
                let there = self.block.shared.get(address as usize..).and_then(|shared| shared.get(..bytes.len()));
                // If there is no memory, the write that follows reports it.
                there.into_iter().for_each(|there| bytes.copy_from_slice(there));
            }
            (_, address) => {
                if let Ok(from) = self.block.memory.at(address as usize, bytes.len()) {
                    // SAFETY: the range lies in a buffer.
                    unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
                }
            }
        }
        Ok(())
    }

    /// Returns the space that an address belongs to, and the address in it; local memory is addressed within that of
    /// the warp.
    fn resolve(&mut self, space: Space, lane: usize, address: u64, len: usize) -> Result<(Space, u64), Stop> {
        let (space, address) = match space {
            Space::Generic if address >= LOCAL_WINDOW => (Space::Local, address - LOCAL_WINDOW),
            Space::Generic if address >= SHARED_WINDOW => (Space::Shared, address - SHARED_WINDOW),
            Space::Generic => (Space::Global, address),
            space => (space, address),
        };
        let local = self.block.kernel.local as u64;
        match space {
            Space::Local if address.saturating_add(len as u64) > local => {
                let what = format!("out of bounds, {len} bytes at byte {address} of {local} bytes of local memory");
                self.block.stop(self.warp, lane, what)
            }
            Space::Local => Ok((space, lane as u64 * local + address)),
            space => Ok((space, address)),
        }
    }
}

/// Converts a value in memory to its form in a register.
fn value(bytes: &[u8], ty: Type) -> u64 {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(all);
    let unused = 64 - 8 * bytes.len() as u32;
    if ty.is_signed() { ((bits << unused) as i64 >> unused) as u64 } else { bits }
}

fn changed(operation: Atomic, ty: Type, old: u64, [a, b]: [u64; 2]) -> u64 {
    let float = |bits: u64| f32::from_bits(bits as u32);
    let sign = |bits: u64| if ty.is_wide() { bits as i64 } else { i64::from(bits as i32) };
    match operation {
        Atomic::Add if ty == Type::F32 => u64::from((float(old) + float(a)).to_bits()),
        Atomic::Add if ty == Type::F64 => (f64::from_bits(old) + f64::from_bits(a)).to_bits(),
        Atomic::Add => old.wrapping_add(a),
        Atomic::Min if ty.is_signed() => sign(old).min(sign(a)) as u64,
        Atomic::Max if ty.is_signed() => sign(old).max(sign(a)) as u64,
        Atomic::Min => old.min(a),
        Atomic::Max => old.max(a),
        Atomic::And => old & a,
        Atomic::Or => old | a,
        Atomic::Exchange => a,
        Atomic::CompareAndSwap => {
            let same = if ty.is_wide() { old == a } else { old as u32 == a as u32 };
            if same { b } else { old }
        }
    }
}
