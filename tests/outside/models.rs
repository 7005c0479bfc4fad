//! Samples a generator, writes its weights under PyTorch's names and reads them back.
use mergan_models::{Conditions, ModelConfig, Generator, Network, Weights, to_bytes};
use mergan_tensor::{Address, Device, Random};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let generator = Generator::new(ModelConfig::default(), Random::new(0), Device::Cpu);
    let path = std::env::temp_dir().join(format!("mergan-outside-{}.safetensors", std::process::id()));
    let mut weights = Weights::default();
    weights.insert_network("", &generator);
    weights.save(&path)?;
    let again = Weights::load(&path, Device::Cpu)?.network(&path, "", &generator.map(|weight| weight * 0.0))?;
    std::fs::remove_file(&path)?;
    let latents = Random::new(1).normal(Address::default(), [8, 128], Device::Cpu);
    let images = [&generator, &again].map(|g| to_bytes(&g.forward(&latents, &Conditions::pure(&[3, 7]))));
    assert!(images[0] == images[1] && images[0].dim() == (8, 1, 32, 32));
    Ok(())
}
