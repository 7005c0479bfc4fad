//! The tensor: an immutable array on a device, with the graph node of the operation that computed it.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array, ArrayBase, ArrayD, Data, Dimension};

use crate::autograd::{Backward, Node};
use crate::profile;
use crate::shape::Shape;
use crate::storage::{Device, Element, Storage};

/// An immutable array of up to four axes on a device. The order of the axes is that of NumPy and PyTorch: a batch of
/// images is `[n, c, h, w]`, a batch of rows `[n, c]`, a vector `[c]` and a scalar `[]`.
///
/// Cloning is cheap: clones share the numbers. Operations are methods that return new tensors. If an operand is tracked
/// (made by [`Tensor::variable`] or computed from such a tensor), the result records how it was computed, and
/// [`Tensor::gradients`] differentiates it.
///
/// ```
/// use mergan_tensor::{Device, Tensor};
///
/// let images = Tensor::full(0.5, [16, 3, 8, 8], Device::Cpu);
/// let per_channel = Tensor::from_vec(vec![1.0, 2.0, 3.0], [3, 1, 1], Device::Cpu).variable();
/// let brightness = (&images * &per_channel).mean();
/// assert_eq!(brightness.item(), 1.0);
/// assert_eq!(brightness.gradients(&[&per_channel])[0].shape(), [3, 1, 1]);
/// ```
///
/// Operations panic if shapes or devices do not match, as in ndarray, because that is a mistake in the program and not
/// in its input. The message names the operation and the shapes. The compiler rejects some mistakes earlier. A number
/// that is combined with a tensor by an operator must be an `f64`, even if the tensor holds `f32`:
///
/// ```compile_fail,E0277
/// # use mergan_tensor::{Device, Tensor};
/// let twice = Tensor::zeros([2], Device::Cpu) * 2; // `* 2.0` is accepted
/// ```
///
/// Tensors have no `==`, which could mean an elementwise comparison or a single answer:
///
/// ```compile_fail,E0369
/// # use mergan_tensor::{Device, Tensor};
/// let (a, b) = (Tensor::zeros([2], Device::Cpu), Tensor::zeros([2], Device::Cpu));
/// assert!(a == b); // `a.to_vec::<f32>() == b.to_vec::<f32>()` is accepted
/// ```
#[derive(Clone)]
pub struct Tensor {
    shape: Shape,
    storage: Arc<Storage>,
    node: Option<Arc<Node>>,
}

/// An operation's own result, kept for its gradient.
///
/// It does not include the graph node: the node owns the gradient function, so a gradient function that held its own
/// node would never be freed. [`Backward::output`] combines the two again.
pub(crate) struct SavedOutput {
    shape: Shape,
    storage: Arc<Storage>,
}

impl Tensor {
    /// Creates a tensor on `device` with the numbers and the axes of an ndarray. The numbers are rounded if the device
    /// computes in lower precision.
    ///
    /// # Panics
    /// Panics if the array has more than four axes.
    #[track_caller]
    pub fn from_array<T: Element, S: Data<Elem = T>, D: Dimension>(array: &ArrayBase<S, D>, device: Device) -> Tensor {
        let Some(shape) = Shape::of(array.shape()) else {
            panic!("from_array: a tensor has at most four axes, the array has {}", array.ndim())
        };
        let numbers = array.as_standard_layout();
        let numbers = numbers.as_slice().expect("an array in standard layout is a slice");
        Tensor::constant(shape, Storage::from_nchw(device, shape.nchw(), numbers))
    }

    /// Creates a tensor of this shape from numbers in row-major order: those of the last axis are adjacent, as in C and
    /// NumPy. The numbers are rounded if the device computes in lower precision.
    ///
    /// # Panics
    /// Panics if the number of values is not that of the shape.
    #[track_caller]
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl Into<Shape>, device: Device) -> Tensor {
        let shape = shape.into();
        assert!(
            values.len() == shape.len(),
            "from_vec: {} values were given for a tensor of shape {shape:?}, which holds {}",
            values.len(),
            shape.len()
        );
        Tensor::constant(shape, Storage::from_nchw(device, shape.nchw(), &values))
    }

    /// Creates a tensor of this shape with the same number everywhere.
    pub fn full(value: f64, shape: impl Into<Shape>, device: Device) -> Tensor {
        let shape = shape.into();
        Tensor::constant(shape, Storage::filled(device, shape.len(), value))
    }

    /// Creates a tensor of zeros of this shape.
    pub fn zeros(shape: impl Into<Shape>, device: Device) -> Tensor {
        Tensor::full(0.0, shape, device)
    }

    /// Returns the same numbers as a variable, with respect to which gradients can be computed. Every call makes a new
    /// variable; clones of the result are the same variable.
    pub fn variable(&self) -> Tensor {
        Tensor { node: Some(Arc::new(Node::leaf())), ..self.clone() }
    }

    /// Returns the same numbers as a constant, through which no gradient flows.
    pub fn detach(&self) -> Tensor {
        Tensor { node: None, ..self.clone() }
    }

    /// Returns whether gradients can flow through this tensor, because it is a variable or was computed from one.
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }

    /// Returns the lengths of the axes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the device that holds the numbers.
    pub fn device(&self) -> Device {
        self.storage.device()
    }

    /// Returns the same numbers on another device, as a constant.
    pub fn to_device(&self, device: Device) -> Tensor {
        if device == self.device() { self.detach() } else { Tensor::from_vec(self.to_vec::<f64>(), self.shape, device) }
    }

    /// Returns the numbers in row-major order: those of the last axis are adjacent. On a CUDA device this waits for all
    /// previously submitted work.
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        self.storage.to_nchw(self.shape.nchw())
    }

    /// Returns the numbers as an ndarray with the same axes: `to_array::<f32, Ix4>()` for images, or with `IxDyn` for
    /// any shape.
    ///
    /// # Panics
    /// Panics if the dimension has another number of axes.
    #[track_caller]
    pub fn to_array<T: Element, D: Dimension>(&self) -> Array<T, D> {
        let array = ArrayD::from_shape_vec(self.shape.axes(), self.to_vec());
        let array = array.expect("a tensor holds as many numbers as its shape says").into_dimensionality();
        let Ok(array) = array else {
            let axes = D::NDIM.unwrap_or_default();
            panic!("to_array: a tensor of shape {:?} was asked for as an array of {axes} axes", self.shape)
        };
        array
    }

    /// Returns the only number of a tensor, which may have any number of axes of length 1.
    ///
    /// # Panics
    /// Panics if the tensor does not have exactly one element.
    #[track_caller]
    pub fn item(&self) -> f64 {
        let count = self.shape.len();
        assert!(
            count == 1,
            "item: a tensor of shape {:?} holds {count} numbers, not one; take its sum or its mean first, or use \
             to_vec",
            self.shape
        );
        self.to_vec::<f64>()[0]
    }

    /// Creates a constant from storage, whose numbers are in H, W, N, C order.
    pub(crate) fn constant(shape: Shape, storage: Storage) -> Tensor {
        profile::end(shape);
        Tensor { shape, storage: Arc::new(storage), node: None }
    }

    /// Creates the result of an operation. `gradient` maps the gradient of the result to the gradients of the operands,
    /// with `None` for operands that [`Backward::wants`] reports as not needed. It is kept only while gradients are
    /// recorded and if some operand is tracked.
    pub(crate) fn from_operation<G>(shape: Shape, storage: Storage, operands: &[&Tensor], gradient: G) -> Tensor
    where
        G: Fn(&Backward) -> Vec<Option<Tensor>> + Send + Sync + 'static,
    {
        Tensor::with_saved_output(shape, storage, operands, |_| gradient)
    }

    /// Does the same as [`Tensor::from_operation`] for a gradient that is written in terms of the operation's own
    /// result.
    pub(crate) fn with_saved_output<G>(
        shape: Shape,
        storage: Storage,
        operands: &[&Tensor],
        gradient: impl FnOnce(SavedOutput) -> G,
    ) -> Tensor
    where
        G: Fn(&Backward) -> Vec<Option<Tensor>> + Send + Sync + 'static,
    {
        profile::end(shape);
        let storage = Arc::new(storage);
        let saved = SavedOutput { shape, storage: storage.clone() };
        let operands = operands.iter().map(|operand| operand.node.clone());
        let node = Node::operation(operands, || Box::new(gradient(saved)));
        Tensor { shape, storage, node }
    }

    /// Does the same as [`Tensor::from_operation`] for one operand, whose numbers the result shares.
    pub(crate) fn sharing<G>(shape: Shape, operand: &Tensor, gradient: G) -> Tensor
    where
        G: Fn(&Backward) -> Vec<Option<Tensor>> + Send + Sync + 'static,
    {
        let node = Node::operation([operand.node.clone()].into_iter(), || Box::new(gradient));
        Tensor { shape, storage: operand.storage.clone(), node }
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.node.as_ref()
    }
}

impl SavedOutput {
    /// Returns the result as a tensor again, attached to the node that computed it.
    pub(crate) fn attach(&self, node: Arc<Node>) -> Tensor {
        Tensor { shape: self.shape, storage: self.storage.clone(), node: Some(node) }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let values = self.to_vec::<f64>();
        write!(f, "Tensor({:?}, {}", self.shape, self.device())?;
        if self.is_tracked() {
            f.write_str(", tracked")?;
        }
        write!(f, ", {:?}", &values[..values.len().min(SHOWN)])?;
        f.write_str(if values.len() > SHOWN { "...)" } else { ")" })
    }
}
