//! Learns two shapes one after the other with replay alignment, and samples both.
use mergan_strategies::{Choice, Config, Strategies, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = mergan_datasets::load("shapes", &Default::default())?;
    let [dataset, strategy, preset] = ["shapes", "ra", "smoke"].map(String::from);
    let choice = Choice { dataset, strategy, preset, tasks: Some(2), ..Choice::default() };
    let strategies = Strategies::built_in();
    let config = Config::resolve(&choice, &strategies, data.class_names.len())?;
    let mut trainer = Trainer::new(config, &strategies, data.class_names.len(), &data.train)?;
    while trainer.advance()?.is_some() {}
    let images = trainer.sampling().images(trainer.generator(), &[0, 1], 4);
    assert!(images.len() == 2 && images[1].dim() == (4, 1, 32, 32));
    Ok(())
}
