//! Long work: on a thread of its own, while this one waits with the interpreter free, hands on what the work says of its
//! progress, and looks for Ctrl-C.
//!
//! The work itself never calls Python for its progress: it leaves words that the waiting thread picks up, so that bars are
//! drawn where notebooks expect it, and what a bar raises is raised here. An interrupt stops the work by unwinding it from
//! the next word it says, which runs its destructors and leaves no file behind; it is waited for, so that nothing goes on
//! once the exception is out.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lowbit::Progress;
use pyo3::prelude::*;

use crate::errors;

/// Between two looks for signals and words.
const TICK: Duration = Duration::from_millis(50);

/// Does `work` and tells `progress` (an object with the methods of [`Progress`]), if there is one.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&dyn Progress) -> anyhow::Result<T> + Send,
) -> PyResult<T> {
    let words = Words::default();
    let (done, interrupt) = py.detach(|| {
        thread::scope(|scope| {
            let (end, ended) = sync_channel::<()>(0);
            let task = || {
                // Gone when this thread is done, which wakes the other one.
                let _end = end;
                catch_unwind(AssertUnwindSafe(|| work(&words)))
            };
            let worker = thread::Builder::new().name("lowbit".into()).spawn_scoped(scope, task);
            let mut interrupt = None;
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
                if interrupt.is_none() {
                    interrupt = Python::attach(|py| {
                        py.check_signals().and_then(|()| words.tell(py, progress.as_ref())).err()
                    });
                    words.stop.store(interrupt.is_some(), Ordering::Relaxed);
                }
            }
            (worker.map(thread::ScopedJoinHandle::join), interrupt)
        })
    });
    if let Some(error) = interrupt {
        return Err(error);
    }
    match done {
        Ok(Ok(Ok(Ok(value)))) => {
            words.tell(py, progress.as_ref())?;
            py.check_signals()?;
            Ok(value)
        }
        Ok(Ok(Ok(Err(error)))) => Err(errors::exception(py, &error)),
        Ok(Ok(Err(panic)) | Err(panic)) => Err(fault(py, &*panic)),
        Err(error) => Err(errors::raise(py, "Error", format!("cannot start a thread: {error}"))),
    }
}

/// A panic as an exception: nothing that a user gives should cause one.
pub(crate) fn fault(py: Python<'_>, panic: &(dyn Any + Send)) -> PyErr {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    errors::raise(py, "Error", format!("this is a fault of lowbit, please report it: {said}"))
}

/// What the work said since it was listened to last.
#[derive(Default)]
struct Words {
    said: Mutex<Vec<Word>>,
    stop: AtomicBool,
}

enum Word {
    Stage(String, Option<u64>),
    Advance(u64),
    Say(String),
    Note(String),
    Finish,
}

impl Words {
    /// Keeps a word, or ends the work if it is to stop.
    fn keep(&self, word: Word) {
        if self.stop.load(Ordering::Relaxed) {
            resume_unwind(Box::new("stopped"));
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match (said.last_mut(), word) {
            // Thousands of steps between two looks are one word.
            (Some(Word::Advance(before)), Word::Advance(steps)) => *before += steps,
            (Some(Word::Say(before)), Word::Say(text)) => *before = text,
            (_, word) => said.push(word),
        }
    }

    /// Hands on what was said.
    fn tell(&self, py: Python<'_>, progress: Option<&Py<PyAny>>) -> PyResult<()> {
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(progress) = progress.map(|progress| progress.bind(py)) else { return Ok(()) };
        for word in said {
            match word {
                Word::Stage(name, total) => progress.call_method1("stage", (name, total))?,
                Word::Advance(steps) => progress.call_method1("advance", (steps,))?,
                Word::Say(text) => progress.call_method1("say", (text,))?,
                Word::Note(text) => progress.call_method1("note", (errors::in_python(&text),))?,
                Word::Finish => progress.call_method0("finish")?,
            };
        }
        Ok(())
    }
}

impl Progress for Words {
    fn stage(&self, name: &str, total: Option<u64>) {
        self.keep(Word::Stage(name.to_owned(), total));
    }

    fn advance(&self, steps: u64) {
        self.keep(Word::Advance(steps));
    }

    fn say(&self, text: &str) {
        self.keep(Word::Say(text.to_owned()));
    }

    fn note(&self, text: &str) {
        self.keep(Word::Note(text.to_owned()));
    }

    fn finish(&self) {
        self.keep(Word::Finish);
    }
}
