//! What a job found, in every form that the library renders.

use lowbit::embedding::EmbedReport;
use lowbit::facade::SearchReport;
use lowbit::render;
use lowbit::render::text::Style;
use pyo3::prelude::*;

use crate::errors::in_python;

/// A report of any verb.
#[pyclass(frozen, module = "lowbit._native")]
pub(crate) struct Report(About);

enum About {
    Network(lowbit::Report),
    Table(EmbedReport),
    Search(SearchReport),
}

impl Report {
    pub(crate) fn network(mut report: lowbit::Report) -> Report {
        report.notes.iter_mut().for_each(|note| *note = in_python(note));
        Report(About::Network(report))
    }

    pub(crate) fn table(mut report: EmbedReport) -> Report {
        report.notes.iter_mut().for_each(|note| *note = in_python(note));
        Report(About::Table(report))
    }

    pub(crate) fn search(mut report: SearchReport) -> Report {
        report.notes.iter_mut().for_each(|note| *note = in_python(note));
        Report(About::Search(report))
    }
}

#[pymethods]
impl Report {
    fn json(&self) -> String {
        match &self.0 {
            About::Network(report) => render::json::report(report),
            About::Table(report) => render::embedding::json(report),
            About::Search(report) => render::pareto::json(report),
        }
    }

    fn html(&self) -> String {
        match &self.0 {
            About::Network(report) => render::html::report(report),
            About::Table(report) => render::html::embedding::page(report),
            About::Search(report) => render::pareto::page(report),
        }
    }

    fn markdown(&self) -> String {
        match &self.0 {
            About::Network(report) => render::markdown::report(report),
            About::Table(report) => render::embedding::markdown(report),
            About::Search(report) => render::pareto::markdown(report),
        }
    }

    #[pyo3(signature = (width=None))]
    fn text(&self, width: Option<usize>) -> String {
        let style = Style { width, colour: false };
        match &self.0 {
            About::Network(report) => render::text::report(report, style),
            About::Table(report) => render::embedding::text(report, style),
            About::Search(report) => in_python(&render::pareto::text(report, style)),
        }
    }
}
