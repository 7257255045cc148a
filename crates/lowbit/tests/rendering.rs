//! What a report looks like, as text, Markdown, JSON and HTML.

mod support;

use lowbit::Report;
use lowbit::render::text::Style;
use lowbit::render::{html, json, markdown, text};
use support::report;

#[test]
fn text_lines_up_and_fits() {
    insta::assert_snapshot!(text::report(&report(4), Style { width: Some(120), colour: false }));
}

#[test]
fn markdown_reads_well_in_an_issue() {
    insta::assert_snapshot!(markdown::report(&report(4)));
}

#[test]
fn scores_as_json_are_the_contract_of_evaluate() {
    insta::assert_snapshot!(json::scores(&report(4).scores[..2]));
}

#[test]
fn json_gives_the_report_back() {
    let report = report(4);
    let again: Report = serde_json::from_str(&json::report(&report)).unwrap();
    assert!(again == report); // too long to print
}

#[test]
fn colour_adds_nothing_but_colour() {
    let plain = text::report(&report(4), Style::default());
    let coloured = text::report(&report(4), Style { width: None, colour: true });
    let stripped = coloured.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "");
    assert_eq!(plain, stripped);
}

#[test]
fn a_name_from_a_hostile_model_stays_text() {
    let mut report = report(4);
    report.layers[1].name = "<script>alert(1)</script>\" onload=\"x".into();
    report.model.name = "</title><script>".into();
    let page = html::report(&report);
    assert_eq!(page.matches("<script>").count(), 1, "only our own");
    assert!(!page.contains("\" onload=\""));
}

#[test]
fn a_name_from_a_hostile_model_cannot_drive_the_terminal() {
    let mut report = report(4);
    report.model.name = "\x1b]0;owned\x07".into();
    report.layers[1].name = "a\x1b[2Jb\nc".into();
    let text = text::report(&report, Style::default());
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn a_page_loads_nothing() {
    let page = html::report(&report(4));
    for word in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn a_report_with_nothing_in_it_renders() {
    let empty = Report::default();
    assert!(html::report(&empty).contains("</html>"));
    text::report(&empty, Style::default());
    markdown::report(&empty);
}

#[test]
fn values_that_are_no_numbers_never_reach_the_page() {
    let mut report = report(4);
    report.layers[1].alone_sqnr_db = Some(f64::NAN);
    report.layers[2].alone_sqnr_db = Some(f64::INFINITY);
    let activation = report.layers[1].activation.as_mut().unwrap();
    (activation.clip_hi, activation.max, activation.clipped_percent) = (f32::NAN, f32::INFINITY, f64::NAN);
    report.scores[1].sqnr_db = Some(f64::INFINITY);
    let page = html::report(&report);
    for word in ["NaN", "inf\"", ">inf", "inf "] {
        assert!(!page.contains(word), "{word}");
    }
}

/// The pages that `scripts/check_html.py` opens in a browser.
#[test]
fn pages_for_the_browser_check_are_written() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    let mut unlabelled = report(9);
    for score in &mut unlabelled.scores {
        (score.top1, score.top5) = (None, None);
    }
    let scores_only = Report { scores: report(20).scores, ..Report::default() };
    for (name, report) in
        [("usual", report(20)), ("long", report(60)), ("unlabelled", unlabelled), ("scores", scores_only)]
    {
        std::fs::write(folder.join(format!("{name}.html")), html::report(&report)).unwrap();
    }
}
