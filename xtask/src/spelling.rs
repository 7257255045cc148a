//! Common misspellings, in everything that is read: documentation, comments, messages.

use anyhow::Result;

use crate::step::{Outcome, Project, succeed};
use crate::venv::environment;

const PLACES: [&str; 9] =
    ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs", "crates", "xtask", "scripts", "python", "fuzz"];

/// What counts, and which words are ours, is in `pyproject.toml`.
pub(crate) fn check(project: &Project) -> Result<Outcome> {
    if project.fast {
        return Ok(Outcome::Skipped("--fast: spelling was not checked".into()));
    }
    let python = environment(project)?;
    succeed(project.command(python).args(["-m", "codespell_lib"]).args(PLACES))?;
    Ok(Outcome::Passed)
}
