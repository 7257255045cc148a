//! `lowbit targets`: what there is, whether a file is one, and what a network takes here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use lowbit::Progress as _;
use lowbit::facade::{self, MeasureJob};
use lowbit::render::table::{Align, Table};
use lowbit::render::text;
use lowbit_quantize::Target;
use lowbit_quantize::target::check::remarks;

use super::progress::Bars;
use super::{files, print, shared};

/// List targets, check the file of one, or measure what a network takes on this machine
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit targets check mine.toml")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    Check(Check),
    Measure(Measure),
}

/// Check a target's file, and say what it allows
#[derive(clap::Args)]
struct Check {
    /// File (TOML), or the name of a built-in target
    target: String,
}

/// Time lowbit's own kernels on what a network needs, and write a target with the table
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit targets measure resnet20.onnx -o here.toml")]
struct Measure {
    /// Network (ONNX, float)
    model: PathBuf,

    /// Target that the times are for
    #[arg(long, value_name = "NAME|FILE", default_value = facade::DEFAULT_TARGET)]
    target: String,

    /// Where the target with the table goes
    #[arg(short, long, value_name = "OUT.toml")]
    output: PathBuf,

    /// Samples per run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = shared::positive)]
    batch: usize,

    /// Runs of each strategy; more where other work disturbs
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = shared::positive)]
    rounds: usize,

    /// About how long to time for, where so many runs would take longer
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,

    /// Widths of weights to time
    #[arg(long, value_name = "BITS", value_delimiter = ',', default_value = "8,4,3,2", value_parser = clap::value_parser!(u8).range(2..=8))]
    bits: Vec<u8>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    match &args.action {
        None => print::out(&text::table(&list(), print::style())),
        Some(Action::Check(check)) => {
            let target = facade::target(&check.target)?;
            print::out(&text::table(&described(&target), print::style()))?;
            let said = remarks(&target).iter().map(|r| format!("· {r}\n")).collect::<String>();
            print::out(&format!("{said}{} can be used\n", check.target))
        }
        Some(Action::Measure(measure)) => {
            files::check_all([measure.output.as_path()], [&measure.model, Path::new(&measure.target)])?;
            let job = MeasureJob {
                model: measure.model.clone(),
                target: measure.target.clone(),
                batch: measure.batch,
                rounds: measure.rounds,
                most: Duration::from_secs(measure.seconds),
                bits: measure.bits.clone(),
            };
            let bars = Bars::new();
            let text = facade::measure(&job, &bars)?;
            bars.finish();
            let whole = [(measure.output.clone(), text.into_bytes())];
            files::write(&whole)?;
            print::written(&whole)
        }
    }
}

fn list() -> Table {
    let mut table = Table::new(&["target", "costs", "what it is"].map(|title| (title, Align::Left)));
    for (name, target) in Target::built_in() {
        table.push(vec![name.into(), costs(&target).into(), target.summary]);
    }
    table
}

fn costs(target: &Target) -> &'static str {
    match &target.cost {
        Some(cost) if !cost.measured.is_empty() => "measured",
        Some(_) => "formula",
        None if !target.latency.is_empty() => "products",
        None => "–",
    }
}

/// A line per way of computing an operator.
fn described(target: &Target) -> Table {
    let titles = ["operator", "operands", "sums in", "result", "weights", "sums bear"];
    let mut table = Table::new(&titles.map(|title| (title, Align::Left)));
    let words = |types: &[lowbit_quantize::target::ElementType]| {
        types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
    };
    for d in &target.ops {
        let sums = d.accumulator.map(|a| {
            let pairs = a.pairs.map_or(String::new(), |p| format!(", pairs in {p}"));
            format!("{}{pairs}", a.element)
        });
        let mut result = vec![d.out.to_string()];
        result.extend(d.requantized.iter().map(ToString::to_string));
        let bear = d.accumulator.and_then(|_| d.bearable_reduction());
        table.push(vec![
            d.op.clone(),
            words(&d.inputs),
            sums.unwrap_or_default(),
            result.join(", "),
            d.accumulator.map_or(String::new(), |_| format!("{} bits", d.input_bits(1))),
            bear.map_or(String::new(), |n| format!("{n} products")),
        ]);
    }
    if target.ops.is_empty() {
        for op in &target.integer_ops {
            let blank = String::new;
            table.push(vec![op.clone(), "codes".into(), blank(), blank(), blank(), blank()]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_listed_and_can_be_described() {
        let lines = list().to_text(None).join("\n");
        for (name, target) in Target::built_in() {
            assert!(lines.contains(name) && lines.contains(&target.summary), "{name}");
            let text = described(&target).to_text(None).join("\n");
            assert!(target.integer_ops.iter().all(|op| text.contains(op)), "{name}:\n{text}");
        }
    }
}
