//! Damaged table files: whatever the bytes, an answer or a refusal, never a panic.

use lowbit_embed::files::{self, Hint, Packed, Writer};
use lowbit_embed::{Format, Order, PackedTable, Source};

/// Opens bytes in every way there is, and reads what can be opened.
fn open_all(path: &std::path::Path) {
    for tensor in [None, Some("rows"), Some("table")] {
        if let Ok(rows) = files::open(path, tensor) {
            let _ = rows.read(0, &mut vec![0.0; rows.columns()]);
        }
    }
    let _ = files::open_counts(path);
    for bits in [2, 4, 8] {
        for codebook in [false, true] {
            let hint = Hint { bits, order: Order::First, codebook };
            if let Ok(packed) = Packed::open(path, Some(hint)) {
                let _ = packed.read(0, &mut vec![0.0; packed.columns()]);
                let _ = PackedTable::load(&packed);
            }
        }
    }
}

#[test]
fn any_changed_byte_of_a_header_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    let format = Format::fused(8, 4, Order::Last).unwrap();
    let create = || std::fs::File::create(&path).unwrap();
    let mut files = Vec::new();
    let rows = vec![0x35; 6 * format.row_bytes()];
    Writer::npy(create(), &path, format, 6).unwrap().rows(0, &rows, &[]).unwrap();
    files.push(std::fs::read(&path).unwrap());
    Writer::safetensors(create(), &path, format, 6, &[], None).unwrap().rows(0, &rows, &[]).unwrap();
    files.push(std::fs::read(&path).unwrap());
    Writer::npy_floats(create(), &path, 3, 4).unwrap().rows(0, &[1; 48], &[]).unwrap();
    files.push(std::fs::read(&path).unwrap());
    for whole in files {
        let header = whole.len().min(420);
        for at in 0..header {
            for change in [0x01, 0x48] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                std::fs::write(&path, &bytes).unwrap();
                open_all(&path);
            }
        }
        for len in (0..whole.len()).step_by(5) {
            std::fs::write(&path, &whole[..len]).unwrap();
            open_all(&path);
        }
    }
}

#[test]
fn sizes_that_no_file_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    for shape in [
        "18446744073709551615, 18446744073709551615",
        "4611686018427387904, 4",
        "1, 99999999999",
        "0, 4",
        "4, 0",
    ] {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let bytes =
            [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 64]]
                .concat();
        std::fs::write(&path, bytes).unwrap();
        assert!(files::open(&path, None).is_err(), "{shape}");
        open_all(&path);
    }
    let header = r#"{"rows":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,64]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat();
    std::fs::write(&path, bytes).unwrap();
    assert!(files::open(&path, None).is_err());
    let header = r#"{"rows":{"dtype":"F32","shape":[4,4],"data_offsets":[0,18446744073709551615]}}"#;
    std::fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat())
        .unwrap();
    assert!(files::open(&path, None).is_err());
}
