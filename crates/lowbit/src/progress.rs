//! How long work says how far it is, without knowing who listens.

/// A listener for stages of work, called from any thread.
///
/// A stage ends when the next begins or at [`finish`](Progress::finish), so a caller that returns early with an
/// error leaves nothing to clean up.
pub trait Progress: Sync {
    /// Begins a stage. `total` counts the steps that [`advance`](Progress::advance) will report (samples, layers);
    /// `None` where nobody knows.
    fn stage(&self, name: &str, total: Option<u64>);

    /// `steps` more of the current stage are done.
    fn advance(&self, steps: u64);

    /// How the current stage is doing, such as its loss: shown beside its bar until the next word.
    fn say(&self, _text: &str) {}

    /// A fact that will be in the report, for whoever watches now.
    fn note(&self, text: &str);

    /// The last stage is done.
    fn finish(&self);
}

/// Listens to nothing: for tests and for use as a library.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _steps: u64) {}
    fn note(&self, _text: &str) {}
    fn finish(&self) {}
}
