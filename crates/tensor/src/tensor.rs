//! The tensor: an immutable array on a device, and the node of the graph that made it.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array4, ArrayBase, Data, Dimension};

use crate::autograd::{Backward, Node};
use crate::shape::Shape;
use crate::storage::{Device, Element, Storage};

/// An immutable array of four axes (N, C, H, W) on a device.
///
/// Cloning is cheap: clones share the numbers. Operations are methods that return new tensors; when an operand is
/// tracked (made by [`Tensor::variable`] or computed from one that was) the result remembers how it was made, and
/// [`Tensor::gradients`] differentiates it.
///
/// Operations panic when shapes or devices do not fit, as ndarray's do: it is a mistake in the program, not in its
/// input. The message names the operation and the shapes.
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
    /// A tensor on `device` with the numbers of an ndarray of at most four axes, read as the trailing axes of a matrix
    /// or an image batch: 0-d is a scalar, 1-d a row of C channels, 2-d is N x C, 3-d is C x H x W, 4-d is N x C x H x W.
    ///
    /// # Panics
    /// When the array has more than four axes.
    pub fn from_array<T: Element, S: Data<Elem = T>, D: Dimension>(array: &ArrayBase<S, D>, device: Device) -> Tensor {
        let shape = match *array.shape() {
            [] => Shape::SCALAR,
            [c] => Shape::vector(c),
            [n, c] => Shape::matrix(n, c),
            [c, h, w] => Shape::new(1, c, h, w),
            [n, c, h, w] => Shape::new(n, c, h, w),
            ref axes => panic!("a tensor has at most four axes, the array has {}", axes.len()),
        };
        let numbers = array.as_standard_layout();
        let numbers = numbers.as_slice().expect("an array in standard layout is a slice");
        Tensor::constant(shape, Storage::from_nchw(device, shape, numbers))
    }

    /// A tensor from numbers in the logical order N, C, H, W.
    ///
    /// # Panics
    /// When the number of values is not the shape's.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl Into<Shape>, device: Device) -> Tensor {
        let shape = shape.into();
        assert_eq!(values.len(), shape.len(), "values given for a tensor of shape {shape:?}");
        Tensor::constant(shape, Storage::from_nchw(device, shape, &values))
    }

    /// A tensor with the same number everywhere.
    pub fn full(value: f64, shape: impl Into<Shape>, device: Device) -> Tensor {
        let shape = shape.into();
        Tensor::constant(shape, Storage::filled(device, shape.len(), value))
    }

    /// A tensor of zeros.
    pub fn zeros(shape: impl Into<Shape>, device: Device) -> Tensor {
        Tensor::full(0.0, shape, device)
    }

    /// The same numbers as a variable: a leaf that gradients can be taken with respect to.
    pub fn variable(&self) -> Tensor {
        Tensor { node: Some(Arc::new(Node::leaf())), ..self.clone() }
    }

    /// The same numbers as a constant: gradients stop here.
    pub fn detach(&self) -> Tensor {
        Tensor { node: None, ..self.clone() }
    }

    /// Whether gradients can flow through this tensor.
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }

    /// The lengths of the four axes.
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

    /// The numbers in the logical order N, C, H, W.
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        self.storage.to_nchw(self.shape)
    }

    /// The numbers as an ndarray with axes N, C, H, W.
    pub fn to_array<T: Element>(&self) -> Array4<T> {
        let Shape { n, c, h, w } = self.shape;
        Array4::from_shape_vec((n, c, h, w), self.to_vec()).expect("a tensor holds as many numbers as its shape says")
    }

    /// The value of a scalar.
    ///
    /// # Panics
    /// When the tensor holds more than one number.
    pub fn item(&self) -> f64 {
        assert_eq!(self.shape, Shape::SCALAR, "item of a tensor that is no scalar");
        self.to_vec::<f64>()[0]
    }

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
