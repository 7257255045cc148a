//! On the shared CIFAR-10 archives, where they are at hand: the pixels Pillow decodes, and memory that stays.

use std::io::Write;
use std::path::PathBuf;

use lowbit_data::{Dataset, Options, Preprocess};

/// A file of the shared data, or a line saying that it is not there.
fn shared(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let path = std::env::var_os("LOWBIT_SHARED").map_or_else(beside, PathBuf::from).join("data").join(name);
    if path.is_file() {
        return Some(path);
    }
    // Through the handle: the macros are captured when a test passes, and a skip must show.
    let _ = writeln!(std::io::stderr(), "skipped: shared data absent ({name})");
    None
}

#[test]
fn the_test_archive_has_ten_named_classes_in_order() {
    let Some(path) = shared("cifar10-jpeg-test.tar.gz") else { return };
    let data = Dataset::open(&path).unwrap();
    assert_eq!((data.len(), data.class_names().len()), (10_000, 10));
    assert_eq!((data.class_names()[0].as_str(), data.class_names()[9].as_str()), ("airplane", "truck"));
    assert_eq!(data.sample_shape(&Preprocess::preset("cifar10").unwrap()).unwrap(), [3, 32, 32]);
    data.check_classes(10).unwrap();
    let options = Options { limit: Some(1000), ..Options::default() };
    let labels = data.batches(&options, 64).unwrap().flat_map(|batch| batch.unwrap().labels.unwrap());
    let mut count = [0; 10];
    labels.for_each(|label| count[label as usize] += 1);
    assert!(count.iter().all(|n| (60..140).contains(n)), "about 100 each: {count:?}");
}

/// Sums over each of every thousandth image, as Pillow 12 with libjpeg-turbo decodes it to RGB.
const PILLOW_SUMS: [u32; 10] =
    [475641, 233260, 343208, 332902, 245161, 284731, 329465, 226117, 477112, 405142];

#[test]
fn pixels_are_close_to_those_of_pillow() {
    let Some(path) = shared("cifar10-jpeg-test.tar.gz") else { return };
    let batches = Dataset::open(&path).unwrap().batches(&Options::default(), 1000).unwrap();
    for (batch, pillow) in batches.zip(PILLOW_SUMS) {
        let sum = batch.unwrap().x[..3072].iter().sum::<f32>();
        let difference = (sum - pillow as f32) / 3072.0;
        assert!(difference.abs() < MEAN_DIFFERENCE, "mean differs by {difference} of 255");
    }
}

/// Largest difference of an image's mean seen over the archive, in steps of 255, rounded up.
const MEAN_DIFFERENCE: f32 = 0.5;

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_samples_read() {
    let Some(path) = shared("cifar10-jpeg-train.tar.gz") else { return };
    let resident_bytes = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        4096 * pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
    };
    let data = Dataset::open(&path).unwrap();
    let mut batches = data.batches(&Options { threads: 2, ..Options::default() }, 64).unwrap();
    batches.by_ref().take(50).for_each(|batch| drop(batch.unwrap()));
    let early = resident_bytes();
    batches.for_each(|batch| drop(batch.unwrap()));
    let growth = resident_bytes().saturating_sub(early);
    // All samples as floats are 600 MB; the other tests of this program share the measure.
    assert!(growth < 64 << 20, "grew by {growth} bytes");
}
