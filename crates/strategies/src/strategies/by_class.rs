//! Networks that each belong to the classes of one task.

use std::collections::BTreeSet;
use std::path::Path;

use mergan_models::{Network, Weights, WeightsError};
use mergan_tensor::Device;

/// Networks with the classes that each belongs to.
#[derive(Clone, Debug)]
pub(super) struct ByClass<N>(Vec<(Vec<usize>, N)>);

impl<N: Network> ByClass<N> {
    pub(super) fn new() -> Self {
        ByClass(Vec::new())
    }

    /// Adds the network of these classes, which have had none so far.
    pub(super) fn insert(&mut self, classes: &[usize], network: N) {
        self.0.push((classes.to_vec(), network));
    }

    /// Returns the network of a class, if there is one.
    pub(super) fn get(&self, class: usize) -> Option<&N> {
        self.0.iter().find(|(classes, _)| classes.contains(&class)).map(|(_, network)| network)
    }

    /// Returns the classes that have no network, if there are any, and those of each network.
    pub(super) fn grouped(&self, classes: &[usize]) -> Vec<(Vec<usize>, Option<&N>)> {
        let of = |wanted: &dyn Fn(&usize) -> bool| classes.iter().copied().filter(wanted).collect::<Vec<_>>();
        let without = (of(&|class| self.get(*class).is_none()), None);
        let with = self.0.iter().map(|(own, network)| (of(&|class| own.contains(class)), Some(network)));
        [without].into_iter().chain(with).filter(|(classes, _)| !classes.is_empty()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn networks(&self) -> impl Iterator<Item = &N> {
        self.0.iter().map(|(_, network)| network)
    }

    /// Replaces every network by one that `f` makes of it.
    pub(super) fn map(&self, f: impl Fn(&N) -> N) -> Self {
        ByClass(self.0.iter().map(|(classes, network)| (classes.clone(), f(network))).collect())
    }

    pub(super) fn move_to(&mut self, device: Device) {
        *self = self.map(|network| network.on(device));
    }

    /// Saves the networks under names such as `PREFIX0-3.c1.weight` for one that belongs to the classes 0 and 3.
    pub(super) fn save(&self, weights: &mut Weights, prefix: &str) {
        for (classes, network) in &self.0 {
            weights.insert_network(&prefix_of(prefix, classes), network);
        }
    }

    /// Reads the networks that [`ByClass::save`] stored under this prefix. All have the sizes of `like`, and their
    /// classes are among those that have been learned. `path` names the file in errors.
    ///
    /// # Errors
    /// Returns an error if a network belongs to other classes, or if its tensors are missing or have other shapes.
    pub(super) fn restore(
        path: &Path,
        weights: &Weights,
        prefix: &str,
        like: &N,
        learned: &[usize],
    ) -> Result<Self, WeightsError> {
        let labels = weights.names().filter_map(|name| name.strip_prefix(prefix)?.split('.').next());
        let mut found = ByClass::new();
        for label in labels.collect::<BTreeSet<_>>() {
            let classes: Option<Vec<usize>> = label.split('-').map(|class| class.parse().ok()).collect();
            let fits = |class: &usize| learned.contains(class) && found.get(*class).is_none();
            let Some(classes) = classes.filter(|classes| classes.iter().all(fits)) else {
                return Err(WeightsError::Unsuitable {
                    path: path.into(),
                    reason: format!(
                        "holds tensors under `{prefix}{label}`, which are not classes that have been learned; restore \
                         the file from a copy"
                    ),
                });
            };
            found.insert(&classes, weights.network(path, &prefix_of(prefix, &classes), like)?);
        }
        Ok(found)
    }
}

fn prefix_of(prefix: &str, classes: &[usize]) -> String {
    let classes: Vec<_> = classes.iter().map(usize::to_string).collect();
    format!("{prefix}{}.", classes.join("-"))
}
