//! The instructions that the interpreter knows, in decoded form.

/// The type of an instruction or a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    B8,
    U8,
    S8,
    B16,
    U16,
    S16,
    B32,
    U32,
    S32,
    F32,
    B64,
    U64,
    S64,
    F64,
    Pred,
}

impl Type {
    /// Returns the type of this name.
    pub fn parse(name: &str) -> Option<Type> {
        Some(match name {
            "b8" => Type::B8,
            "u8" => Type::U8,
            "s8" => Type::S8,
            "b16" => Type::B16,
            "u16" => Type::U16,
            "s16" => Type::S16,
            "b32" => Type::B32,
            "u32" => Type::U32,
            "s32" => Type::S32,
            "f32" => Type::F32,
            "b64" => Type::B64,
            "u64" => Type::U64,
            "s64" => Type::S64,
            "f64" => Type::F64,
            "pred" => Type::Pred,
            _ => return None,
        })
    }

    /// Returns the size in memory in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Type::B8 | Type::U8 | Type::S8 | Type::Pred => 1,
            Type::B16 | Type::U16 | Type::S16 => 2,
            Type::B32 | Type::U32 | Type::S32 | Type::F32 => 4,
            Type::B64 | Type::U64 | Type::S64 | Type::F64 => 8,
        }
    }

    /// Returns whether it needs a register of 64 bits.
    pub fn is_wide(self) -> bool {
        self.bytes() == 8
    }

    /// Returns whether it is a signed integer.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }

    /// Returns whether it is a floating-point number.
    pub fn is_float(self) -> bool {
        matches!(self, Type::F32 | Type::F64)
    }
}

/// A register of one of the three files: 32 bits (and fewer), 64 bits, predicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    Narrow(usize),
    Wide(usize),
    Predicate(usize),
}

/// An operand that an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    Register(Register),
    Immediate(u64),
}

/// An address: a register or a variable, and an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub base: Operand,
    pub offset: i64,
}

/// A memory space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Global,
    Shared,
    Local,
    Parameter,
    /// Any space but parameters; the address tells which.
    Generic,
}

/// Arithmetic of one result and up to three operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Abs,
    Add,
    And,
    BitFieldExtract,
    BitReverse,
    CopySign,
    Cosine,
    CountLeadingZeros,
    Div,
    Exp2,
    /// Fused multiply-add, rounded to nearest.
    Fma,
    /// Fused multiply-add, rounded down.
    FmaDown,
    FunnelLeft,
    FunnelRight,
    Log2,
    Logic(u8),
    Mad,
    Max,
    Min,
    Mul,
    MulHigh,
    Neg,
    Not,
    Or,
    Permute,
    PopulationCount,
    Reciprocal,
    ReciprocalSqrt,
    Rem,
    ShiftLeft,
    ShiftRight,
    Sine,
    Sqrt,
    Sub,
    Tanh,
    Xor,
}

/// A comparison of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// Neither is NaN.
    Numbers,
    /// Either is NaN.
    NotNumbers,
}

/// The rounding to an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The rounding that the types imply.
    None,
    Nearest,
    Zero,
    Down,
    Up,
}

/// The way in which a shuffle determines the lane it reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// The result of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    All,
    Any,
    Ballot,
}

/// The way in which an atomic operation combines the old value and the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomic {
    Add,
    Min,
    Max,
    And,
    Or,
    Exchange,
    CompareAndSwap,
}

/// A decoded instruction.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    Move {
        to: Register,
        from: Operand,
    },
    /// Combines two narrow registers into a wide one, the lower half first.
    Pack {
        to: usize,
        from: [Operand; 2],
    },
    /// Splits a wide register into two narrow ones; `None` if a half is not needed.
    Unpack {
        to: [Option<usize>; 2],
        from: Operand,
    },
    Arithmetic {
        operation: Operation,
        ty: Type,
        flush: bool,
        to: Register,
        from: [Operand; 3],
    },
    /// Multiplies two numbers of 32 bits to 64 bits, and adds a number.
    MultiplyWide {
        signed: bool,
        to: usize,
        factors: [Operand; 2],
        sum: Operand,
    },
    Logic {
        operation: Operation,
        to: usize,
        from: [Operand; 2],
    },
    /// Compares two numbers; `combine` names a predicate that the result is then combined with by and, or, xor.
    Compare {
        comparison: Comparison,
        unordered: bool,
        ty: Type,
        to: usize,
        from: [Operand; 2],
        combine: Option<(Operation, Operand)>,
    },
    Select {
        to: Register,
        from: [Operand; 2],
        predicate: usize,
    },
    Convert {
        to_type: Type,
        from_type: Type,
        rounding: Rounding,
        saturate: bool,
        to: Register,
        from: Operand,
    },
    ConvertToTf32 {
        to: usize,
        from: Operand,
    },
    /// Converts an address between a window and the generic space, in either direction.
    Window {
        space: Space,
        to_space: bool,
        to: Register,
        from: Operand,
    },
    Load {
        space: Space,
        ty: Type,
        to: Vec<Register>,
        address: Address,
    },
    Store {
        space: Space,
        ty: Type,
        from: Vec<Operand>,
        address: Address,
    },
    Atomic {
        space: Space,
        operation: Atomic,
        ty: Type,
        to: Option<Register>,
        address: Address,
        from: [Operand; 2],
    },
    Shuffle {
        shuffle: Shuffle,
        to: usize,
        found: Option<usize>,
        value: Operand,
        lane: Operand,
        clamp: Operand,
        mask: Operand,
    },
    Vote {
        vote: Vote,
        to: Register,
        predicate: Operand,
        negated: bool,
        mask: Operand,
    },
    Branch {
        target: usize,
    },
    Barrier,
    WarpBarrier {
        mask: Operand,
    },
    Return,
    CopyAsync {
        to: Address,
        from: Address,
        bytes: usize,
        source_bytes: Operand,
    },
    CommitCopies,
    WaitForCopies {
        groups: usize,
    },
    /// Multiplies and adds matrices: m16n8k8, TF32 operands, 32-bit sums.
    TensorCore {
        d: [usize; 4],
        a: [usize; 4],
        b: [usize; 2],
        c: [Operand; 4],
    },
    Fence,
}

/// An instruction with its guard and its origin.
#[derive(Clone, Debug)]
pub struct Step {
    /// The predicate that lanes need to execute the instruction, and the value it must have.
    pub guard: Option<(usize, bool)>,
    pub instruction: Instruction,
    /// The line of the PTX.
    pub line: usize,
    /// The source file, by its number in the module, and the line in it.
    pub source: Option<(usize, usize)>,
}
