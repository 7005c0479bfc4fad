//! `--device` and `--precision`: which device computes, and how exactly.

use std::ffi::OsStr;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command, ValueEnum};
use mergan_runs::Error;
use mergan_tensor::Device;
use mergan_tensor::cuda::{self, DeviceError, Options, Precision};

use crate::console::Console;

/// The device that computes.
#[derive(Args, Clone)]
#[command(next_help_heading = "Device")]
pub struct DeviceArguments {
    /// The device that computes: cpu, a GPU such as cuda:1 (cuda is cuda:0), or auto for the first GPU if there is one.
    /// Devices round differently, so results are bit-identical only on the same device.
    #[arg(
        long,
        default_value = "auto",
        value_name = "DEVICE",
        value_parser = ChoiceParser,
        hide_possible_values = true
    )]
    device: Choice,
    /// How a GPU multiplies in convolutions and matrix products: exactly, or on tensor cores, which are faster, keep
    /// 11 of the 24 bits of an operand's mantissa and need a GPU of 2020 or newer.
    #[arg(long, default_value = "f32", value_name = "PRECISION")]
    precision: Multiplication,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Multiplication {
    F32,
    Tf32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Choice {
    Auto,
    Cpu,
    Cuda(usize),
}

impl FromStr for Choice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:").map(usize::from_str)) {
            ("auto", _) => Ok(Choice::Auto),
            ("cpu", _) => Ok(Choice::Cpu),
            ("cuda", _) => Ok(Choice::Cuda(0)),
            (_, Some(Ok(ordinal))) => Ok(Choice::Cuda(ordinal)),
            _ => Err("choose auto, cpu or a GPU such as cuda:0".into()),
        }
    }
}

/// Parses any choice, and offers shells the usual ones.
#[derive(Clone)]
struct ChoiceParser;

impl TypedValueParser for ChoiceParser {
    type Value = Choice;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Choice, clap::Error> {
        StringValueParser::new().try_map(|text| text.parse::<Choice>()).parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(["auto", "cpu", "cuda"].map(PossibleValue::new).into_iter()))
    }
}

impl DeviceArguments {
    /// Opens the device and prints which one it is.
    pub fn open(&self, console: &Console) -> Result<Device> {
        let (device, reason) = self.device.open(self.precision)?;
        match (device, reason) {
            (Device::Cpu, None) => console.note("device: cpu"),
            // Most machines have no driver; one that has it was meant to have a GPU.
            (Device::Cpu, Some(reason @ (DeviceError::NotBuilt | DeviceError::NoDriver))) => {
                console.note("device: cpu");
                console.detail(reason);
            }
            (Device::Cpu, Some(reason)) => console.note(format!("device: cpu; {reason}")),
            (device, _) => console.note(format!(
                "device: {device}; its driver compiles the kernels when they are first used, and keeps them"
            )),
        }
        Ok(device)
    }
}

/// Opens the device of this name, as `--device` and `--precision` take them.
///
/// # Errors
/// When there is no device or precision of this name, or the device cannot be used.
pub fn open(device: &str, precision: &str) -> Result<Device> {
    let named = |option: &str, name: &str, reason: String| Error::Request(format!("{option} `{name}`: {reason}"));
    let choice: Choice = device.parse().map_err(|reason| named("device", device, reason))?;
    let precision = Multiplication::from_str(precision, false)
        .map_err(|_| named("precision", precision, "choose f32 or tf32".into()))?;
    Ok(choice.open(precision)?.0)
}

impl Choice {
    /// Opens the device. The choice falls on the CPU if no GPU can be used, for the reason that is returned with it.
    /// `MERGAN_CUDA_GRAPHS=0` keeps a GPU from using CUDA graphs.
    fn open(self, precision: Multiplication) -> Result<(Device, Option<DeviceError>)> {
        let precision = match precision {
            Multiplication::F32 => Precision::F32,
            Multiplication::Tf32 => Precision::Tf32,
        };
        let options = Options { precision, graphs: std::env::var_os("MERGAN_CUDA_GRAPHS").is_none_or(|on| on != "0") };
        let device = match self {
            Choice::Cuda(ordinal) => cuda::open(ordinal, options)
                .with_context(|| format!("--device cuda:{ordinal} cannot be used; choose cpu, or auto"))?,
            Choice::Cpu if precision == Precision::F32 => Device::Cpu,
            Choice::Cpu => bail!("--precision {precision} needs a GPU; --device cpu computes in f32"),
            Choice::Auto => match cuda::open(0, options) {
                Ok(device) => device,
                Err(reason) if precision == Precision::F32 => return Ok((Device::Cpu, Some(reason))),
                Err(reason) => bail!("--precision {precision} needs a GPU: {reason}"),
            },
        };
        Ok((device, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        for (text, choice) in
            [("auto", Choice::Auto), ("cpu", Choice::Cpu), ("cuda", Choice::Cuda(0)), ("cuda:12", Choice::Cuda(12))]
        {
            assert_eq!(text.parse(), Ok(choice));
        }
        for text in ["cuda:", "CUDA", "cuda:-1", "gpu", "cuda:99999999999999999999"] {
            assert!(text.parse::<Choice>().unwrap_err().contains("cuda:0"), "{text}");
        }
    }
}
