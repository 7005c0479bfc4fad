//! Mistakes that users of PyTorch make at first. Each is refused with a message that names it, at the line that made
//! it.
//!
//! The messages are compared as a whole, since they are part of the interface. What the compiler refuses is in the
//! documentation of `Tensor` and `Shape`.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use mergan_tensor::{Adam, Conv2d, Device, FrozenConv2d, Pool2d, Tensor, no_grad};
use ndarray::{ArrayD, Ix3};

thread_local! {
    /// The location of this thread's last panic, while a mistake is made.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The message with which a program is refused, and the file that the panic points to.
fn refusal<R>(program: impl FnOnce() -> R) -> (String, String) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let location = info.location().map(|location| location.file().to_owned());
            let expected =
                LOCATION.with_borrow_mut(|last| last.as_mut().map(|last| *last = location.unwrap_or_default()));
            if expected.is_none() {
                usual(info);
            }
        }));
    });
    LOCATION.set(Some(String::new()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| drop(program())));
    let location = LOCATION.take().expect("set above");
    let payload = outcome.expect_err("the mistake was not refused");
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string()));
    (text.expect("a panic with a text"), location)
}

/// The message with which a program is refused. The panic points to this file.
#[track_caller]
fn refused<R>(program: impl FnOnce() -> R) -> String {
    let (message, location) = refusal(program);
    assert_eq!(location, file!(), "{message:?} points into the library");
    message
}

/// A tensor of ones.
fn ones<const N: usize>(shape: [usize; N]) -> Tensor {
    Tensor::full(1.0, shape, Device::Cpu)
}

#[test]
fn a_bias_per_channel_added_to_images() {
    let (images, bias) = (ones([2, 3, 8, 8]), ones([3]));
    assert_eq!(
        refused(|| &images + &bias),
        "add: the shapes [2, 3, 8, 8] and [3] cannot be broadcast together: counted from the last axis, lengths must \
         be equal or one of them 1 (for a number per channel of images, reshape [c] to [c, 1, 1])"
    );
    assert_eq!((images + bias.reshape([3, 1, 1])).shape(), [2, 3, 8, 8]);
}

#[test]
fn a_product_with_a_weight_in_the_order_of_a_linear_layer() {
    let (rows, weight) = (ones([4, 3]), ones([5, 3]));
    assert_eq!(
        refused(|| rows.matmul(&weight)),
        "matmul of tensors of shapes [4, 3] and [5, 3]: [n, k] times [k, m] or [b, n, k] times [b, k, m] is expected"
    );
    assert_eq!(
        refused(|| rows.linear(&weight.t())),
        "linear: rows [n, k] and a weight [m, k] are expected, not tensors of shapes [4, 3] and [3, 5]"
    );
    assert_eq!(rows.linear(&weight).shape(), [4, 5]);
}

#[test]
fn images_given_to_a_linear_layer_without_flattening() {
    let (images, weight) = (ones([2, 3, 8, 8]), ones([10, 192]));
    assert_eq!(
        refused(|| images.linear(&weight)),
        "linear: rows [n, k] and a weight [m, k] are expected, not tensors of shapes [2, 3, 8, 8] and [10, 192]"
    );
    assert_eq!(images.flatten().linear(&weight).shape(), [2, 10]);
}

#[test]
fn labels_counted_from_one() {
    let logits = ones([4, 3]);
    assert_eq!(
        refused(|| logits.cross_entropy(&[1, 2, 3, 1])),
        "cross_entropy: label 3 for logits of 3 classes, which are counted from 0"
    );
}

#[test]
fn one_hot_labels() {
    let (logits, one_hot) = (ones([2, 3]), [0, 1, 0, 1, 0, 0]);
    assert_eq!(
        refused(|| logits.cross_entropy(&one_hot)),
        "cross_entropy: 6 labels for 2 rows of logits; a label is the number of a class, not one-hot"
    );
}

#[test]
fn the_gradient_of_many_numbers() {
    let x = ones([4, 3]).variable();
    let message = "only a scalar has gradients, this tensor has the shape [4, 3]; take its sum or its mean first";
    assert_eq!(refused(|| x.square().gradients(&[&x])), message);
    assert_eq!(refused(|| x.square().differentiable_gradients(&[&x])), message);
}

#[test]
fn a_gradient_with_respect_to_a_constant() {
    let (x, images) = (ones([4, 3]).variable(), ones([4, 3]));
    assert_eq!(
        refused(|| (&x * &images).sum().gradients(&[&x, &images])),
        "variable 2 of 2 (shape [4, 3]) is a constant; make it a variable by Tensor::variable"
    );
}

#[test]
fn a_gradient_with_respect_to_a_clone_from_before_a_step() {
    let mut weight = ones([4, 3]).variable();
    let kept = weight.clone();
    let gradients = weight.square().sum().gradients(&[&weight]);
    Adam::default().step(0.1, vec![&mut weight], &gradients);
    assert_eq!(
        refused(|| weight.square().sum().gradients(&[&kept])),
        "the scalar does not depend on variable 1 of 1 (shape [4, 3]). An optimiser's step replaces its variables, so \
         that a clone of an earlier one is another variable. Where independence is meant, use \
         Tensor::gradients_or_zeros"
    );
}

#[test]
fn a_loss_computed_without_a_graph() {
    let x = ones([4, 3]).variable();
    let message = "the scalar is a constant: it was computed inside no_grad or from constants alone. What \
                   Tensor::gradients returns is constant, too; Tensor::differentiable_gradients returns tensors that \
                   have gradients";
    let loss = no_grad(|| x.square().sum());
    assert_eq!(refused(|| loss.gradients(&[&x])), message);
    let penalty = x.pow(3.0).sum().gradient(&x).square().sum();
    assert_eq!(refused(|| penalty.gradients(&[&x])), message);
}

#[test]
fn a_kernel_with_its_channels_swapped() {
    let (images, kernel) = (ones([2, 3, 8, 8]), ones([3, 16, 3, 3]));
    assert_eq!(
        refused(|| images.conv2d(&kernel, Conv2d::square(1, 1))),
        "conv2d of images [2, 3, 8, 8] with a kernel [3, 16, 3, 3] and Conv2d { stride: [1, 1], padding: [1, 1], \
         dilation: [1, 1], groups: 1 }: the kernel takes 16 channels, the images have 3"
    );
}

#[test]
fn a_kernel_larger_than_the_images() {
    let (images, kernel) = (ones([2, 3, 2, 2]), ones([16, 3, 3, 3]));
    assert_eq!(
        refused(|| images.conv2d(&kernel, Conv2d::square(1, 0))),
        "conv2d of images [2, 3, 2, 2] with a kernel [16, 3, 3, 3] and Conv2d { stride: [1, 1], padding: [0, 0], \
         dilation: [1, 1], groups: 1 }: the kernel is larger than the padded images"
    );
}

#[test]
fn a_transposed_convolution_with_a_kernel_in_the_order_of_a_convolution() {
    let (images, kernel) = (ones([2, 3, 8, 8]), ones([16, 3, 4, 4]));
    assert_eq!(
        refused(|| images.conv_transpose2d(&kernel, Conv2d::square(2, 1), [16, 16])),
        "conv_transpose2d of images [2, 3, 8, 8] with a kernel [16, 3, 4, 4]: the kernel takes 16 channels, the images \
         have 3; its axes are [channels of these images, channels of the result, kh, kw]"
    );
}

#[test]
fn a_transposed_convolution_to_another_size() {
    let (images, kernel) = (ones([2, 3, 8, 8]), ones([3, 16, 4, 4]));
    assert_eq!(
        refused(|| images.conv_transpose2d(&kernel, Conv2d::square(2, 1), [8, 8])),
        "conv_transpose2d to images of shape [2, 16, 8, 8] with Conv2d { stride: [2, 2], padding: [1, 1], dilation: [1, \
         1], groups: 1 }: a convolution of such images has the shape [2, 3, 4, 4], these images have [2, 3, 8, 8]"
    );
}

#[test]
fn an_image_without_a_batch_axis() {
    let (image, kernel) = (ones([3, 8, 8]), ones([16, 3, 3, 3]));
    assert_eq!(
        refused(|| image.conv2d(&kernel, Conv2d::square(1, 1))),
        "conv2d takes images [n, c, h, w], not a tensor of shape [3, 8, 8]"
    );
}

#[test]
fn a_bias_with_the_axes_of_images_in_a_layer() {
    let (images, kernel) = (ones([2, 3, 8, 8]), ones([16, 3, 3, 3]));
    assert_eq!(
        refused(|| images.conv2d_leaky_relu(&kernel, &ones([16, 1, 1]), Conv2d::square(1, 1), 0.2)),
        "conv2d_leaky_relu: a bias of shape [16, 1, 1] for 16 channels; [16] is expected"
    );
    assert_eq!(
        refused(|| FrozenConv2d::new(&kernel, &ones([3]), Conv2d::square(1, 1), 0.2)),
        "FrozenConv2d::new: a bias of shape [3] for 16 channels; [16] is expected"
    );
}

#[test]
fn a_norm_with_scales_for_the_wrong_axis() {
    let images = ones([2, 3, 8, 8]);
    assert_eq!(
        refused(|| images.batch_norm_leaky_relu(&ones([8]), &ones([8]), 1, 1e-5, 0.0)),
        "batch_norm_leaky_relu: a table of shape [8] for 2 images of 3 channels; it must be [3], or [r, 3] with r a \
         divisor of the images"
    );
    assert_eq!(
        refused(|| images.layer_norm_leaky_relu(&ones([3, 8, 8]), &ones([3, 8, 8]), 1e-5, 0.0)),
        "layer_norm_leaky_relu: a table of shape [3, 8, 8] for 3 channels"
    );
}

#[test]
fn a_negative_slope_with_its_sign() {
    assert_eq!(refused(|| ones([4, 3]).leaky_relu(-0.2)), "the slope of a leaky rectifier lies in [0, 1]: -0.2");
}

#[test]
fn padding_of_a_whole_window() {
    assert_eq!(
        refused(|| ones([2, 3, 8, 8]).max_pool2d(Pool2d::square(2, 2, 2))),
        "max_pool2d of images [2, 3, 8, 8] with Pool2d { kernel: [2, 2], stride: [2, 2], padding: [2, 2] }: the padding \
         is more than half of the window"
    );
}

#[test]
fn tensors_on_different_devices() {
    let (images, elsewhere) = (ones([2, 3, 8, 8]), ones([2, 3, 8, 8]).to_device(Device::Reference));
    let message = |operation: &str| {
        format!("{operation}: the first operand is on cpu, another on reference; see Tensor::to_device")
    };
    assert_eq!(refused(|| &images * &elsewhere), message("multiply"));
    assert_eq!(refused(|| Tensor::concat(0, &[&images, &elsewhere])), message("concat"));
    assert_eq!(refused(|| images.conv2d(&elsewhere, Conv2d::POINT)), message("conv2d"));
}

#[test]
fn another_number_of_elements() {
    assert_eq!(
        refused(|| ones([2, 6]).reshape([3, 5])),
        "reshape: a tensor of shape [2, 6] has 12 elements, the shape [3, 5] has 15"
    );
    assert_eq!(
        refused(|| Tensor::from_vec(vec![1.0f32; 5], [2, 3], Device::Cpu)),
        "from_vec: 5 values were given for a tensor of shape [2, 3], which holds 6"
    );
}

#[test]
fn indices_out_of_range() {
    let rows = ones([4, 3]);
    assert_eq!(
        refused(|| rows.index_select(0, &[0, 4])),
        "index_select: number 4 for axis 0, which has length 4; the tensor's shape is [4, 3]"
    );
    assert_eq!(
        refused(|| rows.gather(&[0, 1, 2, 3])),
        "gather: number 3 for axis 1, which has length 3; the tensor's shape is [4, 3]"
    );
    assert_eq!(refused(|| rows.slice(0, 2..5)), "slice 2..5 of axis 0 of a tensor of shape [4, 3], which has length 4");
}

#[test]
fn axes_counted_from_one() {
    let rows = ones([4, 3]);
    let message = "axis 2 of a tensor of shape [4, 3], whose axes are counted from 0";
    assert_eq!(refused(|| rows.slice(2, 0..1)), message);
    assert_eq!(refused(|| rows.shape()[2]), message);
    assert_eq!(refused(|| rows.sum_axes(&[2])), message);
    assert_eq!(refused(|| rows.softmax(2)), message);
}

#[test]
fn two_axes_to_exchange_instead_of_an_order_of_all() {
    assert_eq!(
        refused(|| ones([2, 3, 8, 8]).permute(&[0, 2])),
        "permute: [0, 2] does not name each of the axes 0..4 once"
    );
}

#[test]
fn tensors_of_other_shapes_joined() {
    let (rows, wider) = (ones([4, 3]), ones([4, 5]));
    assert_eq!(
        refused(|| Tensor::concat(0, &[&rows, &wider])),
        "concat along axis 0 of tensors of shapes [[4, 3], [4, 5]]: all other axes must be equal"
    );
    assert_eq!(
        refused(|| Tensor::stack(&[&rows, &wider])),
        "stack of tensors of shapes [[4, 3], [4, 5]], which must be equal"
    );
    let images = ones([2, 3, 8, 8]);
    assert_eq!(
        refused(|| Tensor::stack(&[&images, &images])),
        "stack of tensors of shape [2, 3, 8, 8]: a tensor has at most four axes"
    );
}

#[test]
fn the_item_of_a_batch() {
    assert_eq!(
        refused(|| ones([4, 3]).item()),
        "item: a tensor of shape [4, 3] holds 12 numbers, not one; take its sum or its mean first, or use to_vec"
    );
}

#[test]
fn another_number_of_axes() {
    let images = ones([2, 3, 8, 8]);
    assert_eq!(
        refused(|| {
            let [_rows, _columns] = images.shape().dims();
        }),
        "a tensor of 2 axes was expected, this one has the shape [2, 3, 8, 8]"
    );
    assert_eq!(
        refused(|| images.to_array::<f32, Ix3>()),
        "to_array: a tensor of shape [2, 3, 8, 8] was asked for as an array of 3 axes"
    );
    assert_eq!(
        refused(|| Tensor::from_array(&ArrayD::<f32>::zeros(vec![1; 5]), Device::Cpu)),
        "from_array: a tensor has at most four axes, the array has 5"
    );
}

#[test]
fn a_step_with_too_few_gradients() {
    let (mut weight, mut bias) = (ones([4, 3]).variable(), ones([4]).variable());
    let gradients = [ones([4, 3])];
    assert_eq!(
        refused(|| Adam::default().step(0.1, vec![&mut weight, &mut bias], &gradients)),
        "assertion `left == right` failed: Adam needs one gradient for every parameter\n  left: 2\n right: 1"
    );
}

#[test]
fn a_step_with_the_parameters_in_another_order() {
    let (mut weight, mut bias) = (ones([4, 3]), ones([4]));
    let (for_weight, for_bias) = (ones([4, 3]), ones([4]));
    let mut adam = Adam::default();
    adam.step(0.1, vec![&mut weight, &mut bias], &[for_weight.clone(), for_bias.clone()]);
    assert_eq!(
        refused(|| adam.step(0.1, vec![&mut bias, &mut weight], &[for_bias, for_weight])),
        "Adam step of a parameter [4] with a gradient [4] and means [4, 3]"
    );
}
