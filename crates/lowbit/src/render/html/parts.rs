//! The few shapes that every part of the page is made of.

use maud::{Markup, html};

use crate::render::table::{Align, Table};
use crate::render::units;

/// What a drawing is about, as a CSS class that sets its colour.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Weight,
    Activation,
    Harm,
    Plain,
}

impl Kind {
    pub(super) fn class(self) -> &'static str {
        match self {
            Kind::Weight => "weight",
            Kind::Activation => "activation",
            Kind::Harm => "harm",
            Kind::Plain => "plain",
        }
    }
}

/// Eight cells, `bits` of them filled (the last one in part); beyond eight all are.
pub(super) fn cells(bits: f64, kind: Kind) -> Markup {
    html! {
        svg.cells.(kind.class()) viewBox="0 0 55 10" role="img" aria-label={ (units::bits(bits)) " of 8 bits" } {
            @for i in 0..8u8 {
                @let filled = (bits - f64::from(i)).clamp(0.0, 1.0);
                rect.back x=(7 * u32::from(i)) width="6" height="10" rx="1" {}
                @if filled > 0.0 {
                    rect.fill x=(7 * u32::from(i)) width=(trim(6.0 * filled)) height="10" rx="1" {}
                }
            }
        }
    }
}

/// A horizontal bar, `share` of its track (0 to 1) filled.
pub(super) fn bar(share: f64, kind: Kind, tip: &str) -> Markup {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    html! {
        svg.bar.(kind.class()) viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
            rect.back width="100" height="6" {}
            rect.fill width=(trim(100.0 * share)) height="6" {}
            @if !tip.is_empty() { title { (tip) } }
        }
    }
}

/// A coordinate: at most two decimals; 0 for what is not a number, which would void the whole drawing.
pub(in crate::render) fn trim(value: f64) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A sentence in which `names` are set as code.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (i, part) in text.split('`').enumerate() {
            @if i % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

/// A block of text with a button that copies it; the button shows up only where it can work.
pub(in crate::render) fn copyable(title: &str, text: &str) -> Markup {
    html! {
        figure.code {
            figcaption { (title) button.copy type="button" hidden { "Copy" } }
            pre { code { (text.trim_end()) } }
        }
    }
}

/// `first` rows in sight, the rest behind a fold.
pub(super) fn folded(rows: Vec<Markup>, first: usize, noun: &str, class: &str) -> Markup {
    // One or two rows are not worth a click.
    let first = if rows.len() <= first + 2 { rows.len() } else { first };
    let rest = rows.len() - first;
    html! {
        ol class=(class) { @for row in &rows[..first] { (row) } }
        @if rest > 0 {
            details {
                summary { (units::plural(rest, noun)) " more" }
                ol class=(class) start=(first + 1) { @for row in &rows[first..] { (row) } }
            }
        }
    }
}

/// A table as text and Markdown have it, its titles with a capital.
pub(super) fn table(table: &Table) -> Markup {
    let number = |align: Align| matches!(align, Align::Right);
    let capital = |title: &str| {
        let mut letters = title.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    };
    html! {
        div.scroll {
            table {
                thead {
                    tr { @for &(title, align) in table.columns() { th.number[number(align)] { (capital(title)) } } }
                }
                tbody {
                    @for row in table.rows() {
                        tr {
                            @for (cell, &(_, align)) in row.iter().zip(table.columns()) {
                                td.number[number(align)] { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}
