//! Whether layers train or are used.

use std::cell::Cell;

thread_local! {
    static TRAINING: Cell<bool> = const { Cell::new(true) };
}

/// Runs `f` with the layers used rather than trained, as in PyTorch after `model.eval()`: batch norm takes its running
/// statistics in place of the batch's, spectral norm leaves its vectors alone, and dropout drops nothing.
///
/// It holds for this thread until `f` returns or panics, whatever networks `f` calls, so that no network can be left in the
/// wrong mode. It has nothing to do with gradients; [`mergan_tensor::no_grad`] saves their memory.
pub fn evaluate<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            TRAINING.set(self.0);
        }
    }
    let _restore = Restore(TRAINING.replace(false));
    f()
}

/// Whether layers train on this thread, which they do except within [`evaluate`].
pub fn is_training() -> bool {
    TRAINING.get()
}
