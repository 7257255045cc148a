//! A whole table through a quantizer: blocks of rows are read, packed, decoded, compared and written by all threads.

use rayon::prelude::*;

use crate::files::{Packed, Source, Writer, decode};
use crate::numbers::normalised;
use crate::{EmbedError, Quantizer, Summary};

/// Values of a block: some 256 KiB of floats.
const BLOCK: usize = 1 << 16;
/// Blocks in work at once, per thread.
const AT_ONCE: usize = 8;

/// Called with the number of rows that are done since it was called last.
pub type Tick<'a> = &'a (dyn Fn(u64) + Sync);

/// Quantizes a table into a file (or nowhere, to know what it would cost). `counts` says how often each row is read.
///
/// Blocks have a size of their own, and sums are added up in their order: the number of threads changes no digit.
///
/// # Errors
/// What the files or the rows say; then what is in the file so far is not a table.
pub fn quantize(
    source: &dyn Source,
    quantizer: &Quantizer,
    counts: Option<&dyn Source>,
    writer: Option<&Writer>,
    tick: Tick<'_>,
) -> Result<Summary, EmbedError> {
    if let Some(counts) = counts.filter(|counts| counts.rows() != source.rows()) {
        return Err(EmbedError::Options(format!("{} counts for {} rows", counts.rows(), source.rows())));
    }
    let (columns, format) = (source.columns(), quantizer.format());
    blocks(source.rows(), columns, tick, &|first, rows| {
        let mut x = vec![0.0; rows * columns];
        source.read(first, &mut x)?;
        let mut packed = vec![0; rows * format.row_bytes()];
        let mut ids = vec![0; if quantizer.clusters().is_some() { rows } else { 0 }];
        let met = quantizer.rows(first, &mut x, &mut packed, &mut ids)?;
        let counts = match counts {
            Some(counts) => {
                let mut read = vec![0.0; rows];
                counts.read(first, &mut read)?;
                if let Some(nth) = read.iter().position(|&n| !(n >= 0.0 && n.is_finite())) {
                    let problem = format!("a count of {}", read[nth]);
                    return Err(EmbedError::Row { row: first + nth as u64, problem });
                }
                read
            }
            None => Vec::new(),
        };
        if let Some(writer) = writer {
            writer.rows(first, &packed, &ids)?;
        }
        let mut summary = Summary { mended: met.mended, ..Summary::default() };
        let mut decoded = vec![0.0; columns];
        let rows = x.chunks_exact(columns).zip(packed.chunks_exact(format.row_bytes()));
        for (nth, (row, packed)) in rows.enumerate() {
            let book = quantizer.clusters().map(|known| known.book(ids[nth] as usize));
            decode(format, packed, book, &mut decoded);
            summary.add(first + nth as u64, row, &decoded, counts.get(nth).map(|&n| f64::from(n)));
        }
        Ok(summary)
    })
}

/// Decodes a packed table into a file of floats.
///
/// # Errors
/// What the files say.
pub fn restore(packed: &Packed, writer: &Writer, tick: Tick<'_>) -> Result<(), EmbedError> {
    blocks(packed.rows(), packed.columns(), tick, &|first, rows| {
        let mut x = vec![0.0; rows * packed.columns()];
        packed.read(first, &mut x)?;
        writer.rows(first, bytemuck::cast_slice(&x), &[])?;
        Ok(Summary::default())
    })
    .map(drop)
}

/// Compares a packed table with the floats that it was made of.
///
/// # Errors
/// The shapes differ, the files cannot be read, or a row is as wrong as zeros would be: then it is another table's.
pub fn verify(packed: &Packed, source: &dyn Source, tick: Tick<'_>) -> Result<Summary, EmbedError> {
    let shapes = [(packed.rows(), packed.columns()), (source.rows(), source.columns())];
    if shapes[0] != shapes[1] {
        let [(rows, columns), (other_rows, other_columns)] = shapes;
        let problem = format!(
            "{rows} rows of {columns} columns are packed, of a table of {other_rows} rows of {other_columns}"
        );
        return Err(EmbedError::Options(problem));
    }
    let columns = source.columns();
    let summary = blocks(packed.rows(), columns, tick, &|first, rows| {
        let (mut x, mut y) = (vec![0.0; rows * columns], vec![0.0; rows * columns]);
        source.read(first, &mut x)?;
        packed.read(first, &mut y)?;
        let mut summary = Summary::default();
        for (nth, (x, y)) in x.chunks_exact(columns).zip(y.chunks_exact(columns)).enumerate() {
            summary.add(first + nth as u64, x, y, None);
        }
        Ok(summary)
    })?;
    if normalised(summary.squared_error, summary.squared_norm) >= 1.0 {
        let worst = summary.worst.first().map_or(0, |row| row.row);
        let problem = format!("loss {:.3} of the table: it was made of another one", summary.loss());
        return Err(EmbedError::Row { row: worst, problem });
    }
    Ok(summary)
}

/// Does `work(first, rows)` for all blocks, and merges what comes of it in their order.
fn blocks(
    rows: u64,
    columns: usize,
    tick: Tick<'_>,
    work: &(dyn Fn(u64, usize) -> Result<Summary, EmbedError> + Sync),
) -> Result<Summary, EmbedError> {
    let block = (BLOCK / columns).next_multiple_of(16).max(16) as u64;
    let at_once = (AT_ONCE * rayon::current_num_threads()) as u64;
    let mut whole = Summary::default();
    let count = rows.div_ceil(block);
    for start in (0..count).step_by(at_once as usize) {
        let parts: Vec<_> = (start..count.min(start + at_once))
            .into_par_iter()
            .map(|nth| {
                let first = nth * block;
                let rows = block.min(rows - first);
                let part = work(first, rows as usize);
                tick(rows);
                part
            })
            .collect();
        // The first refusal in the order of rows, whichever thread met one first.
        for part in parts {
            whole.merge(&part?);
        }
    }
    Ok(whole)
}
