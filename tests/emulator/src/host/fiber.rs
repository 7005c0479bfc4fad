//! Fibers: functions that take turns on one thread of the host.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::arch::naked_asm;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("fibers are switched by a few instructions of x86-64; other processors need theirs");

/// The size of a fiber's stack in bytes. It holds the kernel's local variables and the frames of the runtime.
const STACK: usize = 64 << 10;

/// The place where a fiber, or the thread that runs the fibers, was suspended.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Paused(*mut u8);

// SAFETY: a place is used only through `Paused::resume`, whose caller takes responsibility.
unsafe impl Send for Paused {}

impl Paused {
    /// Continues where `self` was suspended. Returns, when the current place is resumed in turn, with the place at
    /// which the resumer was suspended.
    ///
    /// # Safety
    /// The place has not been resumed before, and its stack still exists.
    pub unsafe fn resume(self) -> Paused {
        // SAFETY: the caller guarantees that the stack exists.
        Paused(unsafe { switch(self.0) })
    }
}

/// Saves the callee-saved registers, switches to another stack and restores the registers saved there. The old stack
/// pointer is both the result and, for a fiber that begins, the argument.
#[unsafe(naked)]
unsafe extern "sysv64" fn switch(to: *mut u8) -> *mut u8 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov rax, rsp",
        "mov rsp, rdi",
        "mov rdi, rax",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// The stacks of a number of fibers.
pub struct Stacks {
    block: *mut u8,
    layout: Layout,
}

// SAFETY: the stacks own their block.
unsafe impl Send for Stacks {}

impl Stacks {
    /// Allocates stacks for `count` fibers. The host provides the memory when it is first touched.
    pub fn new(count: usize) -> Stacks {
        let layout = Layout::from_size_align(count * STACK, 4096).expect("stacks that the host can hold");
        // SAFETY: a block has at least one thread.
        let block = unsafe { alloc_zeroed(layout) };
        if block.is_null() {
            handle_alloc_error(layout);
        }
        Stacks { block, layout }
    }

    /// Returns the number of fibers that have stacks.
    pub fn count(&self) -> usize {
        self.layout.size() / STACK
    }

    /// Returns the addresses of a fiber's stack.
    pub fn range(&self, fiber: usize) -> std::ops::Range<usize> {
        let begin = self.block as usize + fiber * STACK;
        begin..begin + STACK
    }

    /// Prepares a fiber that will begin with `entry`, whose argument is the place where its resumer was suspended.
    pub fn begin(&mut self, fiber: usize, entry: extern "sysv64" fn(Paused) -> !) -> Paused {
        assert!(fiber < self.count(), "fiber {fiber} of {}", self.count());
        // This is what `switch` pops: six registers and the entry. Above them is a return address that is never used;
        // it aligns the stack as after a call.
        let frame: [usize; 8] = [0, 0, 0, 0, 0, 0, entry as usize, 0];
        // SAFETY: the frame lies within the block, at the end of the fiber's stack.
        unsafe {
            let bottom = self.block.add((fiber + 1) * STACK).sub(size_of_val(&frame)).cast::<[usize; 8]>();
            bottom.write(frame);
            Paused(bottom.cast())
        }
    }
}

impl Drop for Stacks {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.block, self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        static SAID: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }

    extern "sysv64" fn count(mut caller: Paused) -> ! {
        for said in 0.. {
            SAID.with_borrow_mut(|all| all.push(said));
            // SAFETY: the caller waits in `resume`.
            caller = unsafe { caller.resume() };
        }
        unreachable!("a fiber is not resumed so often")
    }

    #[test]
    fn fibers_take_turns() {
        let mut stacks = Stacks::new(2);
        let mut fibers = [stacks.begin(0, count), stacks.begin(1, count)];
        for turn in [0, 1, 1, 0] {
            // SAFETY: each place is used once, and the stacks are here.
            fibers[turn] = unsafe { fibers[turn].resume() };
        }
        assert_eq!(SAID.take(), [0, 0, 1, 1]);
    }
}
