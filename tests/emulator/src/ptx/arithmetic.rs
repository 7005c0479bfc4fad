//! Arithmetic on the 32 lanes of a warp.

use super::instruction::{Operation, Rounding, Type};

/// A register of 32 bits in every lane.
pub type Narrow = [u32; 32];
/// A register of 64 bits in every lane.
pub type Wide = [u64; 32];

/// Returns the number of operands of an operation.
pub fn operands(operation: Operation) -> usize {
    use Operation::*;
    match operation {
        Abs | BitReverse | Cosine | CountLeadingZeros | Exp2 | Log2 | Neg | Not | PopulationCount | Reciprocal
        | ReciprocalSqrt | Sine | Sqrt | Tanh => 1,
        Add | And | CopySign | Div | Max | Min | Mul | MulHigh | Or | Rem | ShiftLeft | ShiftRight | Sub | Xor => 2,
        BitFieldExtract | Fma | FmaDown | FunnelLeft | FunnelRight | Logic(_) | Mad | Permute => 3,
    }
}

/// Returns whether the operation is known for the type.
pub fn is_known(operation: Operation, ty: Type) -> bool {
    if ty.is_wide() {
        wide(operation, ty, &[1; 32], &[1; 32], &[1; 32]).is_some()
    } else {
        narrow(operation, ty, &[1; 32], &[1; 32], &[1; 32]).is_some()
    }
}

/// Computes an operation on types of up to 32 bits; `None` if it is not known.
pub fn narrow(operation: Operation, ty: Type, a: &Narrow, b: &Narrow, c: &Narrow) -> Option<Narrow> {
    match ty {
        Type::F32 => single(operation, a, b, c),
        Type::S32 => signed(operation, a, b).or_else(|| bits(operation, a, b, c)),
        Type::U32 | Type::B32 => unsigned(operation, a, b, c).or_else(|| bits(operation, a, b, c)),
        Type::S16 | Type::U16 | Type::B16 => {
            let extended = |x: &Narrow| x.map(|x| if ty == Type::S16 { x as i16 as u32 } else { x & 0xffff });
            let ty = if ty == Type::S16 { Type::S32 } else { Type::U32 };
            let counts = matches!(operation, Operation::CountLeadingZeros | Operation::BitReverse);
            let result = (!counts).then(|| narrow(operation, ty, &extended(a), &extended(b), &extended(c)))?;
            result.map(|result| result.map(|x| x & 0xffff))
        }
        _ => None,
    }
}

/// Computes an operation on types of 64 bits; `None` if it is not known.
pub fn wide(operation: Operation, ty: Type, a: &Wide, b: &Wide, c: &Wide) -> Option<Wide> {
    use Operation::*;
    let two = |f: fn(u64, u64) -> u64| Some(std::array::from_fn(|lane| f(a[lane], b[lane])));
    match (operation, ty) {
        (_, Type::F64) => double(operation, a, b, c),
        (Add, _) => two(u64::wrapping_add),
        (Sub, _) => two(u64::wrapping_sub),
        (Mul, _) => two(u64::wrapping_mul),
        (Mad, _) => Some(std::array::from_fn(|lane| a[lane].wrapping_mul(b[lane]).wrapping_add(c[lane]))),
        (MulHigh, Type::S64) => two(|a, b| ((a as i64 as i128 * b as i64 as i128) >> 64) as u64),
        (MulHigh, Type::U64) => two(|a, b| ((a as u128 * b as u128) >> 64) as u64),
        (And, _) => two(|a, b| a & b),
        (Or, _) => two(|a, b| a | b),
        (Xor, _) => two(|a, b| a ^ b),
        (Not, _) => Some(a.map(|a| !a)),
        (Neg, Type::S64) => Some(a.map(u64::wrapping_neg)),
        (Abs, Type::S64) => Some(a.map(|a| (a as i64).unsigned_abs())),
        (ShiftLeft, _) => two(|a, b| if b > 63 { 0 } else { a << b }),
        (ShiftRight, Type::S64) => two(|a, b| (a as i64 >> b.min(63)) as u64),
        (ShiftRight, _) => two(|a, b| if b > 63 { 0 } else { a >> b }),
        // These are the hardware's results for a divisor of 0.
        (Div, Type::S64) => two(|a, b| if b == 0 { !0 } else { (a as i64).wrapping_div(b as i64) as u64 }),
        (Rem, Type::S64) => two(|a, b| if b == 0 { a } else { (a as i64).wrapping_rem(b as i64) as u64 }),
        (Div, Type::U64) => two(|a, b| a.checked_div(b).unwrap_or(!0)),
        (Rem, Type::U64) => two(|a, b| a.checked_rem(b).unwrap_or(a)),
        (Min, Type::S64) => two(|a, b| (a as i64).min(b as i64) as u64),
        (Max, Type::S64) => two(|a, b| (a as i64).max(b as i64) as u64),
        (Min, Type::U64) => two(u64::min),
        (Max, Type::U64) => two(u64::max),
        (PopulationCount, _) => Some(a.map(|a| a.count_ones().into())),
        (CountLeadingZeros, _) => Some(a.map(|a| a.leading_zeros().into())),
        _ => None,
    }
}

fn signed(operation: Operation, a: &Narrow, b: &Narrow) -> Option<Narrow> {
    use Operation::*;
    let two = |f: fn(i32, i32) -> i32| Some(std::array::from_fn(|lane| f(a[lane] as i32, b[lane] as i32) as u32));
    match operation {
        MulHigh => two(|a, b| ((i64::from(a) * i64::from(b)) >> 32) as i32),
        Div => two(|a, b| if b == 0 { -1 } else { a.wrapping_div(b) }),
        Rem => two(|a, b| if b == 0 { a } else { a.wrapping_rem(b) }),
        Min => two(i32::min),
        Max => two(i32::max),
        ShiftRight => Some(std::array::from_fn(|lane| (a[lane] as i32 >> b[lane].min(31)) as u32)),
        Neg => Some(a.map(u32::wrapping_neg)),
        Abs => Some(a.map(|a| (a as i32).unsigned_abs())),
        _ => None,
    }
}

fn unsigned(operation: Operation, a: &Narrow, b: &Narrow, c: &Narrow) -> Option<Narrow> {
    use Operation::*;
    let two = |f: fn(u32, u32) -> u32| Some(std::array::from_fn(|lane| f(a[lane], b[lane])));
    match operation {
        MulHigh => two(|a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32),
        Div => two(|a, b| a.checked_div(b).unwrap_or(!0)),
        Rem => two(|a, b| a.checked_rem(b).unwrap_or(a)),
        Min => two(u32::min),
        Max => two(u32::max),
        ShiftRight => two(|a, b| if b > 31 { 0 } else { a >> b }),
        BitFieldExtract => Some(std::array::from_fn(|lane| {
            let [from, len] = [b[lane], c[lane]].map(|bits| (bits & 0xff).min(32));
            (u64::from(a[lane]) >> from & ((1 << len) - 1)) as u32
        })),
        _ => None,
    }
}

/// Computes the operations that do not depend on the sign.
fn bits(operation: Operation, a: &Narrow, b: &Narrow, c: &Narrow) -> Option<Narrow> {
    use Operation::*;
    let two = |f: fn(u32, u32) -> u32| Some(std::array::from_fn(|lane| f(a[lane], b[lane])));
    let three = |f: fn(u32, u32, u32) -> u32| Some(std::array::from_fn(|lane| f(a[lane], b[lane], c[lane])));
    match operation {
        Add => two(u32::wrapping_add),
        Sub => two(u32::wrapping_sub),
        Mul => two(u32::wrapping_mul),
        Mad => three(|a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        And => two(|a, b| a & b),
        Or => two(|a, b| a | b),
        Xor => two(|a, b| a ^ b),
        Not => Some(a.map(|a| !a)),
        ShiftLeft => two(|a, b| if b > 31 { 0 } else { a << b }),
        PopulationCount => Some(a.map(u32::count_ones)),
        CountLeadingZeros => Some(a.map(u32::leading_zeros)),
        BitReverse => Some(a.map(u32::reverse_bits)),
        FunnelLeft => three(|low, high, by| ((u64::from(high) << 32 | u64::from(low)) << (by & 31) >> 32) as u32),
        FunnelRight => three(|low, high, by| ((u64::from(high) << 32 | u64::from(low)) >> (by & 31)) as u32),
        Permute => three(permuted),
        // The result is bit abc of the table for the bits a, b and c.
        Logic(table) => Some(std::array::from_fn(|lane| {
            let term = |index: u8| {
                let chosen = |bits: u32, set: bool| if set { bits } else { !bits };
                chosen(a[lane], index & 4 != 0) & chosen(b[lane], index & 2 != 0) & chosen(c[lane], index & 1 != 0)
            };
            (0..8).filter(|index| table >> index & 1 == 1).fold(0, |bits, index| bits | term(index))
        })),
        _ => None,
    }
}

/// Selects four bytes out of eight.
fn permuted(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
    u32::from_le_bytes(std::array::from_fn(|place| {
        let choice = selector >> (4 * place);
        let byte = bytes[(choice & 7) as usize];
        // The fourth bit of a selection asks for the byte's sign instead of the byte.
        if choice & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 }
    }))
}

fn single(operation: Operation, a: &Narrow, b: &Narrow, c: &Narrow) -> Option<Narrow> {
    use Operation::*;
    let float = f32::from_bits;
    let one = |f: fn(f32) -> f32| Some(a.map(|a| f(float(a)).to_bits()));
    let two = |f: fn(f32, f32) -> f32| Some(std::array::from_fn(|lane| f(float(a[lane]), float(b[lane])).to_bits()));
    match operation {
        Fma => Some(fused(a, b, c)),
        FmaDown => {
            Some(std::array::from_fn(|lane| fused_down(float(a[lane]), float(b[lane]), float(c[lane])).to_bits()))
        }
        Add => two(|a, b| a + b),
        Sub => two(|a, b| a - b),
        Mul => two(|a, b| a * b),
        Div => two(|a, b| a / b),
        Min => two(f32::min),
        Max => two(f32::max),
        CopySign => two(|sign, value| value.copysign(sign)),
        Neg => one(|a| -a),
        Abs => one(f32::abs),
        Sqrt => one(f32::sqrt),
        Reciprocal => one(f32::recip),
        ReciprocalSqrt => one(|a| 1.0 / a.sqrt()),
        Exp2 => one(f32::exp2),
        Log2 => one(f32::log2),
        Sine => one(f32::sin),
        Cosine => one(f32::cos),
        Tanh => one(f32::tanh),
        _ => None,
    }
}

fn double(operation: Operation, a: &Wide, b: &Wide, c: &Wide) -> Option<Wide> {
    use Operation::*;
    let float = f64::from_bits;
    let one = |f: fn(f64) -> f64| Some(a.map(|a| f(float(a)).to_bits()));
    let two = |f: fn(f64, f64) -> f64| Some(std::array::from_fn(|lane| f(float(a[lane]), float(b[lane])).to_bits()));
    match operation {
        Fma => Some(std::array::from_fn(|lane| float(a[lane]).mul_add(float(b[lane]), float(c[lane])).to_bits())),
        Add => two(|a, b| a + b),
        Sub => two(|a, b| a - b),
        Mul => two(|a, b| a * b),
        Div => two(|a, b| a / b),
        Min => two(f64::min),
        Max => two(f64::max),
        Neg => one(|a| -a),
        Abs => one(f64::abs),
        Sqrt => one(f64::sqrt),
        Reciprocal => one(f64::recip),
        _ => None,
    }
}

/// Computes fused multiply-adds, which are most of the work of convolutions, with the processor's own instruction if
/// it has one.
fn fused(a: &Narrow, b: &Narrow, c: &Narrow) -> Narrow {
    #[inline(always)]
    fn lanes(a: &Narrow, b: &Narrow, c: &Narrow) -> Narrow {
        let float = f32::from_bits;
        std::array::from_fn(|lane| float(a[lane]).mul_add(float(b[lane]), float(c[lane])).to_bits())
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("fma") {
        #[target_feature(enable = "fma,avx2")]
        fn by_instruction(a: &Narrow, b: &Narrow, c: &Narrow) -> Narrow {
            lanes(a, b, c)
        }
        // SAFETY: the processor has the instructions, as every processor with FMA has AVX2.
        return unsafe { by_instruction(a, b, c) };
    }
    lanes(a, b, c)
}

/// Computes a * b + c, rounded towards minus infinity.
fn fused_down(a: f32, b: f32, c: f32) -> f32 {
    let nearest = a.mul_add(b, c);
    if !nearest.is_finite() {
        return nearest;
    }
    // The product is exact in f64, and the sum is `sum + rest` exactly.
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    let part = sum - product;
    let rest = (product - (sum - part)) + (c - part);
    if (sum - f64::from(nearest)) + rest < 0.0 { nearest.next_down() } else { nearest }
}

/// Flushes subnormal numbers to zero.
pub fn flushed(values: &Narrow) -> Narrow {
    values.map(|bits| if f32::from_bits(bits).is_subnormal() { bits & 0x8000_0000 } else { bits })
}

/// Rounds to the 19 bits that tensor cores read: to nearest, ties away from zero.
pub fn to_tf32(bits: u32) -> u32 {
    if bits & 0x7f80_0000 == 0x7f80_0000 { bits } else { bits.wrapping_add(0x1000) & 0xffff_e000 }
}

/// Converts a number from one type to another; argument and result are bit patterns.
pub fn converted(bits: u64, from: Type, to: Type, rounding: Rounding, saturate: bool) -> u64 {
    let float = match from {
        Type::F32 => f64::from(f32::from_bits(bits as u32)),
        Type::F64 => f64::from_bits(bits),
        _ => return from_integer(extended(bits, from), to),
    };
    let whole = match rounding {
        Rounding::None if to.is_float() => float,
        Rounding::None | Rounding::Zero => float.trunc(),
        Rounding::Nearest => float.round_ties_even(),
        Rounding::Down => float.floor(),
        Rounding::Up => float.ceil(),
    };
    let whole = match saturate {
        true if whole.is_nan() => 0.0,
        true => whole.clamp(0.0, 1.0),
        false => whole,
    };
    match to {
        Type::F32 => u64::from((whole as f32).to_bits()),
        Type::F64 => whole.to_bits(),
        Type::S8 => whole as i8 as u8 as u64,
        Type::S16 => whole as i16 as u16 as u64,
        Type::S32 => u64::from(whole as i32 as u32),
        Type::S64 => whole as i64 as u64,
        Type::U8 | Type::B8 | Type::Pred => u64::from(whole as u8),
        Type::U16 | Type::B16 => u64::from(whole as u16),
        Type::U32 | Type::B32 => u64::from(whole as u32),
        Type::U64 | Type::B64 => whole as u64,
    }
}

/// Returns the value of an integer of this type.
fn extended(bits: u64, ty: Type) -> i128 {
    let unused = 64 - 8 * ty.bytes() as u32;
    if ty.is_signed() { i128::from((bits << unused) as i64 >> unused) } else { i128::from(bits << unused >> unused) }
}

fn from_integer(value: i128, to: Type) -> u64 {
    match to {
        Type::F32 => u64::from((value as f32).to_bits()),
        Type::F64 => (value as f64).to_bits(),
        // Registers of 32 bits hold smaller signed types sign-extended.
        Type::S8 => u64::from(value as i8 as u32),
        Type::S16 => u64::from(value as i16 as u16),
        to => (value as u64) & (u64::MAX >> (64 - 8 * to.bytes() as u32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(operation: Operation, ty: Type, a: u32, b: u32, c: u32) -> u32 {
        narrow(operation, ty, &[a; 32], &[b; 32], &[c; 32]).unwrap()[0]
    }

    #[test]
    fn integers() {
        assert_eq!(first(Operation::ShiftRight, Type::S32, 0x8000_0000, 40, 0), !0);
        assert_eq!(first(Operation::ShiftRight, Type::U32, 0x8000_0000, 40, 0), 0);
        assert_eq!(first(Operation::MulHigh, Type::U32, 1 << 31, 6, 0), 3);
        assert_eq!(first(Operation::Div, Type::S32, -7i32 as u32, 2, 0), -3i32 as u32);
        assert_eq!(first(Operation::Min, Type::S16, 0xffff, 3, 0), 0xffff);
        assert_eq!(first(Operation::Logic(0x96), Type::B32, 0b1100, 0b1010, 0b0110), 0b1100 ^ 0b1010 ^ 0b0110);
        assert_eq!(first(Operation::Permute, Type::B32, 0x3322_1100, 0x7766_5584, 0xc047), 0xff00_8477);
        assert_eq!(first(Operation::FunnelLeft, Type::B32, 0x8000_0001, 1, 4), 0x18);
        assert_eq!(first(Operation::BitFieldExtract, Type::U32, 0xabcd, 4, 8), 0xbc);
        assert!(!is_known(Operation::Rem, Type::F32) && !is_known(Operation::Tanh, Type::U64));
    }

    #[test]
    fn floats() {
        let f = |x: f32| x.to_bits();
        assert_eq!(first(Operation::Fma, Type::F32, f(3.0), f(5.0), f(-1.0)), f(14.0));
        // The exact result, 1 + 2^-30 or 1 - 2^-30, lies between 1 and its neighbours.
        let tiny = 2f32.powi(-15);
        assert_eq!(first(Operation::FmaDown, Type::F32, f(tiny), f(tiny), f(1.0)), f(1.0));
        assert_eq!(first(Operation::FmaDown, Type::F32, f(-tiny), f(tiny), f(1.0)), f(1f32.next_down()));
        assert_eq!(flushed(&[f(-1e-40); 32])[0], f(-0.0));
        assert_eq!(to_tf32(f(1.0 + 2f32.powi(-11))), f(1.0 + 2f32.powi(-10)));
    }

    #[test]
    fn conversions() {
        let f = |x: f32| u64::from(x.to_bits());
        let plain = |bits, from, to| converted(bits, from, to, Rounding::None, false);
        assert_eq!(plain(0xffff_ffff, Type::S32, Type::S64), u64::MAX);
        assert_eq!(plain(0xffff_ffff, Type::U32, Type::U64), 0xffff_ffff);
        assert_eq!(plain(u64::MAX, Type::S64, Type::F32), f(-1.0));
        assert_eq!(plain(f(-2.7), Type::F32, Type::S32), u64::from(-2i32 as u32));
        assert_eq!(converted(f(2.5), Type::F32, Type::F32, Rounding::Nearest, false), f(2.0));
        assert_eq!(converted(f(2.5), Type::F32, Type::F32, Rounding::None, true), f(1.0));
    }
}
