//! `lowbit zoo`: untrained reference networks.

use std::path::PathBuf;

use anyhow::{Result, bail};
use lowbit::render::table::{Align, Table};
use lowbit::render::text;
use lowbit::{facade, zoo};

use super::{files, print, usage};

/// Write an untrained reference network, or list what there is
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit zoo resnet50 -o resnet50.onnx")]
pub(super) struct Args {
    /// Name of the network
    name: Option<String>,

    /// Where it goes
    #[arg(short, long, value_name = "OUT.onnx", requires = "name")]
    output: Option<PathBuf>,

    /// Seed of its weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let Some(name) = &args.name else {
        let mut table = Table::new(&["network", "what it is"].map(|title| (title, Align::Left)));
        zoo::ALL.iter().for_each(|entry| table.push(vec![entry.name.into(), entry.summary.into()]));
        return print::out(&text::table(&table, print::style()));
    };
    let Some(entry) = zoo::named(name) else {
        let known: Vec<&str> = zoo::ALL.iter().map(|entry| entry.name).collect();
        bail!("no network is called `{name}`; there are {}", known.join(", "));
    };
    let output = args.output.as_ref().ok_or_else(|| usage("say where it goes: -o OUT.onnx".into()))?;
    files::check(output)?;
    let whole = [(output.clone(), facade::zoo(entry, args.seed)?)];
    files::write(&whole)?;
    print::written(&whole)
}
