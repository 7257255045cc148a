//! Whether every crate that is built comes from the registry, under a licence that `deny.toml` allows.
//!
//! The lists are those of `cargo deny`, which checks more where it is installed; this step needs nothing.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::step::{Outcome, Project};

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
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

pub(crate) fn check(project: &Project) -> Result<Outcome> {
    let deny: Deny = toml::from_str(&std::fs::read_to_string(project.path("deny.toml"))?)?;
    let output = project.cargo(&["metadata", "--format-version", "1", "--locked"]).output();
    let output = output.context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let outside: Vec<_> = metadata.packages.iter().filter_map(|p| Some((p, p.source.as_ref()?))).collect();
    println!("{} crates from outside", outside.len());
    let mut refused = Vec::new();
    for (package, source) in outside {
        let place = format!("{} {}", package.name, package.version);
        if !source.starts_with("registry+") {
            refused.push(format!("{place} comes from {source}, not from the registry"));
        }
        let licence = package.license.as_deref().unwrap_or("no licence");
        if !is_allowed(licence, &deny.licenses.allow) {
            refused.push(format!("{place} is under {licence}"));
        }
    }
    if !refused.is_empty() {
        bail!("{}; see deny.toml", refused.join("; "));
    }
    Ok(Outcome::Passed)
}

/// Whether one of the alternatives of an SPDX expression is allowed in all its parts.
fn is_allowed(expression: &str, allow: &BTreeSet<String>) -> bool {
    // Old manifests write a slash for OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = any(&mut words, allow);
    allowed && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allow: &BTreeSet<String>) -> bool {
    let mut allowed = all(words, allow);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all(words, allow);
    }
    allowed
}

fn all(words: &mut Words<'_>, allow: &BTreeSet<String>) -> bool {
    let mut allowed = one(words, allow);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words, allow);
    }
    allowed
}

fn one(words: &mut Words<'_>, allow: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let allowed = any(words, allow);
        return words.next() == Some(")") && allowed;
    }
    let Some(licence) = words.next() else { return false };
    match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
        Some(exception) => allow.contains(&format!("{licence} WITH {exception}")),
        None => allow.contains(licence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_alternative_is_enough_and_every_part_of_it_counts() {
        let allow = ["MIT", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        for yes in [
            "MIT",
            "GPL-3.0 OR MIT",
            "Unlicense/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0",
        ] {
            assert!(is_allowed(yes, &allow), "{yes}");
        }
        for no in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT Unicode-3.0", "", "Apache-2.0", "no licence"] {
            assert!(!is_allowed(no, &allow), "{no}");
        }
    }
}
