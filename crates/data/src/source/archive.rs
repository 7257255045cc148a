//! A tar of an image folder, plain or gzipped.
//!
//! Opening reads the headers once: a plain archive seeks from one to the next, a compressed one is decompressed
//! whole, which costs about two seconds per gigabyte. Nothing is ever extracted, so paths are only names.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};

use tar::{Archive, Entries};

use super::classes::{classes, is_image};
use super::{Index, Names, Place, Span, Store, probe};
use crate::MAX_SAMPLE_BYTES;
use crate::error::{DataError, Fault};

/// Whether 512 bytes are a tar header, by its checksum: the sum of all bytes, with the field itself as spaces.
pub(super) fn is_header(head: &[u8]) -> bool {
    let Some((before, rest)) = head.split_at_checked(148).filter(|_| head.len() == 512) else { return false };
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let stated = rest[..8].iter().skip_while(|byte| **byte == b' ').take_while(|byte| byte.is_ascii_digit());
    let stated = stated.fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
    stated == sum(before) + 8 * u32::from(b' ') + sum(&rest[8..])
}

pub(super) fn open(place: Place) -> Result<Index, DataError> {
    let mut found = Contents::default();
    if place.form.is_plain() {
        let file = File::open(&place.path).map_err(DataError::io(&place.path))?;
        let mut archive = Archive::new(BufReader::new(file));
        let entries = archive.entries_with_seek().map_err(|error| explain(&place, error))?;
        found.collect(&place, entries)?;
    } else {
        let mut archive = Archive::new(place.open()?);
        let entries = archive.entries().map_err(|error| explain(&place, error))?;
        found.collect(&place, entries)?;
    }
    found.index(place)
}

#[derive(Default)]
struct Contents {
    names: Names,
    spans: Vec<Span>,
    folders: BTreeSet<String>,
    others: usize,
}

impl Contents {
    fn collect<R: Read>(&mut self, place: &Place, entries: Entries<'_, R>) -> Result<(), DataError> {
        for entry in entries {
            let entry = entry.map_err(|error| explain(place, error))?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
            let (path, kind) = (parts.join("/"), entry.header().entry_type());
            if kind.is_dir() && !path.split('/').any(|part| part.starts_with('.') || part == "__MACOSX") {
                self.folders.insert(path);
            } else if kind.is_file() && is_image(&place.path, &path)? {
                let len = u32::try_from(entry.size()).ok().filter(|&len| u64::from(len) <= MAX_SAMPLE_BYTES);
                let fault = Fault::TooLarge { found: entry.size(), unit: "bytes", limit: MAX_SAMPLE_BYTES };
                let len = len.ok_or_else(|| fault.of(format!("{}: {path}", place.path.display())))?;
                self.names.push(&path);
                self.spans.push(Span { offset: entry.raw_file_position(), len });
            } else if !kind.is_dir() {
                self.others += 1;
            }
        }
        Ok(())
    }

    fn index(self, place: Place) -> Result<Index, DataError> {
        let (Some(&first), Some(last)) = (self.spans.first(), self.spans.last()) else {
            let found = format!("the archive holds {} files, none of them a JPEG or PNG image", self.others);
            return Err(DataError::NoSamples { path: place.path, found });
        };
        // Seeking past the end succeeds, so a cut plain archive shows only here.
        let end = last.offset + u64::from(last.len);
        if let Some(len) = place.len()?.filter(|&len| len < end) {
            let problem =
                format!("{len} bytes found, `{}` ends at byte {end}", self.names.get(self.names.len() - 1));
            return Err(DataError::truncated(&place.path, problem));
        }
        let (class_names, labels) = classes(&place.path, &self.names, &self.folders)?;
        let mut bytes = vec![0; first.len as usize];
        place.open()?.read_at(first.offset, &mut bytes)?;
        let first = probe(|| format!("{}: {}", place.path.display(), self.names.get(0)), &bytes)?;
        let path = place.path.clone();
        let store = Store::Entries { place, spans: self.spans, names: self.names, first };
        Ok(Index { path, store, class_names, labels })
    }
}

/// The tar reader reports a short stream as an error of its own.
fn explain(place: &Place, error: io::Error) -> DataError {
    let text = error.to_string();
    if error.kind() == io::ErrorKind::UnexpectedEof
        || text.contains("unexpected EOF")
        || text.contains("failed to read entire block")
    {
        return DataError::truncated(&place.path, format!("the archive ends inside an entry ({text})"));
    }
    DataError::malformed(&place.path, "tar", text)
}
