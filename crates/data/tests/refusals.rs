//! What cannot be used is refused, and the refusal names the place, what was found and what is expected.

mod common;

use common::*;
use lowbit_data::{DataError, Dataset, Fault, Options, Preprocess};

#[test]
fn nothing_to_read() {
    let folder = folder();
    let read_error = |path: &std::path::Path| read(path).unwrap_err();
    assert!(matches!(read_error(folder.path()), DataError::NoSamples { .. }));
    write(&folder, "sub/readme.txt", b"hello");
    assert!(matches!(read_error(folder.path()), DataError::NoSamples { .. }));
    assert!(matches!(read_error(&folder.path().join("absent")), DataError::Io { .. }));
    let empty = write(&folder, "empty.npy", b"");
    assert_eq!(refusal(&empty), "empty.npy: no samples: the file is empty");
    let archive = write(&folder, "text.tar", &tar(&[("a.txt", b"hello")]));
    assert_eq!(
        refusal(&archive),
        "text.tar: no samples: the archive holds 1 files, none of them a JPEG or PNG image"
    );
    let none = write(&folder, "none.npy", &npy("<f4", "0, 3", &[]));
    assert_eq!(refusal(&none), "none.npy: no samples: the array has no rows");
}

#[test]
fn unknown_content() {
    let folder = folder();
    let text = write(&folder, "x.npy", b"hello world");
    assert!(refusal(&text).starts_with("x.npy: not a known source of samples (begins with [68, 65, 6c,"));
    let single = write(&folder, "one.png", &png(1, 1, 1));
    assert!(refusal(&single).contains("(a single image)"));
    let zipped = write(&folder, "images.zip", &zip(&[("a.png", &png(1, 1, 1))], false));
    assert!(refusal(&zipped).contains("no array `x` among []"));
}

#[test]
fn undecodable_images_are_named() {
    let folder = folder();
    let good = png(2, 2, 1);
    let archive = tar(&[("a/1.png", &good), ("b/2.png", &good[..40])]);
    for (name, bytes) in [("a.tar", archive.clone()), ("a.tgz", gzip(&archive))] {
        let path = write(&folder, name, &bytes);
        assert!(
            refusal(&path).starts_with(&format!("{name}: b/2.png: cannot be decoded: PNG: ")),
            "{}",
            refusal(&path)
        );
    }
    write(&folder, "set/a/1.png", &good);
    let bad = write(&folder, "set/b/2.jpg", b"GIF89a");
    let error = read(&folder.path().join("set")).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}: cannot be decoded: begins with [47, 49, 46, 38], neither JPEG nor PNG", bad.display())
    );
}

#[test]
fn images_of_another_size_or_color() {
    let folder = folder();
    let path = write(&folder, "a.tar", &tar(&[("1.png", &png(3, 2, 1)), ("2.png", &png(4, 2, 1))]));
    assert_eq!(
        refusal(&path),
        "a.tar: 2.png: 2x4 pixels (height x width), 2x3 like the first sample expected: set `resize` and `crop`"
    );
    let path = write(&folder, "b.tar", &tar(&[("1.png", &png(2, 2, 1)), ("2.png", &gray_png(2, 2, 1))]));
    assert_eq!(
        refusal(&path),
        "b.tar: 2.png: 1 channels, 3 like the first sample expected: set `color` to `rgb` or `gray`"
    );
    let preprocess = Preprocess::preset("cifar10").unwrap();
    let batches = read_with(&path, &Options { preprocess, ..Options::default() }, 2).unwrap();
    assert_eq!(batches[0].shape, [2, 3, 32, 32]);
}

#[test]
fn preprocessing_that_does_not_fit() {
    let folder = folder();
    let path = write(&folder, "a.tar", &tar(&[("1.png", &png(3, 2, 1))]));
    let shape = |toml: &str| {
        Dataset::open(&path)
            .unwrap()
            .sample_shape(&Preprocess::from_toml(toml).unwrap())
            .map_err(|e| e.to_string())
    };
    assert!(
        shape("divide = 255\nmean = [0.5, 0.5]").unwrap_err().contains("`mean`: 2 values for 3 channels")
    );
    assert!(
        shape("crop = 3")
            .unwrap_err()
            .contains("2x3 pixels (height x width) after resizing, smaller than the crop of 3x3")
    );
    assert_eq!(shape("resize = 4\nlayout = 'nhwc'").unwrap(), [4, 6, 3]);
    let vectors = write(&folder, "v.npy", &npy("<f4", "2, 3", &floats([0.0; 6])));
    let resize = Preprocess::from_toml("resize = [2, 2]").unwrap();
    assert!(
        Dataset::open(&vectors)
            .unwrap()
            .sample_shape(&resize)
            .unwrap_err()
            .to_string()
            .contains("are no images")
    );
}

#[test]
fn truncated_files() {
    let folder = folder();
    let images = [png(2, 2, 1), png(2, 2, 2)];
    let archive = tar(&[("1.png", &images[0]), ("2.png", &images[1])]);
    let cut = write(&folder, "a.tar", &archive[..1540]);
    assert!(refusal(&cut).starts_with("a.tar: truncated: "), "{}", refusal(&cut));
    let packed = gzip(&archive);
    for end in [40, packed.len() / 2, packed.len() - 30] {
        let cut = write(&folder, "a.tar.gz", &packed[..end]);
        assert!(matches!(read(&cut), Err(DataError::Truncated { .. })), "{end}: {}", refusal(&cut));
    }
    let whole = npy("<f4", "2, 3", &floats([1.0; 6]));
    let cut = write(&folder, "x.npy", &whole[..whole.len() - 1]);
    let (found, expected) = (whole.len() - 1, whole.len());
    assert_eq!(
        refusal(&cut),
        format!("x.npy: truncated: {found} bytes found, {expected} expected for 2 samples of shape [3]")
    );
    let cut = write(&folder, "head.npy", &whole[..20]);
    assert!(matches!(read(&cut), Err(DataError::Truncated { .. })));
    let cut = write(&folder, "images-idx3-ubyte", &idx(&[2, 2, 2], &[0; 7]));
    assert_eq!(
        refusal(&cut),
        "images-idx3-ubyte: truncated: 23 bytes found, 24 expected for 2 samples of shape [2, 2]"
    );
    let cut = write(&folder, "packed-images-idx3-ubyte.gz", &gzip(&idx(&[2, 2, 2], &[0; 7])));
    assert!(refusal(&cut).contains("truncated: ends before byte 24"));
    let cut = write(&folder, "data_batch_1.bin", &cifar10(1, 1)[..3000]);
    assert!(
        refusal(&cut).contains("3000 bytes beginning with [01, 01]: expected whole records of 3073 bytes")
    );
    let x = npy("<f4", "2, 3", &floats([1.0; 6]));
    let mut archive = zip(&[("x.npy", &x)], true);
    let cut = write(&folder, "cut.npz", &archive[..archive.len() - 30]);
    assert!(matches!(read(&cut), Err(DataError::Malformed { format: "zip", .. })));
    // The compressed data of the first member begins after 30 bytes of header and its name.
    archive[40..60].fill(0xff);
    let broken = write(&folder, "broken.npz", &archive);
    assert!(matches!(read(&broken), Err(DataError::Malformed { .. } | DataError::Truncated { .. })));
}

#[test]
fn sizes_that_lie() {
    let folder = folder();
    let huge = write(&folder, "huge.npy", &npy("<f8", "9999999999, 99999999999", &[]));
    assert!(refusal(&huge).contains("bytes, at most 268435456 are accepted"));
    let long = write(&folder, "long.npy", &npy("<f8", "18446744073709551615, 3", &[]));
    assert!(refusal(&long).contains("more than any file holds"));
    let mut header = b"\x93NUMPY\x02\x00".to_vec();
    header.extend(u32::MAX.to_le_bytes());
    let header = write(&folder, "header.npy", &header);
    assert!(refusal(&header).contains("4294967295 bytes long, at most 65536"));
    let rows = npy("|u1", "1000000000, 2, 2", &[0; 64]);
    let zipped = write(&folder, "rows.npz", &zip(&[("x.npy", &rows)], true));
    assert!(refusal(&zipped).starts_with("rows.npz: truncated: "));
    let streamed = write(&folder, "rows.npy.gz", &gzip(&rows));
    assert!(refusal(&streamed).contains("truncated: ends before byte"));
}

#[test]
fn values_that_are_not_finite() {
    let folder = folder();
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let mut values = vec![0.0; 60];
        values[43] = value;
        let path = write(&folder, "x.npy", &npy("<f4", "20, 3", &floats(values)));
        let expected =
            format!("x.npy: sample 14: value {shown} at element 1: only finite values are accepted");
        assert_eq!(refusal(&path), expected);
    }
}

#[test]
fn labels_that_do_not_fit() {
    let folder = folder();
    let x = npy("|u1", "3, 2, 2", &[0; 12]);
    let with = |y: Vec<u8>| refusal(&write(&folder, "xy.npz", &zip(&[("x.npy", &x), ("y.npy", &y)], false)));
    assert_eq!(with(npy("|u1", "2,", &[1, 2])), "xy.npz: 2 labels for 3 samples");
    assert_eq!(
        with(npy("|i1", "3,", &[1, 255, 2])),
        "xy.npz: y[1]: label -1, expected an integer in 0..4294967295"
    );
    assert!(with(npy("<f4", "3,", &floats([0.0; 3]))).contains("expected integers of shape [3]"));
    assert!(with(npy("|u1", "3, 2", &[0; 6])).contains("expected integers of shape [3]"));
    write(&folder, "labels-idx1-ubyte", &idx(&[3], &[0; 3]));
    let images = write(&folder, "images-idx3-ubyte", &idx(&[2, 1, 1], &[0; 2]));
    assert_eq!(refusal(&images), "labels-idx1-ubyte: 3 labels for 2 samples");
    let labels = folder.path().join("labels-idx1-ubyte");
    assert!(refusal(&labels).contains("give the file of the images"));
    let path = write(&folder, "data_batch_1.bin", &[cifar10(1, 1), cifar10(10, 1)].concat());
    assert_eq!(refusal(&path), "data_batch_1.bin: sample 1: label 10, expected an integer in 0..10");
}

#[test]
fn networks_of_other_classes() {
    let folder = folder();
    let path = write(&folder, "a.tar", &tar(&[("a/1.png", &png(1, 1, 1)), ("b/1.png", &png(1, 1, 1))]));
    let check = |path: &std::path::Path, outputs| Dataset::open(path).unwrap().check_classes(outputs);
    assert!(check(&path, 2).is_ok());
    assert!(
        check(&path, 10)
            .unwrap_err()
            .to_string()
            .ends_with("a.tar: there are 2 classes, the network has 10 outputs")
    );
    let x = npy("|u1", "2, 2, 2", &[0; 8]);
    let y = npy("|u1", "2,", &[1, 7]);
    let path = write(&folder, "xy.npz", &zip(&[("x.npy", &x), ("y.npy", &y)], false));
    assert!(check(&path, 8).is_ok());
    assert!(check(&path, 7).unwrap_err().to_string().contains("the largest label is 7"));
}

#[test]
fn options_that_leave_nothing() {
    let folder = folder();
    let path = write(&folder, "x.npy", &npy("|u1", "5, 2, 2", &[0; 20]));
    let data = Dataset::open(&path).unwrap();
    let batches =
        |skip, limit, batch| data.batches(&Options { skip, limit, ..Options::default() }, batch).map(|_| ());
    assert!(matches!(batches(5, None, 1), Err(DataError::NothingLeft { skip: 5, samples: 5, .. })));
    assert!(matches!(batches(0, Some(0), 1), Err(DataError::Zero { option: "limit" })));
    assert!(matches!(batches(0, None, 0), Err(DataError::Zero { option: "batch" })));
}

#[test]
fn the_first_refusal_ends_the_iteration() {
    let folder = folder();
    let mut values = vec![0.0; 100];
    values[50] = f32::NAN;
    let path = write(&folder, "x.npy", &npy("<f4", "100, 1", &floats(values)));
    let results: Vec<_> = Dataset::open(&path).unwrap().batches(&Options::default(), 20).unwrap().collect();
    assert_eq!(results.len(), 3);
    let error = results.into_iter().last().unwrap().unwrap_err();
    assert!(matches!(error, DataError::Sample { fault: Fault::NotFinite { element: 0, .. }, .. }));
}
