//! A folder per test in which the program is run, and bad files to run it on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lowbit_graph::{Dim, Graph, ValueId};
use lowbit_tensor::DType;
use tempfile::TempDir;

/// A folder of its own, where the program runs.
pub(crate) struct Case(TempDir);

impl Case {
    pub(crate) fn new() -> Case {
        Case(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Writes the embedded network with a change.
    pub(crate) fn write_digits(&self, name: &str, change: impl FnOnce(&mut Graph)) {
        let mut graph = lowbit_onnx::read_bytes(&fs::read(digits("digits.onnx")).unwrap(), None).unwrap();
        change(&mut graph);
        self.write(name, &lowbit_onnx::write_bytes(&graph, &Default::default()).unwrap());
    }

    /// Samples that fit the embedded network.
    pub(crate) fn digits(&self) -> String {
        digits("digits-test.npz")
    }

    /// Quantizes the embedded network on these samples, which must be refused.
    pub(crate) fn quantize(&self, data: &str, extra: &[&str]) -> String {
        let model = digits("digits.onnx");
        let fixed = ["quantize", &model, "--data", data, "-o", "out.onnx", "--report", "out.html"];
        self.refused(&[&fixed[..], extra].concat())
    }

    /// What the program says when it refuses its input.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        self.ends_with(1, arguments)
    }

    pub(crate) fn done(&self, arguments: &[&str]) {
        let (code, said) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }

    /// What the program answers, having written nothing.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let before = self.files();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowbit"));
        let output = command.args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(self.files(), before, "{arguments:?} left files behind");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the program says when it ends with this exit code, having written nothing.
    pub(crate) fn ends_with(&self, expected: i32, arguments: &[&str]) -> String {
        let before = self.files();
        let (code, said) = self.run(arguments);
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
        assert!(expected == 2 || said.starts_with("error: "), "{said}");
        assert_eq!(self.files(), before, "{arguments:?} left files behind");
        said
    }

    /// Exit code (none after a signal) and what was said on the error stream.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowbit"));
        let output = command.args(arguments).current_dir(self.0.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

/// Makes a value the one output, float32 of unknown extents.
pub(crate) fn declare_output(graph: &mut Graph, output: ValueId) {
    graph.values[output.0].dtype = Some(DType::F32);
    graph.values[output.0].shape = Some(["a", "b"].map(|name| Dim::Symbol(name.into())).to_vec());
    graph.outputs = vec![output];
}

/// A file of the embedded network.
pub(crate) fn digits(name: &str) -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/assets/").to_owned() + name
}

/// A golden file.
pub(crate) fn golden(name: &str) -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/").to_owned() + name
}

/// A folder with one image in each of these classes.
pub(crate) fn images(folder: &Path, classes: &[String]) {
    for class in classes {
        fs::create_dir_all(folder.join(class)).unwrap();
        fs::write(folder.join(class).join("good.png"), png(8, 8)).unwrap();
    }
}

/// A grey picture, not compressed.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], data: &[u8]| {
        bytes.extend((data.len() as u32).to_be_bytes());
        let whole = [kind, data].concat();
        bytes.extend(&whole);
        bytes.extend(crc32(&whole).to_be_bytes());
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat());
    let rows = vec![0; ((width + 1) * height) as usize];
    let length = rows.len() as u16;
    // zlib: a header, one stored block, the Adler checksum of zeros.
    let stored = [&[0x78, 1, 1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), &rows].concat();
    let adler = (rows.len() as u32) << 16 | 1;
    chunk(b"IDAT", &[&stored[..], &adler.to_be_bytes()].concat());
    chunk(b"IEND", &[]);
    bytes
}

/// A tar of these files.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, data) in files {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend(header);
        bytes.extend(*data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A `.npy` of version 1.
pub(crate) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// A zip whose members are not compressed.
pub(crate) fn npz(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut central) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let size = (data.len() as u32).to_le_bytes();
        let common = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..],
            &crc32(data).to_le_bytes(),
            &size,
            &size,
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        let offset = (bytes.len() as u32).to_le_bytes();
        bytes.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), data].concat());
        central.extend([&b"PK\x01\x02\x14\x00"[..], &common, &[0; 10], &offset, name.as_bytes()].concat());
    }
    let count = (members.len() as u16).to_le_bytes();
    let (start, length) = ((bytes.len() as u32).to_le_bytes(), (central.len() as u32).to_le_bytes());
    bytes.extend(&central);
    bytes.extend([&b"PK\x05\x06\x00\x00\x00\x00"[..], &count, &count, &length, &start, &[0, 0]].concat());
    bytes
}

/// The checksum of PNG and zip.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}
