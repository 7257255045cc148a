//! `lowbit methods`: what a recipe can be made of.

use anyhow::Result;
use lowbit::facade::{self, MethodInfo};
use lowbit::render::table::{Align, Table};
use lowbit::render::text;

use super::print;

/// List the methods that a recipe can be made of
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit methods")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<()> {
    print::out(&text::table(&table(facade::methods()), print::style()))
}

fn table(methods: &[MethodInfo]) -> Table {
    let columns = ["method", "kind", "what it does", "options"].map(|title| (title, Align::Left));
    let mut table = Table::new(&columns);
    for method in methods {
        let options = method.options.split_whitespace().collect::<Vec<_>>().join(" ");
        table.push(vec![method.id.into(), method.kind.into(), method.summary.into(), options]);
    }
    table.without_blank_columns()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_a_line_with_its_options_on_it() {
        let aciq =
            MethodInfo { id: "aciq", kind: "closed form", summary: "clip", options: "bits = 4\nfuse = true" };
        let lines = table(&[aciq]).to_text(None);
        assert_eq!(lines[1], "aciq    closed form  clip          bits = 4 fuse = true");
    }
}
