//! The file that `--report` names: its extension says what is written.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use lowbit::{Report, render};

/// A path with an extension that we can write.
#[derive(Clone)]
pub(super) struct ReportFile {
    path: PathBuf,
    render: fn(&Report) -> String,
}

impl ReportFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn render(&self, report: &Report) -> String {
        (self.render)(report)
    }
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<ReportFile, String> {
        let path = PathBuf::from(text);
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        let render = match extension.as_str() {
            "html" | "htm" => render::html::report,
            "json" => render::json::report,
            "md" | "markdown" => render::markdown::report,
            "" => return Err("no extension; .html, .json or .md says which report to write".to_owned()),
            other => {
                return Err(format!("cannot write a .{other} report; .html, .json and .md are possible"));
            }
        };
        Ok(ReportFile { path, render })
    }
}
