//! Decodes statements. Anything unknown, be it an instruction or one of its modifiers, is an error: nothing is
//! skipped.

use anyhow::{Context, Result, bail, ensure};

use super::arithmetic;
use super::instruction::{
    Atomic, Comparison, Instruction, Operand, Operation, Register, Rounding, Shuffle, Space, Type, Vote,
};
use super::names::{Names, elements};

/// The parts of a mnemonic that have not been interpreted yet.
struct Opcode<'a> {
    name: &'a str,
    modifiers: Vec<&'a str>,
}

impl<'a> Opcode<'a> {
    fn new(mnemonic: &'a str) -> Opcode<'a> {
        let mut parts = mnemonic.split('.');
        Opcode { name: parts.next().unwrap_or_default(), modifiers: parts.collect() }
    }

    /// Takes a modifier; returns whether it was present.
    fn take(&mut self, modifier: &str) -> bool {
        let place = self.modifiers.iter().position(|there| *there == modifier);
        place.map(|place| self.modifiers.remove(place)).is_some()
    }

    /// Takes whichever of these modifiers is present.
    fn one_of<T: Copy>(&mut self, meanings: &[(&str, T)]) -> Option<T> {
        meanings.iter().find(|(modifier, _)| self.take(modifier)).map(|(_, meaning)| *meaning)
    }

    /// Takes the first type.
    fn ty(&mut self) -> Result<Type> {
        let place = self.modifiers.iter().position(|modifier| Type::parse(modifier).is_some());
        let place = place.with_context(|| format!("{} without a type", self.name))?;
        Ok(Type::parse(self.modifiers.remove(place)).expect("it was found by its type"))
    }

    fn done(&self) -> Result<()> {
        ensure!(self.modifiers.is_empty(), "the modifiers {:?} of {} are not known", self.modifiers, self.name);
        Ok(())
    }
}

/// Decodes a statement: its guard and the instruction.
///
/// # Errors
/// When anything in it is unknown.
pub fn decode(names: &Names, text: &str) -> Result<(Option<(usize, bool)>, Instruction)> {
    let (guard, text) = match text.strip_prefix('@') {
        Some(guarded) => {
            let (predicate, text) = guarded.split_once(char::is_whitespace).context("a guard alone")?;
            let negated = predicate.starts_with('!');
            (Some((names.predicate(predicate.trim_start_matches('!'))?, !negated)), text.trim())
        }
        None => (None, text),
    };
    let (mnemonic, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let operands = split(rest);
    let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
    let mut opcode = Opcode::new(mnemonic);
    let instruction = match arithmetic_operation(&mut opcode)? {
        Some(operation) => arithmetic_instruction(names, &mut opcode, operation, &operands)?,
        None => other(names, &mut opcode, &operands)?,
    };
    opcode.done()?;
    Ok((guard, instruction))
}

/// Splits operands at commas outside of brackets and braces.
fn split(text: &str) -> Vec<String> {
    let mut operands = vec![String::new()];
    let mut depth = 0;
    for character in text.chars() {
        depth += i32::from("{[".contains(character)) - i32::from("}]".contains(character));
        if character == ',' && depth == 0 {
            operands.push(String::new());
        } else {
            operands.last_mut().expect("there is always one").push(character);
        }
    }
    operands.iter().map(|operand| operand.trim().to_string()).filter(|operand| !operand.is_empty()).collect()
}

/// Returns the operation of an instruction that computes one result of up to three operands.
fn arithmetic_operation(opcode: &mut Opcode) -> Result<Option<Operation>> {
    let operation = match opcode.name {
        "mul" | "mad" if opcode.modifiers.contains(&"wide") => return Ok(None),
        "abs" => Operation::Abs,
        "add" => Operation::Add,
        "and" => Operation::And,
        "bfe" => Operation::BitFieldExtract,
        "brev" => Operation::BitReverse,
        "copysign" => Operation::CopySign,
        "cos" => Operation::Cosine,
        "clz" => Operation::CountLeadingZeros,
        "div" => Operation::Div,
        "ex2" => Operation::Exp2,
        "fma" => opcode.one_of(&[("rm", Operation::FmaDown)]).unwrap_or(Operation::Fma),
        "shf" => {
            // Wrap and clamp differ only for distances of 32 and more, which are refused.
            opcode.one_of(&[("wrap", ()), ("clamp", ())]).context("shf without wrap or clamp")?;
            opcode
                .one_of(&[("l", Operation::FunnelLeft), ("r", Operation::FunnelRight)])
                .context("shf without a direction")?
        }
        "lg2" => Operation::Log2,
        "mad" => Operation::Mad,
        "max" => Operation::Max,
        "min" => Operation::Min,
        "mul" => opcode.one_of(&[("hi", Operation::MulHigh)]).unwrap_or(Operation::Mul),
        "neg" => Operation::Neg,
        "not" => Operation::Not,
        "or" => Operation::Or,
        "prmt" => Operation::Permute,
        "popc" => Operation::PopulationCount,
        "rcp" => Operation::Reciprocal,
        "rsqrt" => Operation::ReciprocalSqrt,
        "rem" => Operation::Rem,
        "shl" => Operation::ShiftLeft,
        "shr" => Operation::ShiftRight,
        "sin" => Operation::Sine,
        "sqrt" => Operation::Sqrt,
        "sub" => Operation::Sub,
        "tanh" => Operation::Tanh,
        "xor" => Operation::Xor,
        "lop3" => Operation::Logic(0),
        _ => return Ok(None),
    };
    // These modifiers stand for rounding to nearest and for approximations, which are computed exactly here.
    opcode.one_of(&[("rn", ()), ("approx", ()), ("full", ()), ("lo", ())]);
    Ok(Some(operation))
}

fn arithmetic_instruction(
    names: &Names,
    opcode: &mut Opcode,
    operation: Operation,
    operands: &[&str],
) -> Result<Instruction> {
    let flush = opcode.take("ftz");
    let ty = opcode.ty()?;
    let [to, from @ ..] = operands else { bail!("{} without operands", opcode.name) };
    let mut from = from.iter().map(|operand| names.operand(operand)).collect::<Result<Vec<_>>>()?;
    if ty == Type::Pred {
        ensure!((1..=2).contains(&from.len()), "{} operands of predicates", from.len());
        return Ok(Instruction::Logic { operation, to: names.predicate(to)?, from: [from[0], from[from.len() - 1]] });
    }
    let operation = match operation {
        Operation::Logic(_) => match from.pop() {
            Some(Operand::Immediate(table)) => Operation::Logic(u8::try_from(table)?),
            _ => bail!("lop3 without a table"),
        },
        operation => operation,
    };
    let to = names.register(to)?;
    let count = arithmetic::operands(operation);
    ensure!(from.len() == count, "{} operands of {operation:?}, not {count}", from.len());
    ensure!(arithmetic::is_known(operation, ty), "{operation:?} of {ty:?} is not known");
    ensure!(!flush || ty == Type::F32, "ftz of {ty:?}");
    from.resize(3, Operand::Immediate(0));
    Ok(Instruction::Arithmetic { operation, ty, flush, to, from: [from[0], from[1], from[2]] })
}

/// Decodes all other instructions.
fn other(names: &Names, opcode: &mut Opcode, operands: &[&str]) -> Result<Instruction> {
    Ok(match (opcode.name, operands) {
        ("mov", [to, from]) if from.starts_with('{') => {
            opcode.ty()?;
            let from = names.vector(from)?;
            ensure!(from.len() == 2, "mov of {} registers", from.len());
            Instruction::Pack { to: names.wide(to)?, from: [from[0], from[1]] }
        }
        ("mov", [to, from]) if to.starts_with('{') => {
            opcode.ty()?;
            let half = |element: &str| if element == "_" { Ok(None) } else { names.narrow(element).map(Some) };
            let halves = elements(to).map(half).collect::<Result<Vec<_>>>()?;
            ensure!(halves.len() == 2, "mov into {} registers", halves.len());
            Instruction::Unpack { to: [halves[0], halves[1]], from: names.operand(from)? }
        }
        ("mov", [to, from]) => {
            opcode.ty()?;
            Instruction::Move { to: names.register(to)?, from: names.operand(from)? }
        }
        ("mul" | "mad", [to, a, b, sum @ ..]) => {
            opcode.take("wide");
            let ty = opcode.ty()?;
            ensure!(matches!(ty, Type::U32 | Type::S32), "wide product of {ty:?}");
            let sum = sum.first().map_or(Ok(Operand::Immediate(0)), |sum| names.operand(sum))?;
            let factors = [names.operand(a)?, names.operand(b)?];
            Instruction::MultiplyWide { signed: ty.is_signed(), to: names.wide(to)?, factors, sum }
        }
        ("setp", _) => compare(names, opcode, operands)?,
        ("selp", [to, a, b, predicate]) => {
            opcode.ty()?;
            let from = [names.operand(a)?, names.operand(b)?];
            Instruction::Select { to: names.register(to)?, from, predicate: names.predicate(predicate)? }
        }
        ("cvt", [to, from]) => convert(names, opcode, to, from)?,
        ("cvta", [to, from]) => {
            let to_space = opcode.take("to");
            let space = space(opcode);
            opcode.ty()?;
            Instruction::Window { space, to_space, to: names.register(to)?, from: names.operand(from)? }
        }
        ("ld", [to, address]) => {
            let space = space(opcode);
            cache_hints(opcode);
            let (to, ty) = (names.registers(to)?, opcode.ty()?);
            let address = match space {
                Space::Parameter => super::instruction::Address {
                    base: Operand::Immediate(names.parameter(address)? as u64),
                    offset: 0,
                },
                _ => names.address(address)?,
            };
            Instruction::Load { space, ty, to, address }
        }
        ("st", [address, from]) => {
            let space = space(opcode);
            cache_hints(opcode);
            Instruction::Store { space, ty: opcode.ty()?, from: names.vector(from)?, address: names.address(address)? }
        }
        ("atom" | "red", _) => atomic(names, opcode, operands)?,
        ("shfl", [to, value, lane, clamp, mask]) => {
            ensure!(opcode.take("sync"), "shfl without sync");
            opcode.ty()?;
            let kinds =
                [("up", Shuffle::Up), ("down", Shuffle::Down), ("bfly", Shuffle::Butterfly), ("idx", Shuffle::Index)];
            let (to, found) = to.split_once('|').map_or((*to, None), |(to, found)| (to, Some(found)));
            Instruction::Shuffle {
                shuffle: opcode.one_of(&kinds).context("shfl of which kind")?,
                to: names.narrow(to)?,
                found: found.map(|found| names.predicate(found)).transpose()?,
                value: names.operand(value)?,
                lane: names.operand(lane)?,
                clamp: names.operand(clamp)?,
                mask: names.operand(mask)?,
            }
        }
        ("vote", [to, predicate, mask]) => {
            ensure!(opcode.take("sync"), "vote without sync");
            opcode.ty()?;
            let kinds = [("all", Vote::All), ("any", Vote::Any), ("ballot", Vote::Ballot)];
            let negated = predicate.starts_with('!');
            Instruction::Vote {
                vote: opcode.one_of(&kinds).context("vote of which kind")?,
                to: names.register(to)?,
                predicate: names.operand(predicate.trim_start_matches('!'))?,
                negated,
                mask: names.operand(mask)?,
            }
        }
        ("bra", [label]) => {
            opcode.take("uni");
            Instruction::Branch { target: names.label(label)? }
        }
        ("bar", [mask]) if opcode.take("warp") => {
            opcode.take("sync");
            Instruction::WarpBarrier { mask: names.operand(mask)? }
        }
        ("bar", ["0"]) => {
            ensure!(opcode.take("sync"), "bar of another kind than sync");
            Instruction::Barrier
        }
        ("ret" | "exit", []) => Instruction::Return,
        ("membar" | "fence", []) => {
            while opcode.one_of(&[("cta", ()), ("gl", ()), ("gpu", ()), ("sc", ()), ("acq_rel", ())]).is_some() {}
            Instruction::Fence
        }
        ("cp", _) => copy(names, opcode, operands)?,
        ("mma", [d, a, b, c]) => {
            const KNOWN: [&str; 9] = ["sync", "aligned", "m16n8k8", "row", "col", "f32", "tf32", "tf32", "f32"];
            ensure!(opcode.modifiers == KNOWN, "mma of another kind");
            opcode.modifiers.clear();
            let c = names.vector(c)?;
            let c = c.try_into().map_err(|_| anyhow::anyhow!("mma with another number of sums"))?;
            let [d, a] = [names.fragment(d)?, names.fragment(a)?];
            Instruction::TensorCore { d, a, b: names.fragment(b)?, c }
        }
        _ => bail!("the instruction is not known"),
    })
}

fn space(opcode: &mut Opcode) -> Space {
    let spaces = [
        ("global", Space::Global),
        ("const", Space::Global),
        ("shared", Space::Shared),
        ("shared::cta", Space::Shared),
        ("local", Space::Local),
        ("param", Space::Parameter),
    ];
    opcode.one_of(&spaces).unwrap_or(Space::Generic)
}

/// Takes modifiers that change no value: cache hints, and the number of elements, which the operands show anyway.
fn cache_hints(opcode: &mut Opcode) {
    for hint in ["nc", "volatile", "ca", "cg", "cs", "v2", "v4"] {
        opcode.take(hint);
    }
}

fn compare(names: &Names, opcode: &mut Opcode, operands: &[&str]) -> Result<Instruction> {
    use Comparison::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual, NotNumbers, Numbers};
    let ordered = [
        ("eq", Equal),
        ("ne", NotEqual),
        ("lt", Less),
        ("lo", Less),
        ("le", LessEqual),
        ("ls", LessEqual),
        ("gt", Greater),
        ("hi", Greater),
        ("ge", GreaterEqual),
        ("hs", GreaterEqual),
        ("num", Numbers),
        ("nan", NotNumbers),
    ];
    let unordered =
        [("equ", Equal), ("neu", NotEqual), ("ltu", Less), ("leu", LessEqual), ("gtu", Greater), ("geu", GreaterEqual)];
    let (comparison, is_unordered) = match opcode.one_of(&ordered) {
        Some(comparison) => (comparison, false),
        None => (opcode.one_of(&unordered).context("an unknown comparison")?, true),
    };
    let combine = opcode.one_of(&[("and", Operation::And), ("or", Operation::Or), ("xor", Operation::Xor)]);
    let ty = opcode.ty()?;
    let (to, a, b, combine) = match (operands, combine) {
        ([to, a, b], None) => (to, a, b, None),
        ([to, a, b, predicate], Some(operation)) => (to, a, b, Some((operation, names.operand(predicate)?))),
        _ => bail!("a comparison with {} operands", operands.len()),
    };
    let from = [names.operand(a)?, names.operand(b)?];
    Ok(Instruction::Compare { comparison, unordered: is_unordered, ty, to: names.predicate(to)?, from, combine })
}

fn convert(names: &Names, opcode: &mut Opcode, to: &str, from: &str) -> Result<Instruction> {
    if opcode.take("tf32") {
        ensure!(opcode.take("rna") && opcode.ty()? == Type::F32, "conversion to TF32 of another kind");
        return Ok(Instruction::ConvertToTf32 { to: names.narrow(to)?, from: names.operand(from)? });
    }
    let roundings = [
        ("rni", Rounding::Nearest),
        ("rzi", Rounding::Zero),
        ("rmi", Rounding::Down),
        ("rpi", Rounding::Up),
        ("rn", Rounding::None),
    ];
    let rounding = opcode.one_of(&roundings).unwrap_or(Rounding::None);
    let saturate = opcode.take("sat");
    let (to_type, from_type) = (opcode.ty()?, opcode.ty()?);
    ensure!(!saturate || to_type == Type::F32, "saturation to {to_type:?}");
    let (to, from) = (names.register(to)?, names.operand(from)?);
    Ok(Instruction::Convert { to_type, from_type, rounding, saturate, to, from })
}

fn atomic(names: &Names, opcode: &mut Opcode, operands: &[&str]) -> Result<Instruction> {
    let operations = [
        ("add", Atomic::Add),
        ("min", Atomic::Min),
        ("max", Atomic::Max),
        ("and", Atomic::And),
        ("or", Atomic::Or),
        ("exch", Atomic::Exchange),
        ("cas", Atomic::CompareAndSwap),
    ];
    let space = space(opcode);
    opcode.take("relaxed");
    opcode.take("gpu");
    let operation = opcode.one_of(&operations).context("an unknown atomic operation")?;
    let ty = opcode.ty()?;
    let (to, rest): (Option<Register>, &[&str]) = match (opcode.name, operands) {
        ("atom", [to, rest @ ..]) => (Some(names.register(to)?), rest),
        _ => (None, operands),
    };
    let [address, from @ ..] = rest else { bail!("an atomic operation without an address") };
    let expected = if operation == Atomic::CompareAndSwap { 2 } else { 1 };
    ensure!(from.len() == expected, "an atomic operation with {} operands", from.len());
    let from = [names.operand(from[0])?, names.operand(from[from.len() - 1])?];
    Ok(Instruction::Atomic { space, operation, ty, to, address: names.address(address)?, from })
}

fn copy(names: &Names, opcode: &mut Opcode, operands: &[&str]) -> Result<Instruction> {
    ensure!(opcode.take("async"), "cp without async");
    if opcode.take("commit_group") {
        return Ok(Instruction::CommitCopies);
    }
    if opcode.take("wait_all") {
        return Ok(Instruction::WaitForCopies { groups: 0 });
    }
    if opcode.take("wait_group") {
        let [groups] = operands else { bail!("wait_group of how many") };
        return Ok(Instruction::WaitForCopies { groups: groups.parse()? });
    }
    opcode.one_of(&[("ca", ()), ("cg", ())]).context("cp.async without ca or cg")?;
    ensure!(opcode.take("shared") || opcode.take("shared::cta"), "cp.async to another space than shared");
    ensure!(opcode.take("global"), "cp.async from another space than global");
    opcode.one_of(&[("L2::64B", ()), ("L2::128B", ()), ("L2::256B", ())]);
    let [to, from, bytes, source @ ..] = operands else { bail!("cp.async without operands") };
    let bytes: usize = bytes.parse()?;
    ensure!([4, 8, 16].contains(&bytes), "cp.async of {bytes} bytes");
    let source_bytes = source.first().map_or(Ok(Operand::Immediate(bytes as u64)), |bytes| names.operand(bytes))?;
    Ok(Instruction::CopyAsync { to: names.address(to)?, from: names.address(from)?, bytes, source_bytes })
}
