//! Fibers: functions that give way to each other on one thread of the host.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::arch::naked_asm;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("fibers are switched by a few instructions of x86-64; other processors need theirs");

/// Bytes of a fiber's stack: the kernel's local variables and the frames of the run time.
const STACK: usize = 64 << 10;

/// Where a fiber, or the thread that runs them, was when it gave way.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Paused(*mut u8);

// SAFETY: whoever goes on from here says so by `Paused::resume`, which is unsafe.
unsafe impl Send for Paused {}

impl Paused {
    /// Goes on where `self` gave way, and returns when somebody comes back: with the place that he gave way at.
    ///
    /// # Safety
    /// Nobody has gone on from there before, and its stack is still there.
    pub unsafe fn resume(self) -> Paused {
        // SAFETY: the caller vouches for the stack.
        Paused(unsafe { switch(self.0) })
    }
}

/// Saves the registers that a function must leave alone, goes over to another stack, and takes that one's. What it
/// leaves is both the result and, for a fiber that begins, the argument.
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
    /// Stacks for `count` fibers. The host gives them memory when they first touch it.
    pub fn new(count: usize) -> Stacks {
        let layout = Layout::from_size_align(count * STACK, 4096).expect("stacks that the host can hold");
        // SAFETY: a block has at least one thread.
        let block = unsafe { alloc_zeroed(layout) };
        if block.is_null() {
            handle_alloc_error(layout);
        }
        Stacks { block, layout }
    }

    /// For how many fibers there are stacks.
    pub fn count(&self) -> usize {
        self.layout.size() / STACK
    }

    /// The addresses of a fiber's stack.
    pub fn range(&self, fiber: usize) -> std::ops::Range<usize> {
        let begin = self.block as usize + fiber * STACK;
        begin..begin + STACK
    }

    /// A fiber that will begin with `entry`, which is given the place of whoever resumes it.
    pub fn begin(&mut self, fiber: usize, entry: extern "sysv64" fn(Paused) -> !) -> Paused {
        assert!(fiber < self.count(), "fiber {fiber} of {}", self.count());
        // What `switch` pops: six registers and the entry. Above them is a return address that nobody returns to, so that
        // the stack is aligned as after a call.
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
