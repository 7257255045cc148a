//! The file that `--report` names: its extension says what is written.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use lowbit::{Report, render};

/// A path with an extension that we can write.
#[derive(Clone)]
pub(super) struct ReportFile {
    path: PathBuf,
    form: Form,
}

/// What the extension says.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Html,
    Json,
    Markdown,
}

impl ReportFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn render(&self, report: &Report) -> String {
        match self.form {
            Form::Html => render::html::report(report),
            Form::Json => render::json::report(report),
            Form::Markdown => render::markdown::report(report),
        }
    }
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<ReportFile, String> {
        let path = PathBuf::from(text);
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        let form = match extension.as_str() {
            "html" | "htm" => Form::Html,
            "json" => Form::Json,
            "md" | "markdown" => Form::Markdown,
            "" => return Err("no extension; .html, .json or .md says which report to write".to_owned()),
            other => {
                return Err(format!("cannot write a .{other} report; .html, .json and .md are possible"));
            }
        };
        Ok(ReportFile { path, form })
    }
}
