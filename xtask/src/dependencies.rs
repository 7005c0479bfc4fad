//! Checks what the workspace depends on: licences, versions and sources, by the rules of `deny.toml`. They are those of
//! cargo-deny, which takes longer to build than all the checks of this workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::cargo::{cargo, root};

/// The part of `deny.toml` that is checked here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
    clarify: Vec<Clarification>,
}

/// The licence of a package that names none.
#[derive(Deserialize)]
struct Clarification {
    #[serde(rename = "crate")]
    name: String,
    expression: String,
}

#[derive(Deserialize)]
struct Bans {
    /// Packages that may be there in another version too, as `name@version`.
    skip: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Checks the packages of `Cargo.lock`.
pub fn check() -> Result<()> {
    let rules = fs::read_to_string(root().join("deny.toml")).context("reading deny.toml")?;
    let output = cargo().args(["metadata", "--all-features", "--locked", "--format-version", "1"]).output()?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    let faults = faults(&toml::from_str(&rules).context("reading deny.toml")?, &metadata.packages);
    ensure!(faults.is_empty(), "dependencies, by the rules of deny.toml:\n{}", faults.join("\n"));
    println!("{} packages", metadata.packages.len());
    Ok(())
}

/// Returns what is against the rules.
fn faults(rules: &Rules, packages: &[Package]) -> Vec<String> {
    let mut versions = BTreeMap::<_, BTreeSet<_>>::new();
    for Package { name, version, .. } in packages {
        versions.entry(name.as_str()).or_default().insert(format!("{name}@{version}"));
    }
    let doubled: BTreeSet<_> = versions.into_values().filter(|versions| versions.len() > 1).collect();
    let twice = doubled.iter().map(|versions| versions.difference(&rules.bans.skip).collect::<Vec<_>>());
    let twice = twice.filter(|left| left.len() > 1).map(|left| format!("{left:?}: several versions of one package"));
    let idle = rules.bans.skip.iter().filter(|skip| !doubled.iter().any(|versions| versions.contains(*skip)));
    let idle = idle.map(|skip| format!("{skip}: skipped, but there are no two versions of it"));
    let unknown = packages.iter().filter(|package| !package.is_from_the_registry_or_here());
    let unknown = unknown.map(|package| format!("{}: from {:?}", package.name, package.source));
    let licences = packages.iter().filter_map(|package| package.fault(&rules.licenses));
    twice.chain(idle).chain(unknown).chain(licences).collect()
}

impl Package {
    fn is_from_the_registry_or_here(&self) -> bool {
        self.source.as_ref().is_none_or(|source| source.starts_with("registry+"))
    }

    /// Returns why the licence is not allowed.
    fn fault(&self, rules: &Licenses) -> Option<String> {
        let name = &self.name;
        let clarified = rules.clarify.iter().find(|known| known.name == *name).map(|known| &known.expression);
        let Some(licence) = clarified.or(self.license.as_ref()) else {
            return Some(format!("{name}: names no licence"));
        };
        let allowed = |licence: &spdx::LicenseReq| rules.allow.contains(&licence.to_string());
        match Expression::parse_mode(licence, ParseMode::LAX) {
            Ok(expression) if expression.evaluate(allowed) => None,
            Ok(_) => Some(format!("{name}: licence {licence} is not allowed")),
            Err(error) => Some(format!("{name}: licence {licence}: {}", error.reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_against_the_rules_is_named() {
        let rules = r#"
            [licenses]
            allow = ["MIT", "Apache-2.0"]
            clarify = [{ crate = "silent", expression = "MIT" }]
            [bans]
            skip = ["twice@1.0.0", "gone@1.0.0"]
        "#;
        let package = |name: &str, version: &str, license: Option<&str>| Package {
            name: name.into(),
            version: version.into(),
            license: license.map(Into::into),
            source: (name == "elsewhere").then(|| "git+https://example.org".into()),
        };
        let packages = [
            package("twice", "1.0.0", Some("MIT")),
            package("twice", "2.0.0", Some("MIT/GPL-3.0-only")),
            package("thrice", "1.0.0", Some("(MIT AND Apache-2.0) OR Zlib")),
            package("thrice", "2.0.0", Some("MIT")),
            package("silent", "1.0.0", None),
            package("mute", "1.0.0", None),
            package("copyleft", "1.0.0", Some("MIT AND GPL-3.0-only")),
            package("elsewhere", "1.0.0", Some("Apache-2.0")),
        ];
        let faults = faults(&toml::from_str(rules).unwrap(), &packages);
        let starts =
            ["[\"thrice@1.0.0\"", "gone@1.0.0: skipped", "elsewhere: from", "mute: names", "copyleft: licence"];
        assert!(faults.iter().zip(starts).all(|(fault, start)| fault.starts_with(start)), "{faults:?}");
        assert_eq!(faults.len(), starts.len());
    }
}
