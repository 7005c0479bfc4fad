//! `mergan export`: writes a generator for other programs.

use anyhow::Result;
use mergan_runs::export::onnx;

use crate::args::ExportArguments;
use crate::checked::load_trained;
use crate::console::Console;
use crate::out::Form;

const ONNX: Form = Form::File("onnx");
const SAFETENSORS: Form = Form::File("safetensors");

/// Runs `mergan export`.
pub fn run(arguments: &ExportArguments, console: &Console) -> Result<()> {
    let out = &arguments.out;
    let form = Form::of(out, &[ONNX, SAFETENSORS])?;
    let trained = load_trained(&arguments.source, console)?;
    match form {
        ONNX => onnx::write(out, &trained)?,
        _ => trained.save(out)?,
    }
    console.note(format!("wrote {}: {}", out.display(), trained.usage.class_names.join(", ")));
    Ok(())
}
