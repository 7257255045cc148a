//! Every loss measured so far, in order. The search is deterministic: fed with these it goes the same way, so that a
//! killed run, started again, computes nothing twice and ends with the same bytes.

use crate::method::MethodError;
use crate::run::State;
use std::collections::VecDeque;

/// The losses that an earlier run left, and those of this one.
pub struct Journal<'a> {
    state: &'a dyn State,
    key: String,
    /// Of the earlier run, not yet asked for again.
    left: VecDeque<f64>,
    /// All up to now.
    measured: Vec<f64>,
    resumed: usize,
}

impl<'a> Journal<'a> {
    /// Opens what was saved for the search described by `what`, whose first loss is `first`: if that is another one, the
    /// data or the network are others too, and what was saved is of no use.
    pub fn open(state: &'a dyn State, step: &str, what: &[u8], first: f64) -> Journal<'a> {
        let key = format!("{step}/{:016x}", fingerprint(what));
        let bytes = state.load(&key).unwrap_or_default();
        let losses = bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes")));
        let mut left: VecDeque<f64> = losses.collect();
        if left.pop_front().is_none_or(|saved| saved.to_bits() != first.to_bits()) {
            left.clear();
        }
        Journal { state, key, resumed: left.len(), left, measured: vec![first] }
    }

    /// The next loss: as it was measured before, or measured now.
    ///
    /// # Errors
    /// Those of `measure`.
    pub fn next<E>(&mut self, measure: impl FnOnce() -> Result<f64, E>) -> Result<f64, E> {
        let loss = match self.left.pop_front() {
            Some(loss) => loss,
            None => measure()?,
        };
        self.measured.push(loss);
        Ok(loss)
    }

    /// Saves what was measured, unless all of it was read.
    ///
    /// # Errors
    /// When it cannot be written; `place` says what had been done.
    pub fn save(&self, step: &'static str, place: &str) -> Result<(), MethodError> {
        if !self.left.is_empty() || self.measured.len() == self.resumed + 1 {
            return Ok(());
        }
        let bytes: Vec<u8> = self.measured.iter().flat_map(|loss| loss.to_le_bytes()).collect();
        let failed = |source| MethodError::State { step, place: place.to_owned(), source };
        self.state.save(&self.key, &bytes).map_err(failed)
    }

    /// Losses so far.
    pub fn losses(&self) -> usize {
        self.measured.len()
    }

    /// Losses that an earlier run left.
    pub fn resumed(&self) -> usize {
        self.resumed
    }
}

/// FNV-1a: 64 bits that never change between versions.
fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::io;
    use std::sync::Mutex;

    /// One saved value, whatever the key.
    #[derive(Default)]
    struct Kept(Mutex<Option<Vec<u8>>>);

    impl State for Kept {
        fn load(&self, _key: &str) -> Option<Vec<u8>> {
            self.0.lock().unwrap().clone()
        }

        fn save(&self, _key: &str, value: &[u8]) -> io::Result<()> {
            *self.0.lock().unwrap() = Some(value.to_vec());
            Ok(())
        }
    }

    fn measure(journal: &mut Journal<'_>, losses: &[f64]) -> usize {
        let mut measured = 0;
        for &loss in losses {
            let found = journal.next(|| {
                measured += 1;
                Ok::<_, Infallible>(loss)
            });
            assert_eq!(found, Ok(loss));
        }
        measured
    }

    #[test]
    fn what_was_saved_is_not_measured_again_and_the_rest_is() {
        let kept = Kept::default();
        let mut journal = Journal::open(&kept, "lapq", b"search", 4.0);
        assert_eq!(measure(&mut journal, &[3.0, 2.0]), 2);
        journal.save("lapq", "here").unwrap();
        assert_eq!(measure(&mut journal, &[1.5]), 1); // and killed
        let mut journal = Journal::open(&kept, "lapq", b"search", 4.0);
        assert_eq!((journal.resumed(), measure(&mut journal, &[3.0, 2.0, 1.5, 1.0])), (2, 2));
        assert_eq!(journal.losses(), 5);
    }

    #[test]
    fn a_journal_of_other_data_is_not_used() {
        let kept = Kept::default();
        let mut journal = Journal::open(&kept, "lapq", b"search", 4.0);
        measure(&mut journal, &[3.0]);
        journal.save("lapq", "here").unwrap();
        assert_eq!(Journal::open(&kept, "lapq", b"search", 4.5).resumed(), 0);
    }
}
