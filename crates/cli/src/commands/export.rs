//! `mergan export`: a generator for others to run.

use anyhow::{Context, Result, bail};
use mergan_models::write_whole;

use crate::args::ExportArguments;
use crate::console::Console;
use crate::generator::Trained;
use crate::onnx;
use crate::run_dir::RunDir;

/// Answers `mergan export`.
pub fn run(arguments: &ExportArguments, console: &Console) -> Result<()> {
    let out = &arguments.out;
    let extension = out.extension().and_then(|extension| extension.to_str());
    let path = RunDir::generator_of(&arguments.source)?;
    let trained = Trained::load(&path)?;
    match extension {
        Some("onnx") => {
            write_whole(out, &onnx::model(&trained)).with_context(|| format!("writing {}", out.display()))?
        }
        Some("safetensors") => trained.save(out)?,
        _ => bail!("--out {}: the name must end in .onnx or .safetensors", out.display()),
    }
    console.note(format!("wrote {}: {}", out.display(), trained.usage.class_names.join(", ")));
    Ok(())
}
