//! Resolves the names in a kernel's statements.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

use super::instruction::{Address, Operand, Register, Type};
use super::text::Entry;

/// The registers that are set when a thread begins, in the order of [`super::special`].
pub const SPECIAL: [&str; 14] = [
    "%tid.x",
    "%tid.y",
    "%tid.z",
    "%ntid.x",
    "%ntid.y",
    "%ntid.z",
    "%ctaid.x",
    "%ctaid.y",
    "%ctaid.z",
    "%nctaid.x",
    "%nctaid.y",
    "%nctaid.z",
    "%laneid",
    "%warpid",
];

/// The names of a kernel.
pub struct Names {
    registers: HashMap<String, Register>,
    /// The addresses of variables, each in its own space.
    variables: HashMap<String, u64>,
    /// The offsets of parameters.
    parameters: HashMap<String, usize>,
    labels: HashMap<String, usize>,
    /// The number of registers of each file: narrow, wide, predicates.
    pub counts: [usize; 3],
}

impl Names {
    /// Collects the names of an entry, with variables at these addresses and parameters at these offsets.
    pub fn new(entry: &Entry, variables: HashMap<String, u64>, parameters: HashMap<String, usize>) -> Names {
        let special = SPECIAL.iter().enumerate().map(|(index, name)| (name.to_string(), Register::Narrow(index)));
        let labels = entry.labels.iter().cloned().collect();
        let mut names =
            Names { registers: special.collect(), variables, parameters, labels, counts: [SPECIAL.len(), 0, 0] };
        for (ty, name, count) in &entry.registers {
            match count {
                Some(count) => (0..*count).for_each(|index| names.add(*ty, format!("{name}{index}"))),
                None => names.add(*ty, name.clone()),
            }
        }
        names
    }

    fn add(&mut self, ty: Type, name: String) {
        let (file, register): (usize, fn(usize) -> Register) = match ty {
            Type::Pred => (2, Register::Predicate),
            ty if ty.is_wide() => (1, Register::Wide),
            _ => (0, Register::Narrow),
        };
        // Inline assembly may declare the same name in several blocks, so the latest declaration counts.
        self.registers.insert(name, register(self.counts[file]));
        self.counts[file] += 1;
    }

    pub fn operand(&self, text: &str) -> Result<Operand> {
        let text = text.trim();
        if let Some(register) = self.registers.get(text) {
            return Ok(Operand::Register(*register));
        }
        if let Some(address) = self.variables.get(text) {
            return Ok(Operand::Immediate(*address));
        }
        immediate(text).map(Operand::Immediate).with_context(|| format!("`{text}` is no operand"))
    }

    pub fn register(&self, text: &str) -> Result<Register> {
        match self.operand(text)? {
            Operand::Register(register) => Ok(register),
            Operand::Immediate(_) => bail!("`{text}` is no register"),
        }
    }

    pub fn narrow(&self, text: &str) -> Result<usize> {
        match self.register(text)? {
            Register::Narrow(index) => Ok(index),
            _ => bail!("`{text}` is no register of 32 bits"),
        }
    }

    pub fn wide(&self, text: &str) -> Result<usize> {
        match self.register(text)? {
            Register::Wide(index) => Ok(index),
            _ => bail!("`{text}` is no register of 64 bits"),
        }
    }

    pub fn predicate(&self, text: &str) -> Result<usize> {
        match self.register(text)? {
            Register::Predicate(index) => Ok(index),
            _ => bail!("`{text}` is no predicate"),
        }
    }

    /// Parses `[register+8]`.
    pub fn address(&self, text: &str) -> Result<Address> {
        let (base, offset) = self.place(text)?;
        Ok(Address { base: self.operand(base)?, offset })
    }

    /// Parses `[parameter+8]` to an offset among the arguments.
    pub fn parameter(&self, text: &str) -> Result<usize> {
        let (name, offset) = self.place(text)?;
        let base = self.parameters.get(name).with_context(|| format!("`{name}` is no parameter"))?;
        Ok(base + usize::try_from(offset)?)
    }

    fn place<'a>(&self, text: &'a str) -> Result<(&'a str, i64)> {
        let inside = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let inside = inside.with_context(|| format!("`{text}` is no address"))?;
        match inside.split_once('+') {
            Some((base, offset)) => Ok((base.trim(), offset.trim().parse()?)),
            None => Ok((inside.trim(), 0)),
        }
    }

    /// Parses `{a, b}`, or a single operand.
    pub fn vector(&self, text: &str) -> Result<Vec<Operand>> {
        elements(text).map(|element| self.operand(element)).collect()
    }

    /// Parses `{a, b}` with registers only.
    pub fn registers(&self, text: &str) -> Result<Vec<Register>> {
        elements(text).map(|element| self.register(element)).collect()
    }

    /// Parses `{a, b}` with `N` registers of 32 bits.
    pub fn fragment<const N: usize>(&self, text: &str) -> Result<[usize; N]> {
        let all = elements(text).map(|element| self.narrow(element)).collect::<Result<Vec<_>>>()?;
        ensure!(all.len() == N, "`{text}` has {} registers, not {N}", all.len());
        Ok(std::array::from_fn(|index| all[index]))
    }

    pub fn label(&self, text: &str) -> Result<usize> {
        self.labels.get(text.trim()).copied().with_context(|| format!("there is no label `{text}`"))
    }
}

/// Returns the elements of `{a, b}`, or the whole text.
pub fn elements(text: &str) -> impl Iterator<Item = &str> {
    text.trim().trim_start_matches('{').trim_end_matches('}').split(',').map(str::trim)
}

fn immediate(text: &str) -> Result<u64> {
    let unsigned = text.trim_end_matches('U');
    Ok(match (text.get(..2), text.get(2..)) {
        (Some("0f" | "0F" | "0d" | "0D"), Some(bits)) => u64::from_str_radix(bits, 16)?,
        (Some("0x"), _) => u64::from_str_radix(&unsigned[2..], 16)?,
        _ => unsigned.parse::<i64>()? as u64,
    })
}
