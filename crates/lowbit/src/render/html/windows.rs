//! Windows of operands: where they sit, how many zeros there are, and what changes on a multiplier's inputs.

use lowbit_quantize::report::Report;
use maud::html;

use super::Section;
use crate::render::{tables, units};

pub(super) fn section(report: &Report) -> Option<Section> {
    let used = || report.layers.iter().filter_map(|layer| Some((layer, layer.window.as_ref()?)));
    let (_, first) = used().next()?;
    let body = html! {
        div.scroll {
            table.sortable {
                thead {
                    tr {
                        th { "Layer" }
                        th.number { "Bits" }
                        th.number title="Operands that are zero" { "Zeros" }
                        th.number title="Pairs with one zero: the other operand gets both windows" { "Pairs with one" }
                        th.number title="Pairs of two zeros" { "Two" }
                        th.number title="Share of the operands that are not zero with the window at each place, the lowest first" { "% by place" }
                        th.number title="Share of the operands that are not zero that get two windows" { "Wide" }
                        th.number title="Bits that change from one operand to the next, were all 8 multiplied" { "Flips, 8 bits" }
                        th.number title="The same of the codes in windows" { "Window" }
                        th.number title="The same of shift and weight selection" { "Control" }
                    }
                }
                tbody {
                    @for (layer, used) in used() {
                        tr {
                            th.name scope="row" { (layer.name) }
                            td.number { (used.bits) }
                            td.number { (units::share(used.zero_percent)) }
                            td.number { (units::share(used.one_zero_percent)) }
                            td.number { (units::share(used.both_zero_percent)) }
                            td.number { (tables::places(used)) }
                            td.number { (units::share(used.wide_percent)) }
                            td.number { (units::bits(used.flips_of_8_bits)) }
                            td.number { (units::bits(used.flips_of_window)) }
                            td.number { (units::bits(used.flips_of_control)) }
                        }
                    }
                }
            }
        }
    };
    let lead = format!(
        "Operands are read through a window: {}. Flips are bits per operand that change from one to the next on its multiplier.",
        first.window
    );
    Some(Section { id: "windows", title: "Windows of operands", lead, body })
}
