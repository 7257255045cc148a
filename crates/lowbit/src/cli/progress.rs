//! Progress bars with time left, on stderr; quiet when that is no terminal. Lines instead of bars with `--verbose`.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lowbit::Progress;
use lowbit::render::text::printable;

use super::print::{self, Loudness};

/// One bar at a time; it vanishes when its stage is done, since the report lists the stages.
pub(super) struct Bars(Mutex<Option<ProgressBar>>);

/// A line on stderr; if that is gone there is nobody left to tell.
fn line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
}

impl Bars {
    pub(super) fn new() -> Bars {
        Bars(Mutex::new(None))
    }

    fn replace(&self, bar: Option<ProgressBar>) {
        // A bar is still a bar if a thread panicked while it held it.
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = std::mem::replace(&mut *current, bar) {
            done.finish_and_clear();
        }
    }
}

impl Progress for Bars {
    fn stage(&self, name: &str, total: Option<u64>) {
        let template = match total {
            Some(_) => "{prefix:<24} {bar:28} {pos:>6}/{len} {eta:>6} left  {msg}",
            None => "{prefix:<24} {spinner} {elapsed}",
        };
        if print::loudness() == Loudness::Verbose {
            return line(&match total {
                Some(total) => format!("{name} ({total} steps)"),
                None => name.to_owned(),
            });
        }
        if print::loudness() == Loudness::Quiet {
            return;
        }
        // The target is hidden when stderr is no terminal, and then nothing is drawn.
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_prefix(name.to_owned());
        if total.is_none() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        self.replace(Some(bar));
    }

    fn advance(&self, steps: u64) {
        if let Some(bar) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.inc(steps);
        }
    }

    fn say(&self, text: &str) {
        if let Some(bar) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.set_message(printable(text).to_string());
        }
    }

    fn note(&self, text: &str) {
        if print::loudness() == Loudness::Verbose {
            return line(&format!("· {text}"));
        }
        if let Some(bar) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.println(printable(text));
        }
    }

    fn finish(&self) {
        self.replace(None);
    }
}

impl Drop for Bars {
    /// An error that ends a stage early leaves a clean line for its message.
    fn drop(&mut self) {
        self.finish();
    }
}
