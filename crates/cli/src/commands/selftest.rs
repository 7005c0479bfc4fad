//! `mergan selftest`: compares the results of a device with those of the reference device, plain loops in f64.

use anyhow::Result;
use mergan_tensor::conformance::{Case, Outcome, layer_cases, small_cases};

use crate::args::SelftestArguments;
use crate::console::Console;
use crate::exit::ExitCode;

/// The batch size at which the layers of the networks are compared; no tile size divides it.
const BATCH: usize = 21;

/// Runs `mergan selftest`. The exit code says whether the device is correct.
pub fn run(arguments: &SelftestArguments, console: &Console) -> Result<ExitCode> {
    let device = arguments.device.open(console)?;
    let cases: Vec<Case> = small_cases().into_iter().chain(layer_cases(BATCH)).collect();
    let mut progress = console.progress("comparing with f64", cases.len() as u64);
    let outcomes = cases.iter().enumerate().map(|(done, case)| {
        console.update(&mut progress, done as u64, || case.name().into());
        case.check(device)
    });
    let outcomes: Vec<Outcome> = outcomes.collect();
    drop(progress);
    let wrong = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    for outcome in &outcomes {
        let text = format!("{:>10.4}  {}", outcome.error, outcome.case);
        if outcome.passed() {
            console.detail(format!("right  {text}"));
        } else {
            console.print(format!("WRONG  {text}"))?;
        }
    }
    let largest = outcomes.iter().map(|outcome| outcome.error).fold(0.0, f64::max);
    console.print(format!(
        "{device}: {} of {} comparisons agree with f64; the largest error is {largest:.3} of what rounding explains",
        outcomes.len() - wrong,
        outcomes.len()
    ))?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
