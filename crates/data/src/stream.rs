//! Bytes read front to back: a plain file, a gzip stream, a member of a zip, or memory of the caller's, behind one `read_at`.
//!
//! Offsets only grow, because samples are visited in storage order. A plain file seeks; a compressed one is
//! decoded and thrown away, which is why nothing behind the last sample wanted is ever touched.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};

use crate::error::DataError;
use crate::memory::Bytes;

/// Large enough that decompression, not calls, is what costs.
const BUFFER_BYTES: usize = 1 << 16;

/// Where a stream of bytes comes from; opened anew for each pass.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) form: Form,
}

#[derive(Debug, Clone)]
pub(crate) enum Form {
    Plain,
    Gzip,
    /// `len` bytes of a zip from `start`, as they are.
    Stored {
        start: u64,
        len: u64,
    },
    /// `len` bytes of a zip from `start`, deflated.
    Deflated {
        start: u64,
        len: u64,
    },
    /// Not a file: `path` is what messages call it.
    Memory(Arc<dyn Bytes>),
}

impl Form {
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Form::Plain)
    }
}

impl Place {
    pub(crate) fn open(&self) -> Result<Stream, DataError> {
        let io = |error| DataError::io(&self.path)(error);
        let buffered = |file| BufReader::with_capacity(BUFFER_BYTES, file);
        let file = || File::open(&self.path).map(buffered).map_err(io);
        let inner = match &self.form {
            Form::Plain => Inner::File(file()?),
            Form::Gzip => Inner::forward(MultiGzDecoder::new(file()?)),
            Form::Stored { start, .. } => {
                let mut file = file()?;
                file.seek(SeekFrom::Start(*start)).map_err(io)?;
                Inner::File(file)
            }
            Form::Deflated { start, len } => {
                let mut file = file()?;
                file.seek(SeekFrom::Start(*start)).map_err(io)?;
                Inner::forward(DeflateDecoder::new(file.take(*len)))
            }
            Form::Memory(bytes) => Inner::Memory(Arc::clone(bytes)),
        };
        Ok(Stream { path: self.path.clone(), inner, at: 0 })
    }

    /// Number of bytes, where it is known without decoding.
    pub(crate) fn len(&self) -> Result<Option<u64>, DataError> {
        match &self.form {
            Form::Plain => Ok(Some(std::fs::metadata(&self.path).map_err(DataError::io(&self.path))?.len())),
            Form::Stored { len, .. } => Ok(Some(*len)),
            Form::Memory(bytes) => Ok(Some(bytes.len())),
            Form::Gzip | Form::Deflated { .. } => Ok(None),
        }
    }
}

/// An open [`Place`] and how far it was read.
pub(crate) struct Stream {
    path: PathBuf,
    inner: Inner,
    at: u64,
}

enum Inner {
    File(BufReader<File>),
    Forward(BufReader<Box<dyn Read + Send>>),
    Memory(Arc<dyn Bytes>),
}

impl Inner {
    fn forward(decoder: impl Read + Send + 'static) -> Inner {
        Inner::Forward(BufReader::with_capacity(BUFFER_BYTES, Box::new(decoder)))
    }
}

impl Stream {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `bytes` from `offset`, which is never before the end of the last read.
    pub(crate) fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), DataError> {
        debug_assert!(offset >= self.at, "streams only go forward");
        self.skip(offset.saturating_sub(self.at))
            .and_then(|()| self.read_exact(bytes))
            .map_err(|error| self.explain(error, offset, bytes.len()))
    }

    /// Appends what follows, at most `limit` bytes; memory follows what is there, not what was declared.
    pub(crate) fn read_up_to(&mut self, limit: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let at = self.at;
        Read::take(&mut *self, limit)
            .read_to_end(&mut bytes)
            .map_err(|error| self.explain(error, at, bytes.len()))?;
        Ok(bytes)
    }

    fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        if let (Inner::File(file), Ok(step)) = (&mut self.inner, i64::try_from(bytes)) {
            file.seek_relative(step)?;
            self.at += bytes;
            return Ok(());
        }
        if matches!(self.inner, Inner::Memory(_)) {
            self.at = self.at.saturating_add(bytes);
            return Ok(());
        }
        while bytes > 0 {
            let Inner::Forward(stream) = &mut self.inner else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let ready = stream.fill_buf()?.len();
            if ready == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = usize::try_from(bytes).unwrap_or(usize::MAX).min(ready);
            stream.consume(step);
            self.at += step as u64;
            bytes -= step as u64;
        }
        Ok(())
    }

    fn explain(&self, error: io::Error, offset: u64, bytes: usize) -> DataError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => DataError::truncated(
                &self.path,
                format!(
                    "ends before byte {}, {bytes} expected from byte {offset}",
                    offset.saturating_add(bytes as u64)
                ),
            ),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                DataError::malformed(&self.path, "compressed stream", error.to_string())
            }
            _ => DataError::io(&self.path)(error),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.inner {
            Inner::File(file) => file.read(bytes),
            Inner::Forward(stream) => stream.read(bytes),
            Inner::Memory(memory) => {
                let left = usize::try_from(memory.len().saturating_sub(self.at)).unwrap_or(usize::MAX);
                let wanted = bytes.len().min(left);
                memory.read_at(self.at, &mut bytes[..wanted]).map(|()| wanted)
            }
        }?;
        self.at += read as u64;
        Ok(read)
    }
}
