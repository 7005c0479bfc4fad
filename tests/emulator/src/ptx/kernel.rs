//! A kernel prepared for execution: its instructions are decoded and its memory is laid out.

use std::collections::HashMap;

use anyhow::{Context, Result};

use super::decode::decode;
use super::instruction::{Instruction, Step};
use super::names::Names;
use super::text::{Entry, Text, Variable};

/// The unused bytes after each shared variable.
const GUARD: usize = 16;

/// A kernel.
pub struct Kernel {
    pub name: String,
    pub steps: Vec<Step>,
    /// The files of the module's source, by number.
    pub files: Vec<(usize, String)>,
    /// The offset and the size of each parameter among the arguments.
    pub parameters: Vec<(usize, usize)>,
    /// The number of registers of each file.
    pub counts: [usize; 3],
    /// The ranges of static shared variables.
    pub shared: Vec<std::ops::Range<usize>>,
    /// The offset of dynamic shared memory.
    pub dynamic: usize,
    /// The size of a thread's local memory in bytes.
    pub local: usize,
    pub max_threads: usize,
}

impl Kernel {
    /// Decodes an entry of a module whose own variables have these addresses.
    ///
    /// # Errors
    /// When something in it is unknown.
    pub fn new(entry: &Entry, module: &Text, globals: &HashMap<String, u64>) -> Result<Kernel> {
        let mut variables = globals.clone();
        let parameters = lay_out(&entry.parameters, 0);
        let offsets =
            entry.parameters.iter().zip(&parameters).map(|(parameter, range)| (parameter.name.clone(), range.start));
        let shared = lay_out(&entry.shared, GUARD);
        let local = lay_out(&entry.local, 0);
        let places = entry.shared.iter().zip(&shared).chain(entry.local.iter().zip(&local));
        variables.extend(places.map(|(variable, range)| (variable.name.clone(), range.start as u64)));
        let dynamic = shared.last().map_or(0, |range| range.end + GUARD).next_multiple_of(16);
        variables.extend(module.dynamic.iter().map(|variable| (variable.name.clone(), dynamic as u64)));
        let names = Names::new(entry, variables, offsets.collect());
        let steps = entry.statements.iter().map(|statement| {
            let (guard, instruction) = decode(&names, &statement.text)
                .with_context(|| format!("{}, PTX line {}: `{}`", entry.name, statement.line, statement.text))?;
            Ok(Step { guard, instruction, line: statement.line, source: statement.source })
        });
        let mut steps = steps.collect::<Result<Vec<_>>>()?;
        steps.push(Step { guard: None, instruction: Instruction::Return, line: 0, source: None });
        Ok(Kernel {
            name: entry.name.clone(),
            steps,
            files: module.files.clone(),
            parameters: parameters.iter().map(|range| (range.start, range.len())).collect(),
            counts: names.counts,
            shared,
            dynamic,
            local: local.last().map_or(0, |range| range.end),
            max_threads: entry.max_threads.unwrap_or(1024),
        })
    }

    /// Returns the origin of an instruction: the file and line of the source, and the line of the PTX.
    pub fn place(&self, step: usize) -> String {
        let Step { line, source, .. } = &self.steps[step];
        let file = |number: usize| self.files.iter().find(|(index, _)| *index == number).map(|(_, name)| name);
        match source.and_then(|(number, line)| Some((file(number)?, line))) {
            Some((file, source)) => format!("{file}:{source} (PTX line {line})"),
            None => format!("PTX line {line}"),
        }
    }
}

/// Lays out variables one after the other, each at its alignment and followed by `guard` unused bytes.
fn lay_out(variables: &[Variable], guard: usize) -> Vec<std::ops::Range<usize>> {
    let mut end = 0;
    let places = variables.iter().map(|variable| {
        let begin: usize = usize::next_multiple_of(end, variable.align.max(1));
        end = begin + variable.bytes + guard;
        begin..begin + variable.bytes
    });
    places.collect()
}
