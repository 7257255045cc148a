//! `lowbit doctor`: what is here and what of it is used, to paste into a report of a fault.

use anyhow::{Result, bail};
use lowbit::Machine;
use lowbit::render::table::{Align, Table};
use lowbit::render::{text, units};

use super::print;

/// Say what lowbit finds on this machine: kernels, threads, memory, versions
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit doctor")]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let machine = Machine::look();
    if args.json {
        print::out(&(serde_json::to_string_pretty(&machine)? + "\n"))?;
    } else {
        print::out(&text::table(&table(&machine), print::style()))?;
    }
    match machine.is_well() {
        true => Ok(()),
        false => bail!("something here keeps jobs from running; see above"),
    }
}

fn table(machine: &Machine) -> Table {
    let mut table = Table::new(&[("what", Align::Left), ("found", Align::Left)]);
    let mut line = |what: &str, found: String| table.push(vec![what.to_owned(), found]);
    line("version", machine.version.clone());
    line("system", machine.system.clone());
    line("processor", machine.processor.clone().unwrap_or_else(|| "the system does not say".into()));
    let kernels = machine.kernels.iter().map(|set| match set.chosen {
        true => format!("{} (in use)", set.name),
        false => set.name.to_owned(),
    });
    let kernels = kernels.collect::<Vec<_>>().join(", ");
    line("kernels", machine.kernels_problem.clone().unwrap_or(kernels));
    line("devices", machine.devices.join(", "));
    line("threads", machine.threads.to_string());
    line(
        "memory",
        machine
            .free_bytes
            .map_or("the system does not say".into(), |free| format!("{} free", units::bytes(free))),
    );
    let temporary = machine.temporary.display();
    line(
        "temporary files",
        match &machine.temporary_problem {
            Some(problem) => format!("{temporary}: {problem}"),
            None => temporary.to_string(),
        },
    );
    table
}
