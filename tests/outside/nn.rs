//! Builds a critic of layers under spectral norm, trains it with two optimisers in turn, saves it and loads it.
use mergan_nn::{Conv2d, Layer, Linear, Network, Parameter, Scope, Sequential, SpectralNorm, Weights, evaluate};
use mergan_tensor::{AdamW, Address, Device, Optimizer, Random, RmsProp, Tensor, clip_grad_norm};

/// Tells images of 8 x 8 pixels apart.
#[derive(Clone)]
struct Critic {
    body: Sequential,
    head: SpectralNorm<Linear>,
}

impl Critic {
    fn new(at: &Scope) -> Self {
        let (body, head) = (&at.at("body"), &at.at("head"));
        Critic {
            body: Sequential::new(body)
                .then(SpectralNorm::new(body, Conv2d::new(body, 1, 8, 4).stride(2).padding(1)))
                .then(|x: &Tensor| x.leaky_relu(0.2))
                .then(SpectralNorm::new(body, Conv2d::new(body, 8, 16, 4).stride(2).padding(1)))
                .then(Tensor::relu)
                .then(Tensor::flatten),
            head: SpectralNorm::new(head, Linear::new(head, 16 * 2 * 2, 1)),
        }
    }

    fn forward(&self, images: &Tensor) -> Tensor {
        self.head.forward(&self.body.forward(images))
    }
}

impl Network for Critic {
    fn parameters(&self) -> Vec<Parameter> {
        [self.body.parameters(), self.head.parameters()].concat()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        [self.body.parameters_mut(), self.head.parameters_mut()].into_iter().flatten().collect()
    }
}

/// Takes steps down the hinge loss and returns the last loss.
fn train(critic: &mut Critic, optimizer: &mut impl Optimizer, steps: u32) -> f64 {
    let mut last = f64::INFINITY;
    for step in 0..steps {
        let draw = |substep| {
            Random::new(1).normal(Address { step, substep, ..Address::default() }, [32, 1, 8, 8], Device::Cpu)
        };
        let [real, fake] = [critic.forward(&(draw(0) + 0.5)), critic.forward(&draw(1))];
        let loss = (1.0 - real).relu().mean() + (fake + 1.0).relu().mean();
        let mut gradients = critic.gradients(&loss);
        clip_grad_norm(&mut gradients, 5.0);
        optimizer.step(0.01, critic.variables_mut(), &gradients);
        last = loss.item();
    }
    last
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fresh = |seed| Critic::new(&Scope::new(Random::new(seed), Device::Cpu));
    let mut critic = fresh(0).trainable();
    let before = train(&mut critic, &mut AdamW::default(), 1);
    let between = train(&mut critic, &mut AdamW::default(), 100);
    let after = train(&mut critic, &mut RmsProp::default(), 100);
    assert!(between < 0.8 * before && after < 0.5 * before, "{before}, {between}, {after}");

    let path = std::env::temp_dir().join(format!("mergan-outside-{}-critic.safetensors", std::process::id()));
    let mut weights = Weights::default();
    weights.insert_network("critic.", &critic);
    weights.save(&path)?;
    let read = Weights::load(&path, Device::Cpu)?;
    std::fs::remove_file(&path)?;
    assert!(read.get("critic.body.2.weight_orig").is_some() && read.get("critic.head.weight_u").is_some());
    let again = read.network(&path, "critic.", &fresh(1))?;
    let images = Random::new(2).normal(Address::default(), [4, 1, 8, 8], Device::Cpu);
    let [here, there] = [&critic, &again].map(|critic| evaluate(|| critic.forward(&images)).to_vec::<f32>());
    assert_eq!(here, there);
    Ok(())
}
