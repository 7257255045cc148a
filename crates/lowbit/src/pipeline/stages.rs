//! Stages of a run: told to the listener, and their wall times kept for the report, as are notes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lowbit_quantize::report::Stage;
use lowbit_quantize::run::Watch;

use crate::Progress;

pub(super) struct Stages<'a> {
    progress: &'a dyn Progress,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    done: Vec<Stage>,
    current: Option<(String, Instant)>,
    notes: Vec<String>,
}

impl<'a> Stages<'a> {
    pub(super) fn new(progress: &'a dyn Progress) -> Stages<'a> {
        Stages { progress, told: Mutex::default() }
    }

    /// Ends the current stage and begins one of `total` steps.
    pub(super) fn begin(&self, name: &str, total: Option<u64>) {
        let mut told = self.told();
        told.end();
        told.current = Some((name.to_owned(), Instant::now()));
        self.progress.stage(name, total);
    }

    pub(super) fn advance(&self, steps: usize) {
        self.progress.advance(steps as u64);
    }

    /// How the current stage is doing, for whoever watches now.
    pub(super) fn say(&self, text: &str) {
        self.progress.say(text);
    }

    /// A fact for the report, and for whoever watches now.
    pub(super) fn note(&self, text: impl Into<String>) {
        let text = text.into();
        self.progress.note(&text);
        self.told().notes.push(text);
    }

    /// A fact for the report, where there is one.
    pub(super) fn notes(&self, texts: impl IntoIterator<Item = String>) {
        texts.into_iter().for_each(|text| self.note(text));
    }

    /// Ends the last stage; every stage with its wall time, and all notes in order.
    pub(super) fn finish(&self) -> (Vec<Stage>, Vec<String>) {
        let mut told = self.told();
        told.end();
        self.progress.finish();
        (std::mem::take(&mut told.done), std::mem::take(&mut told.notes))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn end(&mut self) {
        if let Some((name, start)) = self.current.take() {
            let seconds = start.elapsed().as_secs_f64();
            // A step that comes back to a stage after a look elsewhere is one line of the report.
            match self.done.iter_mut().find(|stage| stage.name == name) {
                Some(stage) => stage.seconds += seconds,
                None => self.done.push(Stage { name, seconds }),
            }
        }
    }
}

impl Watch for Stages<'_> {
    fn stage(&self, name: &str, total: Option<u64>) {
        self.begin(name, total);
    }

    fn advance(&self, steps: u64) {
        self.progress.advance(steps);
    }

    fn note(&self, text: String) {
        Stages::note(self, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    #[test]
    fn what_a_method_says_is_kept_in_order_and_once() {
        let stages = Stages::new(&Silent);
        stages.begin("plan", None);
        let watch: &dyn Watch = &stages;
        watch.note("resuming: 3 of 11 blocks done".into());
        for name in ["block a", "check", "block b", "check"] {
            watch.stage(name, Some(2));
            watch.advance(2);
        }
        watch.note("stopped early".into());
        let (done, notes) = stages.finish();
        let names: Vec<&str> = done.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, ["plan", "block a", "check", "block b"]);
        assert_eq!(notes, ["resuming: 3 of 11 blocks done", "stopped early"]);
    }
}
