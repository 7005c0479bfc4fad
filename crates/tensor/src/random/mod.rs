//! Random numbers that are a function of where they are used: Philox4x32-10 (Salmon et al., 2011).
//!
//! A generator with a state must be saved to resume, and gives other numbers to everybody once somebody draws more.
//! Here a number depends only on the seed and its address (stream, part, step, substep and element). A resumed run thus
//! continues with the same numbers, and a part of a program that draws more leaves everybody else's alone.
//!
//! Normals are made with additions, multiplications, divisions, fused multiply-adds and square roots only, which are
//! exactly rounded everywhere, so that other devices can make the same bits.

mod cuda;

use rayon::prelude::*;

use crate::cpu::vectorised;
use crate::cuda::refuse_capture;
use crate::shape::Shape;
use crate::storage::Device;
use crate::tensor::Tensor;

/// The source of a program's random numbers: Philox4x32-10 (Salmon et al., 2011), a function of a seed and an
/// [`Address`]. It has no state.
///
/// ```
/// use mergan_tensor::{Address, Device, Random};
///
/// let random = Random::new(0);
/// let latents = |step| random.normal(Address { step, ..Address::default() }, [64, 128], Device::Cpu).to_vec::<f32>();
/// assert_eq!(latents(1), latents(1));
/// assert_ne!(latents(1), latents(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    seed: u64,
}

/// The address of random numbers: their purpose and the position in the work. Different addresses give independent
/// numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The purpose of the numbers: such as 0 for latents, 1 for batches.
    pub stream: u16,
    /// A part of the work, such as an epoch or a task.
    pub part: u16,
    /// A step of the part, such as an iteration of training.
    pub step: u32,
    /// A step within the step, such as one of several steps of a critic in an iteration.
    pub substep: u32,
}

impl Random {
    /// The source with this seed.
    pub const fn new(seed: u64) -> Random {
        Random { seed }
    }

    /// Numbers from the standard normal distribution (Box and Muller, 1958). Element i in logical order is the i-th
    /// number of the address on every device, to the same bits.
    pub fn normal(&self, address: Address, shape: impl Into<Shape>, device: Device) -> Tensor {
        let shape = shape.into();
        if let Device::Cuda(index) = device {
            return Tensor::constant(shape, self.on_device("normal_f32", address, shape, index));
        }
        let numbers = self.draw(
            address,
            shape.len(),
            #[inline(always)]
            |[a, b, c, d]| {
                let ([a, b], [c, d]) = (normals(a, b), normals(c, d));
                [a, b, c, d]
            },
        );
        Tensor::from_vec(numbers, shape, device)
    }

    /// Numbers distributed evenly over [0, 1), in steps of 2^-24. Element i in logical order is the i-th number of the
    /// address on every device, to the same bits.
    pub fn uniform(&self, address: Address, shape: impl Into<Shape>, device: Device) -> Tensor {
        let shape = shape.into();
        if let Device::Cuda(index) = device {
            return Tensor::constant(shape, self.on_device("uniform_f32", address, shape, index));
        }
        let units = |words: [u32; 4]| words.map(|word| (word >> 8) as f32 / (1 << 24) as f32);
        Tensor::from_vec(self.draw(address, shape.len(), units), shape, device)
    }

    /// `count` whole numbers distributed evenly over `0..bound`.
    #[track_caller]
    pub fn below(&self, address: Address, count: usize, bound: usize) -> Vec<usize> {
        assert!(bound > 0, "below: no whole number lies below 0");
        refuse_capture();
        // The high half of a 32 x 32 bit product; its bias, at most bound / 2^32, is far below anything measurable
        // here.
        let scale = |word: u32| ((u64::from(word) * bound as u64) >> 32) as usize;
        self.words(address, count).map(scale).collect()
    }

    /// A source that is independent of this one, and of those of other numbers; `number` is 1 or more.
    pub fn split(&self, number: u64) -> Random {
        // Philox tells any two keys apart; the odd factor spreads neighbouring numbers over all of them.
        Random::new(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// The numbers `0..len` in random order (Fisher and Yates).
    pub fn permutation(&self, address: Address, len: usize) -> Vec<usize> {
        refuse_capture();
        let mut order: Vec<usize> = (0..len).collect();
        for (i, word) in (1..len).rev().zip(self.words(address, len)) {
            order.swap(i, ((u64::from(word) * (i as u64 + 1)) >> 32) as usize);
        }
        order
    }

    /// The first `count` words of an address.
    fn words(&self, address: Address, count: usize) -> impl Iterator<Item = u32> {
        let block = self.blocks(address);
        (0..count.div_ceil(4)).flat_map(block).take(count)
    }

    /// `count` numbers, four of each block of words. Blocks know their places, so they are made in parallel.
    fn draw(&self, address: Address, count: usize, numbers: impl Fn([u32; 4]) -> [f32; 4] + Sync) -> Vec<f32> {
        const BLOCKS: usize = 256;
        let block = self.blocks(address);
        let mut values = vec![[0.0; 4]; count.div_ceil(4)];
        values.par_chunks_mut(BLOCKS).enumerate().for_each(|(i, values)| {
            vectorised(
                #[inline(always)]
                || {
                    for (j, value) in values.iter_mut().enumerate() {
                        *value = numbers(block(i * BLOCKS + j));
                    }
                },
            );
        });
        let mut values = values.into_flattened();
        values.truncate(count);
        values
    }

    /// The blocks of four words of an address, by their number.
    fn blocks(&self, address: Address) -> impl Fn(usize) -> [u32; 4] + use<> {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        move |i| philox([i as u32, address.substep, address.step, address.purpose()], key)
    }
}

impl Address {
    /// Stream and part in one word.
    fn purpose(&self) -> u32 {
        u32::from(self.stream) << 16 | u32::from(self.part)
    }
}

/// Ten rounds of Philox4x32.
#[inline(always)]
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let product = |multiplier: u32, word: u32| u64::from(multiplier) * u64::from(word);
        let (a, b) = (product(0xD251_1F53, counter[0]), product(0xCD9E_8D57, counter[2]));
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// Two normals from two words (Box and Muller, 1958).
#[inline(always)]
fn normals(a: u32, b: u32) -> [f32; 2] {
    let unit = (f64::from(a) + 0.5) / 4_294_967_296.0;
    let radius = (-2.0 * natural_logarithm(unit)).sqrt();
    let (sine, cosine) = sine_cosine_of_turns(b);
    [(radius * cosine) as f32, (radius * sine) as f32]
}

/// The natural logarithm of a positive normal number, to about 1e-15: ln(m 2^e) = e ln 2 + 2 artanh((m - 1) / (m + 1)).
#[inline(always)]
fn natural_logarithm(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits(bits & 0x000F_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    // artanh(s) / s = 1 + s^2 / 3 + s^4 / 5 + ...; s^2 is at most 0.0295.
    let series = (0..11).rev().fold(0.0f64, |sum, k| sum.mul_add(s * s, 1.0 / f64::from(2 * k + 1)));
    (exponent as f64).mul_add(std::f64::consts::LN_2, 2.0 * s * series)
}

/// Sine and cosine of `turns / 2^32` full turns, to about 1e-15.
#[inline(always)]
fn sine_cosine_of_turns(turns: u32) -> (f64, f64) {
    // The nearest quarter turn, and what remains: at most an eighth of a turn either way.
    let quarter = turns.wrapping_add(1 << 29) >> 30;
    let remainder = turns.wrapping_sub(quarter << 30) as i32;
    let x = f64::from(remainder) * (std::f64::consts::TAU / 4_294_967_296.0);
    // Taylor series; the k-th coefficient is the one before over the next two factors of the factorial.
    let series = |first: i32| {
        (0..9).rev().fold(1.0f64, |sum, k| {
            let factor = f64::from((2 * k + first + 1) * (2 * k + first + 2));
            (-sum * (x * x)).mul_add(1.0 / factor, 1.0)
        })
    };
    let (sine, cosine) = (x * series(1), series(0));
    match quarter & 3 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_their_words() {
        let (random, address) = (Random::new(3), Address { substep: 7, ..Address::default() });
        let drawn: Vec<f32> = random.uniform(address, [5001], Device::Cpu).to_vec();
        let expected = random.words(address, 5001).map(|word| (word >> 8) as f32 / (1 << 24) as f32);
        assert!(drawn.into_iter().eq(expected));
    }
    use approx::assert_abs_diff_eq;

    #[test]
    fn philox_gives_the_published_numbers() {
        // Known-answer values of the authors' Random123 library.
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn functions_of_the_normals_are_accurate() {
        for i in 1..10_000u32 {
            let x = f64::from(i) / 10_000.0;
            assert_abs_diff_eq!(natural_logarithm(x), x.ln(), epsilon = 4e-15);
            let turns = i.wrapping_mul(429_503);
            let angle = f64::from(turns) / 4_294_967_296.0 * std::f64::consts::TAU;
            let (sine, cosine) = sine_cosine_of_turns(turns);
            assert_abs_diff_eq!(sine, angle.sin(), epsilon = 4e-15);
            assert_abs_diff_eq!(cosine, angle.cos(), epsilon = 4e-15);
        }
    }

    #[test]
    fn normals_have_the_moments_of_the_normal_distribution() {
        let x: Vec<f64> = Random::new(7).normal(Address::default(), [200_000], Device::Cpu).to_vec();
        let mean = |power: i32| x.iter().map(|x| x.powi(power)).sum::<f64>() / x.len() as f64;
        // Four standard errors of each moment.
        for (power, expected, error) in [(1, 0.0, 1.0f64), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            assert_abs_diff_eq!(mean(power), expected, epsilon = 4.0 * (error / x.len() as f64).sqrt());
        }
    }

    #[test]
    fn addresses_are_independent_and_repeatable() {
        let random = Random::new(1);
        let draw = |address| random.below(address, 16, 1000);
        let here = Address { stream: 1, part: 2, step: 3, substep: 4 };
        assert_eq!(draw(here), draw(here));
        let others = [
            Address { stream: 2, ..here },
            Address { part: 3, ..here },
            Address { step: 4, ..here },
            Address { substep: 5, ..here },
        ];
        assert!(others.iter().all(|&other| draw(other) != draw(here)));
        assert_ne!(Random::new(2).below(here, 16, 1000), draw(here));
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        let mut order = Random::new(3).permutation(Address::default(), 1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }
}
