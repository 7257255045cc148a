//! Words on the terminal: results to stdout, errors to stderr.

use std::io::{self, ErrorKind, Write};

use anyhow::{Error, Result};
use lowbit::render::text::{Style, printable};
use lowbit::render::units;

use super::files::File;

/// What stdout can show: no limit of width and no colour unless it is a terminal; `NO_COLOR` is respected.
pub(super) fn style() -> Style {
    let terminal = console::Term::stdout();
    let width = terminal.size_checked().map(|(_rows, columns)| usize::from(columns));
    Style {
        width: width.filter(|_| terminal.is_term()),
        colour: terminal.is_term() && console::colors_enabled(),
    }
}

/// Prints text to stdout.
pub(super) fn out(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Says which files were written.
pub(super) fn written(files: &[File]) -> Result<()> {
    let mut text = String::new();
    for (path, bytes) in files {
        text.push_str(&format!("\nwrote {} ({})", path.display(), units::bytes(bytes.len() as u64)));
    }
    if text.is_empty() { Ok(()) } else { out(&(text + "\n")) }
}

/// Prints an error and what caused it.
pub(super) fn error(error: &Error) {
    let mut said = error.to_string();
    let mut text = format!("error: {}\n", lines(&said));
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some messages end with their cause already.
        if !said.ends_with(&cause) {
            text.push_str(&format!("  caused by: {}\n", lines(&cause)));
        }
        said = cause;
    }
    // If stderr is gone there is nobody left to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A message that may have several lines, and may quote a hostile file.
fn lines(message: impl std::fmt::Display) -> String {
    message.to_string().lines().map(printable).collect::<Vec<_>>().join("\n  ")
}

/// Whether the reader of our output went away.
pub(super) fn is_closed_pipe(error: &Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
