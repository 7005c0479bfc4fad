//! The mode of layers: training or evaluation.

use std::cell::Cell;

thread_local! {
    static TRAINING: Cell<bool> = const { Cell::new(true) };
}

/// Runs `f` with layers in evaluation mode, like PyTorch after `model.eval()`: batch norm uses its running statistics
/// instead of the batch's, spectral norm does not update its vectors, and dropout drops nothing.
///
/// The mode applies to this thread until `f` returns or panics, whatever networks `f` calls, so no network can be left
/// in the wrong mode. Gradients are not affected; use [`mergan_tensor::no_grad`] to save their memory.
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

/// Returns whether layers are in training mode on this thread, which they are except within [`evaluate`].
pub fn is_training() -> bool {
    TRAINING.get()
}
