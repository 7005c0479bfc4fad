//! The three maps of every convolution of the digit critic, batch 64, with the number of operations so that divan prints
//! their rate.

use divan::Bencher;
use divan::counter::ItemsCount;
use mergan_tensor::{Address, Conv2d, Device, Random, Shape, Tensor};

const HALVING: Conv2d = Conv2d::square(2, 2);
const BATCH: usize = 64;

/// Channels in, channels out and the side of the images of one layer.
#[derive(Clone, Copy, Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    side: usize,
}

fn layers() -> impl Iterator<Item = Layer> {
    [16, 32, 64].into_iter().flat_map(|width| {
        [(1, width, 32), (width, 2 * width, 16), (2 * width, 4 * width, 8)].map(|(inputs, outputs, side)| Layer {
            inputs,
            outputs,
            side,
        })
    })
}

impl Layer {
    fn images(&self) -> Shape {
        Shape::new(BATCH, self.inputs, self.side, self.side)
    }
    fn kernel(&self) -> Shape {
        Shape::new(self.outputs, self.inputs, 5, 5)
    }
    fn result(&self) -> Shape {
        Shape::new(BATCH, self.outputs, self.side / 2, self.side / 2)
    }
    /// Additions and multiplications of one map.
    fn flops(&self) -> ItemsCount {
        ItemsCount::new(HALVING.flops(self.images(), self.kernel()).expect("the layer's shapes fit"))
    }
}

fn numbers(stream: u16, shape: Shape) -> Tensor {
    Random::new(0).normal(Address { stream, ..Address::default() }, shape, Device::Cpu)
}

#[divan::bench(args = layers())]
fn forward(bencher: Bencher, layer: Layer) {
    let (x, w) = (numbers(0, layer.images()), numbers(1, layer.kernel()));
    bencher.counter(layer.flops()).bench(|| x.conv2d(&w, HALVING));
}

#[divan::bench(args = layers())]
fn input_gradient(bencher: Bencher, layer: Layer) {
    let (dy, w) = (numbers(0, layer.result()), numbers(1, layer.kernel()));
    bencher.counter(layer.flops()).bench(|| dy.conv2d_input_grad(&w, HALVING, layer.images()));
}

#[divan::bench(args = layers())]
fn weight_gradient(bencher: Bencher, layer: Layer) {
    let (x, dy) = (numbers(0, layer.images()), numbers(1, layer.result()));
    bencher.counter(layer.flops()).bench(|| x.conv2d_weight_grad(&dy, HALVING, layer.kernel()));
}

fn main() {
    divan::main();
}
