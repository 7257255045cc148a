//! `lowbit embed` from outside: files in, files out, and what it refuses.

mod program;

use std::path::Path;
use std::process::Command;

use lowbit_tensor::Tensor;
use program::values;

#[track_caller]
fn done(folder: &Path, line: &str) -> String {
    program::done(folder, &format!("embed {line}"))
}

#[track_caller]
fn refused(folder: &Path, line: &str) -> String {
    program::refused(folder, &format!("embed {line}"))
}

/// A `.npy` file of rows.
fn npy(path: &Path, values: &[f32], columns: usize) {
    program::npy(path, &Tensor::from_f32([values.len() / columns, columns], values.to_vec()));
}

fn table(rows: usize, columns: usize) -> Vec<f32> {
    values(rows * columns, 1)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_method_packs_verifies_and_decodes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    npy(&at.join("t.npy"), &table(300, 12), 12);
    for method in ["asym", "sym", "gss", "hist-apprx", "aciq", "greedy", "kmeans", "kmeans-cls"] {
        for bits in [2, 4] {
            let clusters = if method == "kmeans-cls" { "--clusters 20" } else { "" };
            done(at, &format!("t.npy --method {method} --bits {bits} {clusters} --force -o p.safetensors"));
            done(at, "p.safetensors --verify t.npy --report r.json");
            let report = std::fs::read_to_string(at.join("r.json")).unwrap();
            let loss = report.split("\"loss\": ").nth(1).unwrap().split(',').next().unwrap();
            let most = if bits == 4 { 0.09 } else { 0.45 };
            assert!(loss.parse::<f64>().unwrap() < most, "{method}, {bits} bits: {loss}");
            done(at, "p.safetensors --decode --force -o d.npy");
            assert_eq!(std::fs::read(at.join("d.npy")).unwrap().len(), 128 + 300 * 12 * 4);
        }
    }
}

#[test]
fn threads_and_instruction_sets_change_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    npy(&at.join("t.npy"), &table(20_000, 16), 16);
    done(at, "t.npy -o a.npy --threads 1");
    let mut generic = Command::new(env!("CARGO_BIN_EXE_lowbit"));
    let generic =
        generic.current_dir(at).env("LOWBIT_ISA", "generic").args(["embed", "t.npy", "-o", "b.npy"]);
    assert!(generic.output().unwrap().status.success());
    assert_eq!(std::fs::read(at.join("a.npy")).unwrap(), std::fs::read(at.join("b.npy")).unwrap());
    done(at, "a.npy --bits 4 --verify t.npy");
}

#[test]
fn bad_tables_are_refused_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut values = table(40, 6);
    npy(&at.join("t.npy"), &values, 6);
    npy(&at.join("empty.npy"), &[], 6);
    let whole = std::fs::read(at.join("t.npy")).unwrap();
    std::fs::write(at.join("cut.npy"), &whole[..400]).unwrap();
    npy(&at.join("odd.npy"), &values[..15], 5);
    values[6 * 17 + 2] = f32::NAN;
    npy(&at.join("nan.npy"), &values, 6);
    std::fs::write(at.join("there.npy"), b"kept").unwrap();
    let before = names(at);
    for (line, words) in [
        ("nan.npy -o x.npy", ["row 17", "NaN in column 2"]),
        ("cut.npy -o x.npy", ["truncated", "40 rows"]),
        ("empty.npy -o x.npy", ["0 rows", "empty.npy"]),
        ("odd.npy -o x.npy", ["5 columns", "multiple of 2"]),
        ("t.npy --bits 2 -o x.npy", ["6 columns", "multiple of 4"]),
        ("t.npy -o there.npy", ["there.npy exists", "--force"]),
        ("t.npy -o x.bin", [".bin", ".safetensors"]),
        ("t.npy -o missing/x.npy", ["no folder", "missing"]),
        ("t.npy --method kmeans --bits 8 -o x.safetensors", ["8 bits", "4, 2"]),
        ("t.npy --counts odd.npy -o x.npy", ["odd.npy", "one per row"]),
        ("t.npy --tensor a -o x.npy", ["t.npy", "no name"]),
        ("there.npy -o x.npy", ["there.npy", "neither"]),
        ("there.npy --decode -o x.npy", ["there.npy", "neither"]),
    ] {
        let said = refused(at, line);
        assert!(words.iter().all(|word| said.contains(word)), "{line}: {said}");
        assert_eq!(names(at), before, "{line}");
    }
    assert_eq!(std::fs::read(at.join("there.npy")).unwrap(), b"kept");
    assert!(done(at, "nan.npy --non-finite keep -o x.npy").contains("1 row held NaN"));
}

#[test]
fn reports_come_in_three_forms_and_compare_methods() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    npy(&at.join("t.npy"), &table(200, 64), 64);
    done(at, "t.npy --compare asym,greedy,kmeans --report r.md");
    let text = std::fs::read_to_string(at.join("r.md")).unwrap();
    assert!(text.contains("| greedy, compatible |") && text.contains("14.06 %"), "{text}");
    done(at, "t.npy --compare all --report r.html");
    let page = std::fs::read_to_string(at.join("r.html")).unwrap();
    assert!(page.contains("Worst rows") && page.contains("<svg"), "a page");
    assert!(refused(at, "t.npy --report r.html --counts t.npy").contains("one per row"));
}

#[test]
fn a_table_inside_a_network_gives_its_decoded_rows() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (rows, columns) = (500, 32);
    let values = table(rows, columns);
    npy(&at.join("t.npy"), &values, columns);
    let picked = [3, 499, 0, 3, 77, 250];
    let bytes = program::gather(Tensor::from_f32([rows, columns], values), &picked);
    std::fs::write(at.join("m.onnx"), &bytes).unwrap();

    for bits in [8, 4, 2] {
        done(at, &format!("m.onnx --bits {bits} --force -o small.onnx"));
        assert!(std::fs::metadata(at.join("small.onnx")).unwrap().len() * 2 < bytes.len() as u64);
        done(at, &format!("t.npy --bits {bits} --layout first --force -o p.npy"));
        done(at, &format!("p.npy --bits {bits} --layout first --decode --force -o d.npy"));
        let decoded = std::fs::read(at.join("d.npy")).unwrap();
        let decoded: Vec<f32> =
            decoded[128..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let mut small = lowbit_onnx::read_file(&at.join("small.onnx")).unwrap();
        lowbit_graph::passes::fold_constants(&mut small, &lowbit_engine::evaluate_for_pass).unwrap();
        let got = small.constant(small.outputs[0]).expect("folds to a constant").to_f32();
        for (got, &row) in got.chunks_exact(columns).zip(&picked) {
            for (got, want) in got.iter().zip(&decoded[row as usize * columns..]) {
                assert!((got - want).abs() < 1e-6, "{bits} bits, row {row}: {got} {want}");
            }
        }
    }
}
