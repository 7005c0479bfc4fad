//! `mergan export`: writes a generator for other programs.

use anyhow::{Result, bail};
use mergan_runs::export::onnx;

use crate::args::ExportArguments;
use crate::checked::load_trained;
use crate::console::Console;

/// Runs `mergan export`.
pub fn run(arguments: &ExportArguments, console: &Console) -> Result<()> {
    let out = &arguments.out;
    let extension = out.extension().and_then(|extension| extension.to_str());
    let trained = load_trained(&arguments.source, console)?;
    match extension {
        Some("onnx") => onnx::write(out, &trained)?,
        Some("safetensors") => trained.save(out)?,
        _ => bail!("--out {}: the name must end in .onnx or .safetensors", out.display()),
    }
    console.note(format!("wrote {}: {}", out.display(), trained.usage.class_names.join(", ")));
    Ok(())
}
