//! The instructions that the interpreter knows, decoded.

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
    /// The type of this name.
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

    /// Bytes in memory.
    pub fn bytes(self) -> usize {
        match self {
            Type::B8 | Type::U8 | Type::S8 | Type::Pred => 1,
            Type::B16 | Type::U16 | Type::S16 => 2,
            Type::B32 | Type::U32 | Type::S32 | Type::F32 => 4,
            Type::B64 | Type::U64 | Type::S64 | Type::F64 => 8,
        }
    }

    /// Whether it takes a register of 64 bits.
    pub fn is_wide(self) -> bool {
        self.bytes() == 8
    }

    /// Whether it is an integer with a sign.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }

    /// Whether it is a floating-point number.
    pub fn is_float(self) -> bool {
        matches!(self, Type::F32 | Type::F64)
    }
}

/// A register of one of the three files: 32 bits (and less), 64 bits, predicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    Narrow(usize),
    Wide(usize),
    Predicate(usize),
}

/// What an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    Register(Register),
    Immediate(u64),
}

/// An address: a register or a variable, and a distance from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub base: Operand,
    pub offset: i64,
}

/// A space of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Global,
    Shared,
    Local,
    Parameter,
    /// Any but parameters: the address says which.
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
    /// Fused, rounded to nearest.
    Fma,
    /// Fused, rounded down.
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

/// How two numbers are compared.
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

/// Rounding to an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// What the types imply.
    None,
    Nearest,
    Zero,
    Down,
    Up,
}

/// Which lane a shuffle reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    All,
    Any,
    Ballot,
}

/// What an atomic operation makes of the old value and the operand.
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

/// What an instruction does.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    Move {
        to: Register,
        from: Operand,
    },
    /// A wide register from two narrow ones, the lower first.
    Pack {
        to: usize,
        from: [Operand; 2],
    },
    /// Two narrow registers from a wide one; `None` where nobody wants that half.
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
    /// 64 bits of the product of two numbers of 32, and a sum.
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
    /// `combine` with a predicate afterwards, by and, or, xor.
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
    /// Adds to an address, from a window into the generic space or the other way.
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
    /// m16n8k8, TF32 operands, 32-bit sums.
    TensorCore {
        d: [usize; 4],
        a: [usize; 4],
        b: [usize; 2],
        c: [Operand; 4],
    },
    Fence,
}

/// An instruction, and where it comes from.
#[derive(Clone, Debug)]
pub struct Step {
    /// Only lanes of this predicate, or of its contrary, execute it.
    pub guard: Option<(usize, bool)>,
    pub instruction: Instruction,
    /// The line of the PTX.
    pub line: usize,
    /// The file, by its number in the module, and the line in it.
    pub source: Option<(usize, usize)>,
}
