//! `lowbit man`: manual pages, from what `--help` is made of.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, files, print};

/// Write manual pages, one for each command
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit man ~/.local/share/man/man1")]
pub(super) struct Args {
    /// Folder that they go to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<()> {
    std::fs::create_dir_all(&args.folder)
        .with_context(|| format!("cannot make folder {}", args.folder.display()))?;
    let whole = pages(&args.folder)?;
    files::write(&whole)?;
    print::written(&whole)
}

/// `lowbit.1`, and `lowbit-NAME.1` of each command.
fn pages(folder: &Path) -> Result<Vec<files::File>> {
    let mut root = Cli::command();
    root.build();
    let commands: Vec<Command> = root.get_subcommands().cloned().collect();
    let page = |command: Command| {
        let man = Man::new(command);
        let mut text = Vec::new();
        man.render(&mut text)?;
        Ok((folder.join(man.get_filename()), text))
    };
    std::iter::once(root).chain(commands).map(page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let pages = pages(Path::new("man1")).unwrap();
        let commands = Cli::command().get_subcommands().count();
        assert_eq!(pages.len(), commands + 1);
        let page = |name: &str| {
            let found = pages.iter().find(|(path, _)| path.ends_with(name)).unwrap();
            String::from_utf8(found.1.clone()).unwrap()
        };
        assert!(page("lowbit-quantize.1").contains("recipe") && page("lowbit.1").contains("quantize"));
    }
}
