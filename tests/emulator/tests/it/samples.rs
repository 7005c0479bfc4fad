//! Checks that each executor runs small test kernels correctly in every order.

use mergan_emulator::launch::{Executor, LaunchError};
use mergan_emulator::ledger::Tier;

use crate::support::{SCHEDULES, TIERS, Value, download, executor, launch, numbers, sample, upload, words};

/// Computes the product of an m x k and a k x n matrix by `kernel`, and returns its largest error.
pub fn product(device: &dyn Executor, kernel: &str, [m, n, k]: [usize; 3]) -> Result<f64, LaunchError> {
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    let c = Value::Address(device.allocate(4 * m * n));
    let values =
        [upload(device, &a), upload(device, &b), c, Value::Int(m as i32), Value::Int(n as i32), Value::Int(k as i32)];
    let grid = [n.div_ceil(16) as u32, m.div_ceil(16) as u32, 1];
    let (block, shared) = if kernel == "product_tf32" { ([64, 1, 1], 4 * 8 * 24 * 4) } else { ([16, 16, 1], 0) };
    launch(device, kernel, [grid, block], shared, &values)?;
    let exact = |row: usize, column: usize| -> f64 {
        (0..k).map(|i| f64::from(a[row * k + i]) * f64::from(b[i * n + column])).sum()
    };
    let computed = download(device, c, m * n);
    let error = |i: usize| (f64::from(computed[i]) - exact(i / n, i % n)).abs();
    // NaN counts as the largest error.
    Ok((0..m * n).map(error).fold(0.0, |worst, error| if error <= worst { worst } else { error }))
}

/// Returns the error of the sum of `n` numbers computed by `blocks` blocks.
pub fn total(device: &dyn Executor, n: usize, blocks: u32) -> Result<f64, LaunchError> {
    let x = numbers(n, 3);
    let sum = upload(device, &[1.0]);
    launch(device, "total_f32", [[blocks, 1, 1], [256, 1, 1]], 0, &[upload(device, &x), sum, Value::Int(n as i32)])?;
    let exact = 1.0 + x.iter().copied().map(f64::from).sum::<f64>();
    Ok((f64::from(download(device, sum, 1)[0]) - exact).abs())
}

/// Returns 0 if reversing each group of 32 numbers is correct, else infinity.
pub fn reversed(device: &dyn Executor) -> Result<f64, LaunchError> {
    let x = numbers(256, 4);
    let y = Value::Address(device.allocate(4 * x.len()));
    launch(device, "reversed_f32", [[2, 1, 1], [128, 1, 1]], 0, &[upload(device, &x), y])?;
    let expected: Vec<f32> = x.chunks(32).flat_map(|group| group.iter().rev().copied()).collect();
    Ok(if download(device, y, x.len()) == expected { 0.0 } else { f64::INFINITY })
}

/// Returns the error of sums of four numbers that begin at `offset`.
pub fn fours(device: &dyn Executor, offset: i32) -> Result<f64, LaunchError> {
    let x = numbers(140, 5);
    let y = Value::Address(device.allocate(4 * 32));
    launch(device, "fours_f32", [[1, 1, 1], [32, 1, 1]], 0, &[upload(device, &x), y, Value::Int(offset)])?;
    let exact = x[offset as usize..].chunks(4).map(|four| four.iter().sum::<f32>());
    let computed = download(device, y, 32);
    Ok(computed.into_iter().zip(exact).map(|(y, exact)| f64::from((y - exact).abs())).fold(0.0, f64::max))
}

/// Runs `work` on every tier and in every order.
fn everywhere(modules: &[&str], work: impl Fn(Tier, &dyn Executor)) {
    let modules: Vec<_> = modules.iter().map(|name| sample(name)).collect();
    for tier in TIERS {
        for schedule in SCHEDULES {
            work(tier, executor(tier, &modules, schedule).as_ref());
        }
    }
}

#[test]
fn products_through_shared_memory() {
    everywhere(&["samples"], |tier, device| {
        for shape in [[1, 1, 1], [16, 16, 16], [19, 33, 21]] {
            let error = product(device, "product_f32", shape).unwrap();
            assert!(error < 1e-5, "{tier:?}: {error} of {shape:?}");
        }
    });
}

#[test]
fn products_on_tensor_cores_through_asynchronous_copies() {
    everywhere(&["samples_tf32"], |tier, device| {
        for shape in [[1, 1, 1], [16, 16, 8], [19, 33, 21]] {
            let error = product(device, "product_tf32", shape).unwrap();
            // The operands have eleven bits.
            assert!(error < 1e-3 * (shape[2] as f64).sqrt(), "{tier:?}: {error} of {shape:?}");
        }
    });
}

#[test]
fn sums_by_shuffles_and_atomics() {
    everywhere(&["samples"], |tier, device| {
        for (n, blocks) in [(1, 1), (1000, 1), (3000, 3)] {
            let error = total(device, n, blocks).unwrap();
            assert!(error < 1e-4, "{tier:?}: {error} of {n}");
        }
    });
}

#[test]
fn warps_synchronise() {
    everywhere(&["samples"], |_, device| assert_eq!(reversed(device).unwrap(), 0.0));
}

#[test]
fn vectors_of_four_are_loaded_at_their_alignment() {
    everywhere(&["samples"], |tier, device| {
        assert!(fours(device, 4).unwrap() < 1e-6);
        if tier != Tier::Fast {
            let error = fours(device, 1).unwrap_err().to_string();
            assert!(error.contains("misaligned"), "{tier:?}: {error}");
        }
    });
}

#[test]
fn mathematics_and_votes() {
    let x = numbers(100, 6);
    let bits = |v: f32| f64::from(((u64::from(v.to_bits()) * 0x9e37_79b9) >> 40) as u32);
    let counts = |v: f32| f64::from(v.to_bits().count_ones()) + f64::from((v.to_bits() | 1).leading_zeros());
    let functions: [&dyn Fn(usize, f32) -> f64; 10] = [
        &|_, v| f64::from(v).exp(),
        &|_, v| (f64::from(v).abs() + 1.0).ln(),
        &|_, v| f64::from(v).tanh(),
        &|_, v| f64::from(v).abs().sqrt() + (f64::from(v).abs() + 1.0).sqrt().recip(),
        &|_, v| f64::from(v) / (1.0 + f64::from(v).powi(2)),
        &|_, v| f64::from(v.floor() + (2.0 * v).round_ties_even() + (3.0 * v).ceil() + (4.0 * v).trunc()),
        &|_, v| f64::from((v * 100.0) as i32 / 7 + (v * 100.0) as i32 % 7),
        &|_, v| bits(v) + counts(v),
        &|i, v| 3.0 * f64::from(v) + i as f64,
        &|i, v| f64::from([0.5, 0.25, 0.125][i % 3] * v.clamp(-1.0, 1.0)),
    ];
    everywhere(&["samples"], |tier, device| {
        for (kind, function) in functions.iter().enumerate() {
            let y = Value::Address(device.allocate(4 * x.len()));
            let values = [upload(device, &x), y, Value::Int(x.len() as i32), Value::Pair(kind as i32, 3.0)];
            launch(device, "functions_f32", [[2, 1, 1], [64, 1, 1]], 0, &values).unwrap();
            for (i, (y, x)) in download(device, y, x.len()).into_iter().zip(&x).enumerate() {
                let exact = function(i, 3.0 * x);
                assert!(
                    (f64::from(y) - exact).abs() <= 1e-6 * exact.abs().max(1.0),
                    "{tier:?} {kind} {x}: {y} {exact}"
                );
            }
        }
        let y = Value::Address(device.allocate(8));
        launch(device, "signs_f32", [[1, 1, 1], [64, 1, 1]], 0, &[upload(device, &x), y]).unwrap();
        let expected = |warp: usize| (0..32).fold(0, |bits, lane| bits | u32::from(x[warp * 32 + lane] > 0.0) << lane);
        assert_eq!(words(device, y, 2), [expected(0), expected(1)], "{tier:?}");
    });
}
