//! Parses the assembler's report about the kernels: `ptxas -v` in NVRTC's log.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::sources::Module;

/// The resources of a multiprocessor that a kernel uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The name of the kernel.
    pub name: String,
    /// The number of registers of a thread.
    pub registers: usize,
    /// Bytes of registers that are spilled to memory, written and read.
    pub spills: usize,
    /// The static shared memory of a block in bytes.
    pub shared: usize,
}

impl Usage {
    /// Returns the larger value of each resource.
    pub fn max(self, other: Usage) -> Usage {
        Usage {
            registers: self.registers.max(other.registers),
            spills: self.spills.max(other.spills),
            shared: self.shared.max(other.shared),
            name: self.name,
        }
    }
}

/// Returns the usage of each kernel of the module according to the log, in the order of the source.
pub fn usages(log: &str, module: &Module) -> Result<Vec<Usage>> {
    let kernels = module.kernels();
    let usages = kernels.iter().map(|kernel| usage(log, kernel).with_context(|| format!("`{kernel}` in\n{log}")));
    let usages = usages.collect::<Result<Vec<_>>>()?;
    let compiled = log.matches("Compiling entry function").count();
    ensure!(compiled == usages.len(), "{compiled} kernels were compiled, {} are in the source", usages.len());
    Ok(usages)
}

fn usage(log: &str, kernel: &str) -> Result<Usage> {
    let (_, about) = log.split_once(&format!("Compiling entry function '{kernel}'")).context("it says nothing")?;
    let about = about.split("Compiling entry function").next().unwrap_or(about);
    let number = |before: &str| {
        let (numbers, _) = about.split_once(before)?;
        numbers.rsplit([' ', '\n']).next()?.parse::<usize>().ok()
    };
    let spills = [" bytes spill stores", " bytes spill loads"].map(number);
    Ok(Usage {
        name: kernel.into(),
        registers: number(" registers").context("it says nothing of registers")?,
        spills: spills
            .iter()
            .try_fold(0, |sum, bytes| bytes.map(|bytes| sum + bytes))
            .context("it says nothing of spills")?,
        shared: number(" bytes smem").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'second' for 'sm_90'
ptxas info    : Function properties for second
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 4096 bytes smem, 380 bytes cmem[0]
ptxas info    : Compiling entry function 'first' for 'sm_90'
ptxas info    : Function properties for first
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers, 360 bytes cmem[0]
";

    #[test]
    fn the_log_is_read_by_kernel() {
        let source = "extern \"C\" __global__ void first() {}\nextern \"C\" __global__ void second() {}";
        let module = Module { name: "two".into(), headers: Vec::new(), source: source.into() };
        let expected = [("first", 12, 0, 0), ("second", 255, 20, 4096)];
        let expected =
            expected.map(|(name, registers, spills, shared)| Usage { name: name.into(), registers, spills, shared });
        assert_eq!(usages(LOG, &module).unwrap(), expected);
        let other = Module { source: source.replace("second", "third"), ..module };
        assert!(format!("{:#}", usages(LOG, &other).unwrap_err()).contains("it says nothing"));
    }
}
