//! Samples that lie in memory of the caller's: an array that is lent, or batches that were kept as they came.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Bytes read by position, from any thread: what an array of another language lends, or a file without a name.
#[expect(clippy::len_without_is_empty, reason = "the number is what is asked for")]
pub trait Bytes: Debug + Send + Sync {
    /// How many there are.
    fn len(&self) -> u64;

    /// Fills `out` from byte `at` on; never asked for what is beyond the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()>;
}

impl Bytes for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        out.copy_from_slice(&self[at as usize..][..out.len()]);
        Ok(())
    }
}

/// Bytes that come piece by piece and are kept: in memory up to a limit, then in a file without a name, which the system
/// removes whatever happens.
#[derive(Debug)]
pub struct Spool {
    memory: Vec<u8>,
    limit: usize,
    file: Option<Mutex<File>>,
    len: u64,
}

impl Spool {
    /// Nothing yet; at most `limit` bytes stay in memory.
    pub fn new(limit: usize) -> Spool {
        Spool { memory: Vec::new(), limit, file: None, len: 0 }
    }

    /// Adds a piece. `file` makes the file where memory does not suffice.
    ///
    /// # Errors
    /// The file cannot be made or written.
    pub fn add(&mut self, bytes: &[u8], file: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
        use std::io::Write;
        if self.file.is_none() && self.memory.len() + bytes.len() > self.limit {
            let mut file = file()?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(Mutex::new(file));
        }
        match &mut self.file {
            None => self.memory.extend_from_slice(bytes),
            Some(file) => file.get_mut().unwrap_or_else(PoisonError::into_inner).write_all(bytes)?,
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Whether a file was needed.
    pub fn is_spilled(&self) -> bool {
        self.file.is_some()
    }
}

impl Bytes for Spool {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let Some(file) = &self.file else { return self.memory.read_at(at, out) };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_to_a_file_and_reads_the_same() {
        for limit in [0, 3, 4, 100] {
            let mut spool = Spool::new(limit);
            for piece in [&[1u8, 2][..], &[], &[3, 4, 5], &[6]] {
                spool.add(piece, tempfile::tempfile).unwrap();
            }
            assert_eq!(spool.is_spilled(), limit < 6);
            assert_eq!(spool.len(), 6);
            let mut out = [0; 4];
            spool.read_at(1, &mut out).unwrap();
            assert_eq!(out, [2, 3, 4, 5]);
        }
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        let mut spool = Spool::new(1);
        spool.add(&[1], || panic!("not needed yet")).unwrap();
        assert!(spool.add(&[2], || Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
