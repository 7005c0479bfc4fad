//! The tensor: an immutable array on a device, and the node of the graph that made it.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array, ArrayBase, ArrayD, Data, Dimension};

use crate::autograd::{Backward, Node};
use crate::shape::Shape;
use crate::storage::{Device, Element, Storage};

/// An immutable array of up to four axes on a device, with its axes read as NumPy and PyTorch read them: a batch of
/// images is `[n, c, h, w]`, a batch of rows `[n, c]`, a vector `[c]` and a scalar `[]`.
///
/// Cloning is cheap: clones share the numbers. Operations are methods that return new tensors; when an operand is
/// tracked (made by [`Tensor::variable`] or computed from one that was) the result remembers how it was made, and
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
/// Operations panic when shapes or devices do not fit, as ndarray's do, because that is a mistake in the program and
/// not in its input. The message names the operation and the shapes. The compiler refuses some mistakes earlier. The
/// number beside an operator is an `f64`, also where the tensor holds `f32`:
///
/// ```compile_fail,E0277
/// # use mergan_tensor::{Device, Tensor};
/// let twice = Tensor::zeros([2], Device::Cpu) * 2; // `* 2.0` is accepted
/// ```
///
/// Two tensors have no `==`, which could mean a tensor of answers or one answer:
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

/// The numbers of an operation's own result, kept for its gradient.
///
/// It leaves the graph node out: the node owns the gradient, so a gradient that held its own node would never be freed.
/// [`Backward::output`] puts the two together again.
pub(crate) struct SavedOutput {
    shape: Shape,
    storage: Arc<Storage>,
}

impl Tensor {
    /// A tensor on `device` with the numbers and the axes of an ndarray. The numbers are rounded where the device
    /// computes in a shorter type.
    ///
    /// # Panics
    /// When the array has more than four axes.
    #[track_caller]
    pub fn from_array<T: Element, S: Data<Elem = T>, D: Dimension>(array: &ArrayBase<S, D>, device: Device) -> Tensor {
        let Some(shape) = Shape::of(array.shape()) else {
            panic!("from_array: a tensor has at most four axes, the array has {}", array.ndim())
        };
        let numbers = array.as_standard_layout();
        let numbers = numbers.as_slice().expect("an array in standard layout is a slice");
        Tensor::constant(shape, Storage::from_nchw(device, shape.nchw(), numbers))
    }

    /// A tensor of this shape from numbers in logical order: those of the last axis lie side by side, as in C and in
    /// NumPy. The numbers are rounded where the device computes in a shorter type.
    ///
    /// # Panics
    /// When there are more or fewer values than the shape holds.
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

    /// A tensor of this shape with the same number everywhere.
    pub fn full(value: f64, shape: impl Into<Shape>, device: Device) -> Tensor {
        let shape = shape.into();
        Tensor::constant(shape, Storage::filled(device, shape.len(), value))
    }

    /// A tensor of zeros of this shape.
    pub fn zeros(shape: impl Into<Shape>, device: Device) -> Tensor {
        Tensor::full(0.0, shape, device)
    }

    /// The same numbers as a variable, which gradients can be taken with respect to. Every call makes another variable;
    /// clones of the result are the same one.
    pub fn variable(&self) -> Tensor {
        Tensor { node: Some(Arc::new(Node::leaf())), ..self.clone() }
    }

    /// The same numbers as a constant, through which no gradient flows.
    pub fn detach(&self) -> Tensor {
        Tensor { node: None, ..self.clone() }
    }

    /// Whether gradients can flow through this tensor, because it is a variable or was computed from one.
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The device that holds the numbers.
    pub fn device(&self) -> Device {
        self.storage.device()
    }

    /// The same numbers on another device, as a constant.
    pub fn to_device(&self, device: Device) -> Tensor {
        if device == self.device() { self.detach() } else { Tensor::from_vec(self.to_vec::<f64>(), self.shape, device) }
    }

    /// The numbers in logical order: those of the last axis lie side by side. On a CUDA device this waits for the work
    /// that was asked for before.
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        self.storage.to_nchw(self.shape.nchw())
    }

    /// The numbers as an ndarray with the same axes: `to_array::<f32, Ix4>()` of images, `IxDyn` of
    /// anything.
    ///
    /// # Panics
    /// When the dimension has another number of axes.
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

    /// The only number of a tensor, which may have any number of axes of length 1.
    ///
    /// # Panics
    /// When the tensor holds no number or more than one.
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

    /// A constant from numbers that lie in memory as [`Storage`] says.
    pub(crate) fn constant(shape: Shape, storage: Storage) -> Tensor {
        Tensor { shape, storage: Arc::new(storage), node: None }
    }

    /// The result of an operation. `gradient` gives, for the gradient of the result, those of the operands (an empty
    /// place for an operand that [`Backward::wants`] says nobody asked for). It is kept only while gradients are
    /// recorded and some operand is tracked.
    pub(crate) fn from_operation<G>(shape: Shape, storage: Storage, operands: &[&Tensor], gradient: G) -> Tensor
    where
        G: Fn(&Backward) -> Vec<Option<Tensor>> + Send + Sync + 'static,
    {
        Tensor::with_saved_output(shape, storage, operands, |_| gradient)
    }

    /// As [`Tensor::from_operation`], for a gradient that is written in terms of the operation's own result.
    pub(crate) fn with_saved_output<G>(
        shape: Shape,
        storage: Storage,
        operands: &[&Tensor],
        gradient: impl FnOnce(SavedOutput) -> G,
    ) -> Tensor
    where
        G: Fn(&Backward) -> Vec<Option<Tensor>> + Send + Sync + 'static,
    {
        let storage = Arc::new(storage);
        let saved = SavedOutput { shape, storage: storage.clone() };
        let operands = operands.iter().map(|operand| operand.node.clone());
        let node = Node::operation(operands, || Box::new(gradient(saved)));
        Tensor { shape, storage, node }
    }

    /// As [`Tensor::from_operation`] of one operand, whose numbers the result shares.
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
    /// The result as a tensor again, attached to the node that made it.
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
