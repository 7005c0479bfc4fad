//! Times the three maps of every convolution of the digit networks at batch 64, with the number of operations so that
//! divan prints their rate.

use divan::Bencher;
use divan::counter::ItemsCount;
use mergan_benches::convolutions::{Convolution, Map, digits};
use mergan_tensor::Device;

fn convolutions() -> impl Iterator<Item = Convolution> {
    [16, 32, 64].into_iter().flat_map(|width| digits(width, 64)).map(|layer| layer.convolution)
}

#[divan::bench(args = convolutions())]
fn conv2d(bencher: Bencher, convolution: &Convolution) {
    measure(bencher, convolution, Map::Conv2d);
}

#[divan::bench(args = convolutions())]
fn input_grad(bencher: Bencher, convolution: &Convolution) {
    measure(bencher, convolution, Map::InputGrad);
}

#[divan::bench(args = convolutions())]
fn weight_grad(bencher: Bencher, convolution: &Convolution) {
    measure(bencher, convolution, Map::WeightGrad);
}

fn measure(bencher: Bencher, convolution: &Convolution, map: Map) {
    bencher.counter(ItemsCount::new(convolution.flops())).bench_local(convolution.map(map, Device::Cpu));
}

fn main() {
    divan::main();
}
