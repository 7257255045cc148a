//! Words on the terminal: results to stdout, errors to stderr.

use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use anyhow::{Error, Result};
use lowbit::render::text::{Style, printable};
use lowbit::render::units;

use super::files::File;

/// How much is said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Loudness {
    /// Nothing but errors, and what a command is there to print.
    Quiet,
    Usual,
    /// Each stage and note too, wherever stderr goes.
    Verbose,
}

static LOUDNESS: OnceLock<Loudness> = OnceLock::new();

/// Said once, before anything else is.
pub(super) fn set_loudness(quiet: bool, verbose: bool) {
    let loudness = match (quiet, verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Usual,
    };
    // Only ever set here.
    let _ = LOUDNESS.set(loudness);
}

pub(super) fn loudness() -> Loudness {
    LOUDNESS.get().copied().unwrap_or(Loudness::Usual)
}

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

/// Prints what a command has to tell beside the files it writes.
pub(super) fn told(text: &str) -> Result<()> {
    if loudness() == Loudness::Quiet { Ok(()) } else { out(text) }
}

/// Says which files were written.
pub(super) fn written(files: &[File]) -> Result<()> {
    let mut text = String::new();
    for (path, bytes) in files {
        text.push_str(&format!("\nwrote {} ({})", path.display(), units::bytes(bytes.len() as u64)));
    }
    if text.is_empty() { Ok(()) } else { told(&(text + "\n")) }
}

/// Prints an error and what caused it.
pub(super) fn error(error: &Error) {
    let mut said = error.to_string();
    // Red on a terminal; `NO_COLOR` is respected.
    let word = console::style("error:").red().bold().for_stderr();
    let mut text = format!("{word} {}\n", lines(&said));
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
