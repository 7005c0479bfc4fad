//! The losses of AC-GAN with WGAN-GP (paper section 2.1, equations 1 to 6, as computed by the released code).

use mergan_tensor::Tensor;

use crate::augmentation::View;
use crate::draws::Purpose;

/// One term of a loss.
#[derive(Clone, Debug)]
pub struct Term {
    /// The name of the term in progress lines, events and reports.
    pub name: &'static str,
    /// The weight of the term in the loss.
    pub weight: f64,
    /// The value of the term without the weight, a scalar.
    pub value: Tensor,
}

impl Term {
    /// Creates a term.
    pub fn new(name: &'static str, weight: f64, value: Tensor) -> Self {
        Term { name, weight, value }
    }
}

/// The weights of a loss's terms relative to the critic's score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossWeights {
    /// lambda_GP, the weight of the gradient penalty.
    pub penalty: f64,
    /// lambda_CLS, the weight of the class terms of both networks.
    pub class: f64,
}

impl Default for LossWeights {
    /// Returns the weights of the paper.
    fn default() -> Self {
        LossWeights { penalty: 10.0, class: 1.0 }
    }
}

/// Returns the terms of the critic's loss on one batch, without those of a strategy: the negated Wasserstein distance,
/// the gradient penalty and the class term on real images.
///
/// `real` and `fake` are images `[n, c, h, w]` of equal shape, `fraction` is `[n, 1, 1, 1]` with values in [0, 1), and
/// `labels` are the classes of the real images. The critic may see all of them through random changes ([`View`]).
pub fn critic_terms<'a>(
    critic: impl Into<View<'a>>,
    real: &Tensor,
    fake: &Tensor,
    fraction: &Tensor,
    labels: &[usize],
    weights: LossWeights,
) -> Vec<Term> {
    let (n, critic) = (real.shape()[0], critic.into());
    let verdict = critic.forward(&Tensor::concat(0, &[real, fake]), Purpose::CriticView);
    let wasserstein = verdict.score.slice(0, n..2 * n).mean() - verdict.score.slice(0, 0..n).mean();
    vec![
        Term::new("wasserstein", 1.0, wasserstein),
        Term::new("penalty", weights.penalty, gradient_penalty(critic, real, fake, fraction)),
        Term::new("class_real", weights.class, verdict.logits.slice(0, 0..n).cross_entropy(labels)),
    ]
}

/// Returns the gradient penalty (Gulrajani et al., 2017): the mean over the batch of (||grad D(x)|| - 1)^2 at points x
/// between real and fake images, with one fraction per image.
///
/// The norm is taken over all elements of an image, and only the critic's score is differentiated, not its class head.
/// The penalty itself is differentiable with respect to the critic's weights. If the critic sees images through random
/// changes, x is an image before them.
pub fn gradient_penalty<'a>(critic: impl Into<View<'a>>, real: &Tensor, fake: &Tensor, fraction: &Tensor) -> Tensor {
    let between = (real + (fake - real) * fraction).variable();
    let slope = critic.into().score(&between, Purpose::PenaltyView).sum().differentiable_gradient(&between);
    slope.unit_norm_penalty()
}

/// Returns the terms of the generator's loss on one batch, without those of a strategy: the negated score of the critic
/// and the class term, both on the fake images.
pub fn generator_terms<'a>(
    critic: impl Into<View<'a>>,
    fake: &Tensor,
    labels: &[usize],
    weights: LossWeights,
) -> Vec<Term> {
    let verdict = critic.into().forward(fake, Purpose::GeneratorView);
    vec![
        Term::new("adversarial", 1.0, -verdict.score.mean()),
        Term::new("class_fake", weights.class, verdict.logits.cross_entropy(labels)),
    ]
}

/// Returns the weighted sum of the terms, a scalar.
pub fn total(terms: &[Term]) -> Tensor {
    let weighted = terms.iter().map(|term| &term.value * term.weight);
    weighted.reduce(|sum, term| sum + term).expect("a loss has at least one term")
}
