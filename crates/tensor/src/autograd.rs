//! Reverse-mode differentiation of any order.
//!
//! The gradient of every operation can be computed with public operations alone, and it is when the gradient's own
//! history is recorded. Such a gradient is a tensor like any other and can be differentiated again. A gradient penalty
//! needs that, because training differentiates the penalty.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::tensor::{SavedOutput, Tensor};

type Gradient = Box<dyn Fn(&Backward) -> Vec<Option<Tensor>> + Send + Sync>;

/// A node of the graph. It refers to the nodes of its operands, not to their data: a gradient keeps only the data that
/// it needs, so everything else is freed as soon as the forward computation is done with it.
pub(crate) struct Node {
    /// Identifiers increase with time, so an operand's identifier is always smaller than that of any result computed
    /// from it.
    id: u64,
    operands: Vec<Option<Arc<Node>>>,
    /// The operation's gradient function, or `None` for a variable.
    gradient: Option<Gradient>,
}

/// The context that an operation's gradient function is called with.
pub(crate) struct Backward<'a> {
    /// The gradient of the result.
    pub(crate) upstream: &'a Tensor,
    node: &'a Arc<Node>,
    wanted: Vec<bool>,
}

impl Backward<'_> {
    /// Returns whether the gradient of this operand is needed.
    pub(crate) fn wants(&self, operand: usize) -> bool {
        self.wanted[operand]
    }

    /// Returns the operand's gradient, which is computed only if it is needed.
    pub(crate) fn when(&self, operand: usize, gradient: impl FnOnce() -> Tensor) -> Option<Tensor> {
        self.wants(operand).then(gradient)
    }

    /// Returns the operation's own result.
    pub(crate) fn output(&self, saved: &SavedOutput) -> Tensor {
        saved.attach(self.node.clone())
    }
}

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
}

/// Returns whether operations on this thread record the graph for differentiation.
pub(crate) fn is_recording() -> bool {
    RECORDING.get()
}

/// Runs `f` without recording: its results on this thread are constants, and its intermediate results are freed
/// immediately.
///
/// ```
/// use mergan_tensor::{Device, Tensor, no_grad};
///
/// let x = Tensor::full(3.0, [2], Device::Cpu).variable();
/// assert!(x.square().is_tracked());
/// assert!(!no_grad(|| x.square()).is_tracked());
/// ```
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    with_recording(false, f)
}

fn with_recording<R>(recording: bool, f: impl FnOnce() -> R) -> R {
    /// Restores the flag, even if `f` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            RECORDING.set(self.0);
        }
    }
    let _restore = Restore(RECORDING.replace(recording));
    f()
}

impl Node {
    pub(crate) fn leaf() -> Node {
        Node { id: next_id(), operands: Vec::new(), gradient: None }
    }

    /// Creates the node of an operation's result, or returns `None` if recording is off or no operand is tracked.
    pub(crate) fn operation(
        operands: impl Iterator<Item = Option<Arc<Node>>>,
        gradient: impl FnOnce() -> Gradient,
    ) -> Option<Arc<Node>> {
        if !is_recording() {
            return None;
        }
        let operands: Vec<_> = operands.collect();
        let tracked = operands.iter().any(Option::is_some);
        tracked.then(|| Arc::new(Node { id: next_id(), operands, gradient: Some(gradient()) }))
    }

    /// Moves the operands to `pending`, then drops the gradient function, which may hold the last tensors that refer to
    /// them.
    fn release_into(&mut self, pending: &mut Vec<Arc<Node>>) {
        pending.extend(self.operands.drain(..).flatten());
        self.gradient = None;
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Frees a chain of operations iteratively: the default drop would recurse once per operation and overflow the stack on
/// a long chain. A gradient function also keeps operands alive, so it is dropped while `pending` still holds them.
impl Drop for Node {
    fn drop(&mut self) {
        let mut pending = Vec::new();
        self.release_into(&mut pending);
        while let Some(node) = pending.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                node.release_into(&mut pending);
            }
        }
    }
}

impl Tensor {
    /// Returns the gradient of this scalar with respect to one variable, as a constant; see [`Tensor::gradients`].
    ///
    /// # Panics
    /// Panics as [`Tensor::gradients`] does.
    #[track_caller]
    pub fn gradient(&self, variable: &Tensor) -> Tensor {
        self.gradients(&[variable]).remove(0)
    }

    /// Returns the gradient of this scalar with respect to one variable with its history, so that it can be
    /// differentiated again; see [`Tensor::differentiable_gradients`].
    ///
    /// # Panics
    /// Panics as [`Tensor::gradients`] does.
    #[track_caller]
    pub fn differentiable_gradient(&self, variable: &Tensor) -> Tensor {
        self.differentiable_gradients(&[variable]).remove(0)
    }

    /// Returns the gradients of this scalar with respect to each of `variables`, as constants. Each has the shape of
    /// its variable.
    ///
    /// Only the paths that lead to one of the variables are computed. A variable need not be a leaf: it can also be a
    /// tensor that was computed from one.
    ///
    /// ```
    /// use mergan_tensor::{Device, Tensor};
    ///
    /// let x = Tensor::from_vec(vec![1.0, 2.0], [2], Device::Cpu).variable();
    /// let loss = (&x * 3.0).square().sum();
    /// assert_eq!(loss.gradients(&[&x])[0].to_vec::<f32>(), [18.0, 36.0]);
    /// ```
    ///
    /// # Panics
    /// Panics if this tensor does not have exactly one element, if one of `variables` is a constant, or if the scalar
    /// does not depend on it.
    #[track_caller]
    pub fn gradients(&self, variables: &[&Tensor]) -> Vec<Tensor> {
        let targets = targets(self, variables);
        require_all(with_recording(false, || backward(self, &targets)), self, variables)
    }

    /// Returns the same gradients as [`Tensor::gradients`] with their history, so that they can be differentiated
    /// again.
    ///
    /// ```
    /// use mergan_tensor::{Device, Tensor};
    ///
    /// let x = Tensor::from_vec(vec![1.0, 2.0], [2], Device::Cpu).variable();
    /// let slopes = x.pow(3.0).sum().differentiable_gradient(&x);
    /// let curvatures = slopes.sum().gradient(&x);
    /// assert_eq!(curvatures.to_vec::<f32>(), [6.0, 12.0]);
    /// ```
    ///
    /// # Panics
    /// Panics as [`Tensor::gradients`] does.
    #[track_caller]
    pub fn differentiable_gradients(&self, variables: &[&Tensor]) -> Vec<Tensor> {
        let targets = targets(self, variables);
        require_all(with_recording(true, || backward(self, &targets)), self, variables)
    }

    /// Returns the same gradients as [`Tensor::gradients`], and zeros for variables that the scalar does not depend on.
    ///
    /// # Panics
    /// Panics if this tensor does not have exactly one element, or if one of `variables` is a constant.
    #[track_caller]
    pub fn gradients_or_zeros(&self, variables: &[&Tensor]) -> Vec<Tensor> {
        let targets = targets(self, variables);
        or_zeros(with_recording(false, || backward(self, &targets)), variables)
    }

    /// Returns the same gradients as [`Tensor::differentiable_gradients`], and zeros for variables that the scalar does
    /// not depend on.
    ///
    /// # Panics
    /// Panics if this tensor does not have exactly one element, or if one of `variables` is a constant.
    #[track_caller]
    pub fn differentiable_gradients_or_zeros(&self, variables: &[&Tensor]) -> Vec<Tensor> {
        let targets = targets(self, variables);
        or_zeros(with_recording(true, || backward(self, &targets)), variables)
    }
}

/// Returns the identifiers of the variables' nodes.
#[track_caller]
fn targets(of: &Tensor, variables: &[&Tensor]) -> Vec<u64> {
    let shape = of.shape();
    assert!(
        shape.len() == 1,
        "only a scalar has gradients, this tensor has the shape {shape:?}; take its sum or its mean first"
    );
    let mut targets = Vec::with_capacity(variables.len());
    for (i, variable) in variables.iter().enumerate() {
        let Some(node) = variable.node() else {
            panic!("{} is a constant; make it a variable by Tensor::variable", named(i, variables))
        };
        targets.push(node.id);
    }
    targets
}

#[track_caller]
fn require_all(found: Vec<Option<Tensor>>, of: &Tensor, variables: &[&Tensor]) -> Vec<Tensor> {
    if let Some(i) = found.iter().position(Option::is_none) {
        assert!(
            of.is_tracked(),
            "the scalar is a constant: it was computed inside no_grad or from constants alone. What Tensor::gradients \
             returns is constant, too; Tensor::differentiable_gradients returns tensors that have gradients"
        );
        panic!(
            "the scalar does not depend on {}. An optimiser's step replaces its variables, so that a clone of an \
             earlier one is another variable. Where independence is meant, use Tensor::gradients_or_zeros",
            named(i, variables)
        );
    }
    found.into_iter().flatten().collect()
}

fn or_zeros(found: Vec<Option<Tensor>>, variables: &[&Tensor]) -> Vec<Tensor> {
    let zeros = |variable: &Tensor| Tensor::zeros(variable.shape(), variable.device());
    found.into_iter().zip(variables).map(|(gradient, variable)| gradient.unwrap_or_else(|| zeros(variable))).collect()
}

/// Describes a variable in panic messages.
fn named(i: usize, variables: &[&Tensor]) -> String {
    format!("variable {} of {} (shape {:?})", i + 1, variables.len(), variables[i].shape())
}

/// Returns the gradients with respect to the variables of these nodes, with `None` where no path leads to one.
fn backward(of: &Tensor, targets: &[u64]) -> Vec<Option<Tensor>> {
    let order = reachable(of);
    // Operands precede the results computed from them, so one pass in ascending order finds the nodes between `of` and
    // a target.
    let mut leads_to_target: HashMap<u64, bool> = HashMap::with_capacity(order.len());
    for (&id, node) in &order {
        let leads = targets.contains(&id) || node.operands.iter().flatten().any(|operand| leads_to_target[&operand.id]);
        leads_to_target.insert(id, leads);
    }

    let mut gradients: HashMap<u64, Tensor> = HashMap::new();
    let mut found: HashMap<u64, Tensor> = HashMap::new();
    if let Some(root) = of.node() {
        gradients.insert(root.id, Tensor::full(1.0, of.shape(), of.device()));
    }
    for (id, node) in order.iter().rev() {
        let Some(upstream) = gradients.remove(id) else { continue };
        if targets.contains(id) {
            found.insert(*id, upstream.clone());
        }
        let wanted: Vec<bool> =
            node.operands.iter().map(|operand| operand.as_ref().is_some_and(|o| leads_to_target[&o.id])).collect();
        let (Some(gradient), true) = (&node.gradient, wanted.contains(&true)) else { continue };
        let parts = gradient(&Backward { upstream: &upstream, node, wanted });
        for (operand, part) in node.operands.iter().zip(parts) {
            let (Some(operand), Some(part)) = (operand, part) else { continue };
            if leads_to_target[&operand.id] {
                let sum = match gradients.remove(&operand.id) {
                    Some(earlier) => earlier + part,
                    None => part,
                };
                gradients.insert(operand.id, sum);
            }
        }
    }
    targets.iter().map(|id| found.get(id).cloned()).collect()
}

/// Returns all nodes that `of` was computed from, including its own, by ascending identifier.
fn reachable(of: &Tensor) -> BTreeMap<u64, Arc<Node>> {
    let mut seen = BTreeMap::new();
    let mut pending: Vec<Arc<Node>> = of.node().cloned().into_iter().collect();
    while let Some(node) = pending.pop() {
        if let Entry::Vacant(place) = seen.entry(node.id) {
            pending.extend(node.operands.iter().flatten().cloned());
            place.insert(node);
        }
    }
    seen
}
