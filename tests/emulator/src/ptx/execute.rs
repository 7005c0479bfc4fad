//! Executes a warp, instruction by instruction.

use super::access::Lanes;
use super::arithmetic::{self, Wide, converted, flushed};
use super::block::{Block, LOCAL_WINDOW, SHARED_WINDOW, Stop};
use super::collective::Shuffled;
use super::instruction::{Comparison, Instruction, Operand, Operation, Register, Space, Type};
use super::warp::{Status, Warp};

/// Runs a warp until it waits at a barrier or has left the kernel.
///
/// # Errors
/// When the launch cannot continue; the reason is among the block's findings.
pub fn run(warp: &mut Warp, block: &mut Block) -> Result<(), Stop> {
    let kernel = block.kernel;
    while warp.status == Status::Ready {
        if block.findings.full() {
            return Err(Stop);
        }
        warp.regroup();
        let step = &kernel.steps[warp.at];
        let lanes = match step.guard {
            None => warp.active,
            Some((predicate, wanted)) => {
                let is_true = warp.read_predicate(Operand::Register(Register::Predicate(predicate)));
                warp.active & if wanted { is_true } else { !is_true }
            }
        };
        match step.instruction {
            Instruction::Branch { target } => warp.branch(lanes, target),
            Instruction::Return => warp.leave(lanes),
            _ if lanes == 0 => warp.advance(),
            ref instruction => {
                execute(instruction, &mut Lanes { warp, block, lanes })?;
                warp.advance();
            }
        }
    }
    Ok(())
}

fn execute(instruction: &Instruction, lanes: &mut Lanes) -> Result<(), Stop> {
    let active = lanes.lanes;
    let warp = &mut *lanes.warp;
    match *instruction {
        Instruction::Arithmetic { operation, ty, flush, to, from } => {
            compute(warp, active, operation, ty, flush, to, from)
        }
        Instruction::Move { to: Register::Narrow(to), from } => {
            let value = warp.read_narrow(from);
            warp.write_narrow(to, active, &value);
        }
        Instruction::Move { to: Register::Wide(to), from } => {
            let value = warp.read_wide(from);
            warp.write_wide(to, active, &value);
        }
        Instruction::Move { to: Register::Predicate(to), from } => {
            let value = warp.read_predicate(from);
            warp.write_predicate(to, active, value);
        }
        Instruction::Pack { to, from } => {
            let [low, high] = from.map(|from| warp.read_narrow(from));
            let value = std::array::from_fn(|lane| u64::from(high[lane]) << 32 | u64::from(low[lane]));
            warp.write_wide(to, active, &value);
        }
        Instruction::Unpack { to: [low, high], from } => {
            let value = warp.read_wide(from);
            for (to, shift) in [(low, 0), (high, 32)] {
                if let Some(to) = to {
                    warp.write_narrow(to, active, &value.map(|value| (value >> shift) as u32));
                }
            }
        }
        Instruction::MultiplyWide { signed, to, factors, sum } => {
            let [a, b] = factors.map(|factor| warp.read_narrow(factor));
            let sum = warp.read_wide(sum);
            let product = |lane: usize| match signed {
                true => (i64::from(a[lane] as i32) * i64::from(b[lane] as i32)) as u64,
                false => u64::from(a[lane]) * u64::from(b[lane]),
            };
            let value = std::array::from_fn(|lane| product(lane).wrapping_add(sum[lane]));
            warp.write_wide(to, active, &value);
        }
        Instruction::Logic { operation, to, from } => {
            let [a, b] = from.map(|from| warp.read_predicate(from));
            warp.write_predicate(to, active, logic(operation, a, b));
        }
        Instruction::Compare { comparison, unordered, ty, to, from, combine } => {
            let [a, b] = from.map(|from| warp.read_wide(from));
            let mut result = compared(warp, comparison, unordered, ty, &a, &b);
            if let Some((operation, with)) = combine {
                result = logic(operation, result, warp.read_predicate(with));
            }
            warp.write_predicate(to, active, result);
        }
        Instruction::Select { to, from, predicate } => {
            let [a, b] = from.map(|from| warp.read_wide(from));
            let first = warp.read_predicate(Operand::Register(Register::Predicate(predicate)));
            let value = std::array::from_fn(|lane| if first >> lane & 1 == 1 { a[lane] } else { b[lane] });
            warp.write(to, active, &value);
        }
        Instruction::Convert { to_type, from_type, rounding, saturate, to, from } => {
            let value = warp.read_wide(from);
            let value = value.map(|bits| converted(bits, from_type, to_type, rounding, saturate));
            warp.write(to, active, &value);
        }
        Instruction::Window { space, to_space, to, from } => {
            let window = match space {
                Space::Shared => SHARED_WINDOW,
                Space::Local => LOCAL_WINDOW,
                _ => 0,
            };
            let add = if to_space { window.wrapping_neg() } else { window };
            let value = warp.read_wide(from).map(|address| address.wrapping_add(add));
            warp.write(to, active, &value);
        }
        Instruction::ConvertToTf32 { to, from } => lanes.round_to_tf32(to, from),
        Instruction::Load { space, ty, ref to, address } => lanes.load(space, ty, to, address)?,
        Instruction::Store { space, ty, ref from, address } => lanes.store(space, ty, from, address)?,
        Instruction::Atomic { space, operation, ty, to, address, from } => {
            lanes.atomic(space, operation, ty, to, address, from)?;
        }
        Instruction::Shuffle { shuffle, to, found, value, lane, clamp, mask } => {
            lanes.shuffle(&Shuffled { shuffle, to, found, value, lane, clamp, mask })?;
        }
        Instruction::Vote { vote, to, predicate, negated, mask } => lanes.vote(vote, to, predicate, negated, mask)?,
        Instruction::TensorCore { d, a, b, c } => lanes.multiply(d, a, b, c)?,
        Instruction::Barrier => {
            lanes.together("divergent barrier: reached")?;
            lanes.warp.status = Status::Barrier;
        }
        Instruction::WarpBarrier { mask } => {
            lanes.meet("barrier of the warp", mask)?;
            lanes.block.clock.warp(usize::from(lanes.warp.first) / 32);
        }
        Instruction::CopyAsync { to, from, bytes, source_bytes } => lanes.copy(to, from, bytes, source_bytes)?,
        Instruction::CommitCopies => lanes.commit()?,
        Instruction::WaitForCopies { groups } => lanes.wait(groups)?,
        // A fence has nothing to do: blocks run one after the other, and warps see each other's writes at once.
        Instruction::Fence => {}
        Instruction::Branch { .. } | Instruction::Return => unreachable!("what moves lanes is done before"),
    }
    Ok(())
}

fn compute(
    warp: &mut Warp,
    active: u32,
    operation: Operation,
    ty: Type,
    flush: bool,
    to: Register,
    from: [Operand; 3],
) {
    const KNOWN: &str = "an operation is decoded only if it is known";
    if ty.is_wide() {
        let [a, b, c] = from.map(|from| warp.read_wide(from));
        let value = arithmetic::wide(operation, ty, &a, &b, &c).expect(KNOWN);
        return warp.write(to, active, &value);
    }
    let [a, b, c] = from.map(|from| match warp.read_narrow(from) {
        value if flush => flushed(&value),
        value => value,
    });
    let value = arithmetic::narrow(operation, ty, &a, &b, &c).expect(KNOWN);
    let value = if flush { flushed(&value) } else { value };
    match to {
        Register::Narrow(to) => warp.write_narrow(to, active, &value),
        to => warp.write(to, active, &value.map(u64::from)),
    }
}

fn logic(operation: Operation, a: u32, b: u32) -> u32 {
    match operation {
        Operation::And => a & b,
        Operation::Or => a | b,
        Operation::Xor => a ^ b,
        Operation::Not => !a,
        other => unreachable!("{other:?} of predicates is refused when it is decoded"),
    }
}

/// Returns the lanes for which the comparison holds.
fn compared(warp: &Warp, comparison: Comparison, unordered: bool, ty: Type, a: &Wide, b: &Wide) -> u32 {
    let float = |bits: u64| if ty == Type::F64 { f64::from_bits(bits) } else { f64::from(f32::from_bits(bits as u32)) };
    let integer = |bits: u64| {
        let unused = 64 - 8 * ty.bytes() as u32;
        if ty.is_signed() {
            i128::from((bits << unused) as i64 >> unused)
        } else {
            i128::from(bits << unused >> unused)
        }
    };
    if ty.is_float() {
        return warp.mask(|lane| {
            let (a, b) = (float(a[lane]), float(b[lane]));
            holds(comparison, a.partial_cmp(&b)).unwrap_or(unordered)
        });
    }
    warp.mask(|lane| holds(comparison, Some(integer(a[lane]).cmp(&integer(b[lane])))) == Some(true))
}

/// Returns whether a comparison holds for two numbers in this order; `None` if one is NaN and the comparison concerns
/// their order.
fn holds(comparison: Comparison, order: Option<std::cmp::Ordering>) -> Option<bool> {
    match comparison {
        Comparison::Numbers => Some(order.is_some()),
        Comparison::NotNumbers => Some(order.is_none()),
        Comparison::Equal => order.map(|order| order.is_eq()),
        Comparison::NotEqual => order.map(|order| order.is_ne()),
        Comparison::Less => order.map(|order| order.is_lt()),
        Comparison::LessEqual => order.map(|order| order.is_le()),
        Comparison::Greater => order.map(|order| order.is_gt()),
        Comparison::GreaterEqual => order.map(|order| order.is_ge()),
    }
}
