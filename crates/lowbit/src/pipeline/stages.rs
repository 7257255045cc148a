//! Stages of a run: told to the listener, and their wall times kept for the report.

use std::time::Instant;

use lowbit_quantize::report::Stage;

use crate::Progress;

pub(super) struct Stages<'a> {
    progress: &'a dyn Progress,
    done: Vec<Stage>,
    current: Option<(String, Instant)>,
}

impl<'a> Stages<'a> {
    pub(super) fn new(progress: &'a dyn Progress) -> Stages<'a> {
        Stages { progress, done: Vec::new(), current: None }
    }

    /// Ends the current stage and begins one of `total` steps.
    pub(super) fn begin(&mut self, name: &str, total: Option<u64>) {
        self.end();
        self.progress.stage(name, total);
        self.current = Some((name.to_owned(), Instant::now()));
    }

    pub(super) fn advance(&self, steps: usize) {
        self.progress.advance(steps as u64);
    }

    fn end(&mut self) {
        if let Some((name, start)) = self.current.take() {
            self.done.push(Stage { name, seconds: start.elapsed().as_secs_f64() });
        }
    }

    /// Ends the last stage; every stage with its wall time.
    pub(super) fn finish(mut self) -> Vec<Stage> {
        self.end();
        self.progress.finish();
        self.done
    }
}
