//! `lowbit methods`: what a recipe can be made of, for quantizing and for training.

use anyhow::Result;
use lowbit::facade;
use lowbit::render::table::{Align, Table};
use lowbit::render::text;
use lowbit_quantize::method::Entry;
use lowbit_train::TrainRecipe;
use lowbit_train::listing;

use super::print;

/// List the methods that a recipe can be made of, with their options
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit methods")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<()> {
    let style = print::style();
    let tables = [table(facade::methods()), training(), recipes()?];
    print::out(&tables.map(|table| text::table(&table, style)).join("\n"))
}

/// The same of training recipes.
fn training() -> Table {
    let mut table = Table::new(&["training", "option", "what it does"].map(|title| (title, Align::Left)));
    for entry in listing::ALL {
        table.push(vec![entry.id.into(), String::new(), entry.summary.into()]);
        for (name, meaning) in entry.options {
            table.push(vec![String::new(), (*name).into(), (*meaning).into()]);
        }
    }
    table
}

/// Built-in training recipes.
fn recipes() -> Result<Table> {
    let mut table = Table::new(&["training recipe", "what it does"].map(|title| (title, Align::Left)));
    for (name, _) in TrainRecipe::built_in() {
        table.push(vec![(*name).into(), TrainRecipe::named(name)?.bits.summary]);
    }
    Ok(table)
}

/// A line per method, and one per option below it.
fn table(methods: &[Entry]) -> Table {
    let mut table = Table::new(&["method", "option", "what it does"].map(|title| (title, Align::Left)));
    for method in methods {
        table.push(vec![method.id.into(), String::new(), method.summary.into()]);
        for (name, meaning) in method.options {
            table.push(vec![String::new(), (*name).into(), (*meaning).into()]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_listed_with_its_options() {
        let lines = table(facade::methods()).to_text(None).join("\n");
        for method in facade::methods() {
            assert!(lines.contains(method.id) && lines.contains(method.summary), "{}", method.id);
            assert!(
                method.options.iter().all(|(name, meaning)| lines.contains(name) && lines.contains(meaning))
            );
        }
    }
}
