//! Arrays as numpy's `.npy`, and as its `.npz`: a zip of such files, not compressed, the same bytes for the same arrays.

use std::io::{Cursor, Write};

use lowbit_tensor::{Data, Tensor};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A `.npy` of this array, its type as in [`arrays`].
pub fn array(tensor: &Tensor) -> Vec<u8> {
    let (descr, data) = little_endian(tensor.data());
    [header(descr, tensor.shape()), data].concat()
}

/// A `.npz` of these arrays. Types that numpy lacks become the next wider one: bfloat16 float32, 4 and 2 bits 8 bits.
///
/// # Errors
/// When two arrays have one name.
pub fn arrays(arrays: &[(String, Tensor)]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, tensor) in arrays {
        let (descr, data) = little_endian(tensor.data());
        let large = data.len() as u64 > u64::from(u32::MAX / 2);
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        zip.start_file(format!("{name}.npy"), options)?;
        zip.write_all(&header(descr, tensor.shape()))?;
        zip.write_all(&data)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Magic, version 1.0 and the dictionary, padded to a multiple of 64 bytes as numpy does.
fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}");
    let fixed = 10;
    while (fixed + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    // A tensor has few axes: the length fits in 16 bits.
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, text.as_bytes()].concat()
}

/// numpy's name of the element type, and the elements.
fn little_endian(data: &Data) -> (&'static str, Vec<u8>) {
    macro_rules! bytes {
        ($values:expr) => {
            $values.iter().flat_map(|x| x.to_le_bytes()).collect()
        };
    }
    match data {
        Data::F32(v) => ("<f4", bytes!(v)),
        Data::F64(v) => ("<f8", bytes!(v)),
        Data::F16(v) => ("<f2", bytes!(v)),
        Data::BF16(v) => ("<f4", v.iter().flat_map(|x| x.to_f32().to_le_bytes()).collect()),
        Data::I8(v) | Data::I4(v) | Data::I2(v) => ("|i1", bytes!(v)),
        Data::U8(v) | Data::U4(v) | Data::U2(v) => ("|u1", v.clone()),
        Data::I16(v) => ("<i2", bytes!(v)),
        Data::U16(v) => ("<u2", bytes!(v)),
        Data::I32(v) => ("<i4", bytes!(v)),
        Data::U32(v) => ("<u4", bytes!(v)),
        Data::I64(v) => ("<i8", bytes!(v)),
        Data::U64(v) => ("<u8", bytes!(v)),
        Data::Bool(v) => ("|b1", v.iter().map(|&x| u8::from(x)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_numpy_writes() {
        let header = header("<f4", &[3]);
        assert_eq!(header.len() % 64, 0);
        assert!(header.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, "));
        assert!(String::from_utf8_lossy(&header).contains("'shape': (3, ), }"));
    }

    #[test]
    fn our_own_reader_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let x = Tensor::from_f32([2, 3], (0..6).map(|i| i as f32).collect::<Vec<_>>());
        let y = Tensor::new(vec![2], Data::I64(vec![1, 0])).unwrap();
        let bytes = arrays(&[("x".into(), x), ("y".into(), y)]).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let dataset = lowbit_data::Dataset::open(&path).unwrap();
        let batch = dataset.batches(&lowbit_data::Options::default(), 8).unwrap().next().unwrap().unwrap();
        assert_eq!((batch.shape, batch.labels), (vec![2, 3], Some(vec![1, 0])));
        assert_eq!(batch.x, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}
