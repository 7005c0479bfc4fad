//! `mergan config`: shows the configuration of a run without starting it.

use anyhow::Result;
use mergan_strategies::Strategies;

use crate::args::{ConfigCommand, ConfigQuestion};
use crate::config;
use crate::console::Console;

/// Runs `mergan config`.
pub fn run(command: &ConfigCommand, console: &Console) -> Result<()> {
    let ConfigQuestion::Show { dataset, config, images, data } = &command.question;
    let strategies = Strategies::built_in();
    let (config, _) = config::resolve(dataset.as_deref(), config, images, &strategies, data, console)?;
    console.print(config.to_commented_toml(&strategies)?.trim_end())
}
