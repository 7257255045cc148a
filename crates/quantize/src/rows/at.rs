//! Reading and writing files by position, so that several threads may read one at once.

use std::fs::File;
use std::io::{self, ErrorKind};

/// Writes all bytes.
pub(super) fn write(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match some::write(file, bytes, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => (bytes, offset) = (&bytes[n..], offset + n as u64),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `into`; beyond the end of the file lies what was never written, which is zero.
pub(super) fn read(file: &File, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        match some::read(file, into, offset) {
            Ok(0) => {
                into.fill(0);
                break;
            }
            Ok(n) => (into, offset) = (&mut into[n..], offset + n as u64),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
mod some {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    pub(super) fn read(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(into, offset)
    }
}

#[cfg(windows)]
mod some {
    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;

    pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.seek_write(bytes, offset)
    }

    pub(super) fn read(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(into, offset)
    }
}

#[cfg(not(any(unix, windows)))]
mod some {
    use std::fs::File;
    use std::io::{Error, ErrorKind, Result};

    pub(super) fn write(_: &File, _: &[u8], _: u64) -> Result<usize> {
        Err(Error::new(ErrorKind::Unsupported, "this system has no reading and writing by position"))
    }

    pub(super) fn read(file: &File, into: &mut [u8], offset: u64) -> Result<usize> {
        write(file, into, offset)
    }
}
