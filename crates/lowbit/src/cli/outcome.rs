//! What is done with a finished network: written beside its report, then told.

use std::path::Path;

use anyhow::Result;
use lowbit::facade::Outcome;
use lowbit::render;

use super::report_file::ReportFile;
use super::{files, print};

/// Writes the network (unless there is no place for it) and the report, removes what a killed run would have gone on
/// from, and prints the report.
pub(super) fn keep(outcome: Outcome, output: Option<&Path>, report: Option<&ReportFile>) -> Result<()> {
    let mut whole: Vec<files::File> = Vec::new();
    if let Some(output) = output {
        whole.push((output.to_owned(), outcome.bytes));
    }
    if let Some(report) = report {
        whole.push((report.path().to_owned(), report.render(&outcome.report).into_bytes()));
    }
    files::write(&whole)?;
    for state in &outcome.state {
        // A state that stays behind is only clutter: the next run says that it is done.
        let _ = std::fs::remove_file(state);
    }
    print::told(&render::text::report(&outcome.report, print::style()))?;
    print::written(&whole)
}
