//! Every source gives its samples, labels and names, in the same shape.

mod common;

use std::sync::Arc;

use common::*;
use lowbit_data::{Dataset, Options, Preprocess};

fn classes(path: &std::path::Path) -> Vec<String> {
    Dataset::open(path).unwrap().class_names().to_vec()
}

#[test]
fn folders_of_classes_and_their_archives_read_alike() {
    let folder = folder();
    let files = [
        ("test/ant/1.png", png(2, 2, 1)),
        ("test/bee/1.png", png(2, 2, 2)),
        ("test/bee/2.png", png(2, 2, 3)),
    ];
    files.iter().for_each(|(name, bytes)| drop(write(&folder, &format!("root/{name}"), bytes)));
    write(&folder, "root/test/bee/notes.txt", b"not a sample");
    let archive = tar(&files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    let plain = write(&folder, "a.tar", &archive);
    let packed = write(&folder, "a.tar.gz", &gzip(&archive));
    let nameless = write(&folder, "download", &gzip(&archive));
    let root = folder.path().join("root");
    for path in [root.clone(), root.join("test"), plain, packed, nameless] {
        let batch = read(&path).unwrap();
        assert_eq!(batch.shape, [3, 3, 2, 2], "{}", path.display());
        assert_eq!(batch.labels.unwrap(), [0, 1, 1]);
        assert_eq!(batch.x[..13], [[1.0; 12].as_slice(), &[2.0]].concat());
        assert_eq!(classes(&path), ["ant", "bee"]);
    }
    assert_eq!(Dataset::open(&root.join("test/bee")).unwrap().len(), 2);
}

#[test]
fn flat_folders_have_no_labels() {
    let folder = folder();
    write(&folder, "b.png", &png(1, 1, 2));
    write(&folder, "a.png", &png(1, 1, 1));
    let batch = read(folder.path()).unwrap();
    assert_eq!((batch.labels, batch.x), (None, vec![1.0, 1.0, 1.0, 2.0, 2.0, 2.0]));
}

#[test]
fn arrays_in_memory_count_as_their_files() {
    let folder = folder();
    let data = [1.0f64, 2.0, 3.0, -4.0].map(f64::to_be_bytes).concat();
    let file = Dataset::open(&write(&folder, "x.npy", &npy(">f8", "2, 2", &data))).unwrap();
    let memory = Dataset::in_memory("array", ">f8", &[2, 2], Arc::new(data), Some(vec![1, 0])).unwrap();
    let batch = |data: &Dataset| data.batches(&Options::default(), 9).unwrap().next().unwrap().unwrap();
    let (mut file, memory) = (batch(&file), batch(&memory));
    file.labels = Some(vec![1, 0]);
    assert_eq!(file, memory);
}

#[test]
fn arrays_in_memory_are_refused_as_their_files_are() {
    let refused = |descr: &str, shape: &[usize], bytes: usize, labels: usize| {
        let labels = (labels > 0).then(|| vec![0; labels]);
        let opened = Dataset::in_memory("array", descr, shape, Arc::new(vec![0; bytes]), labels);
        opened.err().unwrap().to_string()
    };
    assert!(refused("<c8", &[1, 2], 16, 0).contains("array: number type '<c8'"));
    assert!(refused("<f4", &[], 4, 0).contains("array: a single number"));
    assert!(refused("<f4", &[0, 2], 0, 0).contains("array: no samples"));
    assert!(refused("<f4", &[2, 0], 0, 0).contains("array: no samples"));
    assert!(refused("<f4", &[2, 2], 15, 0).contains("array: truncated: 15 bytes found, 16 expected"));
    assert!(refused("<f4", &[2, 2], 16, 3).contains("array: 3 labels for 2 samples"));
    assert!(refused("<f4", &[usize::MAX, 1 << 20], 16, 0).contains("array: truncated"));
}

#[test]
fn arrays_of_floats_are_taken_as_they_are_unless_asked() {
    let folder = folder();
    let path = write(&folder, "x.npy", &npy("<f4", "2, 1, 2, 3", &floats((0..12).map(|v| v as f32 - 6.5))));
    let batch = read(&path).unwrap();
    assert_eq!((batch.shape, batch.x[0], batch.labels), (vec![2, 1, 2, 3], -6.5, None));
    let preprocess = Preprocess::preset("digits").unwrap();
    let batch = read_with(&path, &Options { preprocess, ..Options::default() }, 9).unwrap().remove(0);
    assert_eq!((batch.shape, batch.x[0]), (vec![2, 1, 2, 3], -6.5 / 16.0));
    let path = write(
        &folder,
        "features.npy",
        &npy(">f8", "2, 2", &[1.0f64, 2.0, 3.0, -4.0].map(f64::to_be_bytes).concat()),
    );
    assert_eq!(read(&path).unwrap().x, [1.0, 2.0, 3.0, -4.0]);
}

#[test]
fn arrays_of_bytes_are_images_with_channels_first_or_last() {
    let folder = folder();
    let last = write(&folder, "last.npy", &npy("|u1", "1, 5, 1, 3", &(0..15).collect::<Vec<u8>>()));
    let batch = read(&last).unwrap();
    assert_eq!(batch.shape, [1, 3, 5, 1]);
    assert_eq!(batch.x[..5], [0.0, 3.0, 6.0, 9.0, 12.0]);
    let first = write(&folder, "first.npy", &npy("|u1", "1, 3, 5, 1", &(0..15).collect::<Vec<u8>>()));
    assert_eq!(read(&first).unwrap().x, (0..15).map(|v| v as f32).collect::<Vec<_>>());
}

#[test]
fn npz_is_read_stored_and_deflated() {
    let folder = folder();
    let x = npy("|u1", "3, 2, 2", &(0..12).collect::<Vec<u8>>());
    let y = npy("<i8", "3,", &[5i64, 0, 7].map(i64::to_le_bytes).concat());
    for deflated in [false, true] {
        let path = write(&folder, "xy.npz", &zip(&[("y.npy", &y), ("x.npy", &x)], deflated));
        let batch = read(&path).unwrap();
        assert_eq!((batch.shape, batch.labels.unwrap()), (vec![3, 1, 2, 2], vec![5, 0, 7]));
        assert_eq!(batch.x, (0..12).map(|v| v as f32).collect::<Vec<_>>());
        let alone = write(&folder, "alone.npz", &zip(&[("arr_0.npy", &x)], deflated));
        assert_eq!(read(&alone).unwrap().labels, None);
    }
}

#[test]
fn cifar_is_read_from_a_file_or_a_folder() {
    let folder = folder();
    let two = [cifar10(9, 1), cifar10(0, 2)].concat();
    let file = write(&folder, "data_batch_1.bin", &two);
    write(&folder, "data_batch_2.bin", &cifar10(4, 3));
    write(&folder, "test_batch.bin", &cifar10(1, 9));
    let batch = read(&file).unwrap();
    assert_eq!((batch.shape, batch.labels.unwrap()), (vec![2, 3, 32, 32], vec![9, 0]));
    let all = read(folder.path()).unwrap();
    assert_eq!(all.labels.unwrap(), [9, 0, 4]);
    assert_eq!([all.x[0], all.x[3072], all.x[6144]], [1.0, 2.0, 3.0]);
    let names = (0..10).map(|n| format!("class{n}\n")).collect::<String>();
    write(&folder, "batches.meta.txt", names.as_bytes());
    assert_eq!(classes(&file)[9], "class9");
    let hundred = write(&folder, "c100/train.bin", &[[3, 77].as_slice(), &[5; 3072]].concat());
    assert_eq!(read(&hundred).unwrap().labels.unwrap(), [77]);
}

#[test]
fn idx_finds_its_labels_by_name() {
    let folder = folder();
    let images = idx(&[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]);
    write(&folder, "train-labels-idx1-ubyte", &idx(&[2], &[7, 3]));
    let plain = write(&folder, "train-images-idx3-ubyte", &images);
    let batch = read(&plain).unwrap();
    assert_eq!((batch.shape, batch.labels.unwrap()), (vec![2, 1, 2, 2], vec![7, 3]));
    assert_eq!(read(folder.path()).unwrap().x.len(), 8);
    write(&folder, "t10k-labels-idx1-ubyte.gz", &gzip(&idx(&[2], &[1, 0])));
    let packed = write(&folder, "t10k-images-idx3-ubyte.gz", &gzip(&images));
    let batch = read(&packed).unwrap();
    assert_eq!((batch.x[7], batch.labels.unwrap()), (8.0, vec![1, 0]));
}

#[test]
fn batches_do_not_depend_on_threads_and_choices_are_disjoint() {
    let folder = folder();
    let files: Vec<_> = (0..100u8).map(|n| (format!("{}/{n:03}.png", n % 3), png(3, 2, n))).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let path = write(&folder, "a.tar.gz", &gzip(&tar(&files)));
    let read = |threads, skip, limit| {
        let options = Options { threads, skip, limit, seed: 5, ..Options::default() };
        read_with(&path, &options, 17).unwrap()
    };
    let one = read(1, 0, Some(40));
    assert_eq!(one.iter().map(|batch| batch.samples.len()).collect::<Vec<_>>(), [17, 17, 6]);
    for threads in [2, 3, 8] {
        assert_eq!(read(threads, 0, Some(40)), one);
    }
    let samples = |batches: Vec<lowbit_data::Batch>| batches.into_iter().flat_map(|batch| batch.samples);
    let mut both: Vec<_> = samples(one).chain(samples(read(2, 40, None))).collect();
    both.sort_unstable();
    assert_eq!(both, (0..100).collect::<Vec<_>>());
}

#[test]
fn dropping_the_iterator_early_ends_its_threads() {
    let folder = folder();
    let path = write(&folder, "x.npy", &npy("|u1", "5000, 8, 8", &vec![1; 320_000]));
    let data = Dataset::open(&path).unwrap();
    for _ in 0..20 {
        let mut batches = data.batches(&Options { threads: 3, ..Options::default() }, 10).unwrap();
        assert_eq!(batches.samples(), 5000);
        batches.next().unwrap().unwrap();
    }
}
