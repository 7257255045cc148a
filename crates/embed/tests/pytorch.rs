//! Rows that PyTorch packed (`scripts/embedding_goldens.py`): ours are the same bytes.

use std::path::{Path, PathBuf};

use lowbit_embed::files::{self, Hint, Packed};
use lowbit_embed::methods::Search;
use lowbit_embed::{Method, Order, Quantizer, Source};
use lowbit_kernels::Isa;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/embedding").join(name)
}

#[test]
fn rows_equal_those_of_pytorch_on_every_instruction_set() {
    for columns in [16, 64, 100] {
        let table = files::open(&golden(&format!("rows-{columns}.npy")), None).unwrap();
        let mut x = vec![0.0; table.rows() as usize * columns];
        table.read(0, &mut x).unwrap();
        for (form, method, bits) in [
            ("asym-8", Method::Asym, 8),
            ("asym-4", Method::Asym, 4),
            ("asym-2", Method::Asym, 2),
            ("greedy-4", Method::Greedy, 4),
            ("greedy-2", Method::Greedy, 2),
        ] {
            let hint = Hint { bits, order: Order::Last, codebook: false };
            let theirs = Packed::open(&golden(&format!("rows-{columns}-{form}.npy")), Some(hint)).unwrap();
            let mut want = vec![0; x.len() / columns * theirs.format().row_bytes()];
            theirs.read_packed(0, &mut want).unwrap();
            for isa in Isa::supported() {
                let quantizer = Quantizer::new(method, columns, bits, Order::Last, isa).unwrap();
                let quantizer = quantizer.with_search(Search::COMPATIBLE);
                assert_eq!(quantizer.format(), theirs.format());
                let mut got = vec![0; want.len()];
                quantizer.rows(0, &mut x.clone(), &mut got, &mut []).unwrap();
                for (row, (got, want)) in got
                    .chunks(theirs.format().row_bytes())
                    .zip(want.chunks(theirs.format().row_bytes()))
                    .enumerate()
                {
                    assert_eq!(got, want, "{columns} columns, {form}, {isa}, row {row}");
                }
            }
        }
    }
}
