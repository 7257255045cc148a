//! What calibration sees does not depend on how samples are cut or on threads, nor do the bytes that follow.

mod common;

use common::{Case, run};
use lowbit_onnx::{WriteOptions, write_bytes};
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::observe::Observations;
use lowbit_quantize::{Recipe, Target};
use lowbit_tensor::{Moments, Tensor};

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Rows of a batch.
fn rows(batch: &[Tensor], range: std::ops::Range<usize>) -> Vec<Tensor> {
    let cut = |tensor: &Tensor| {
        let row = tensor.len() / tensor.shape()[0];
        let mut shape = tensor.shape().to_vec();
        shape[0] = range.len();
        Tensor::from_f32(shape, tensor.to_f32()[range.start * row..range.end * row].to_vec())
    };
    batch.iter().map(cut).collect()
}

/// Counts and extremes equal, sums to the rounding of f64.
fn assert_same(found: &Observations, expected: &Observations, what: &str) {
    assert_eq!(found.samples, expected.samples);
    let all = |seen: &Observations| {
        seen.edges.iter().chain(seen.before.iter().flatten()).cloned().collect::<Vec<_>>()
    };
    for (f, e) in all(found).iter().zip(&all(expected)) {
        assert_eq!(f.histogram, e.histogram, "{what}");
        let close = |f: &Moments, e: &Moments| {
            assert_eq!((f.min, f.max, f.images), (e.min, e.max, e.images), "{what}");
            for (f, e) in [(f.mean(), e.mean()), (f.deviation(), e.deviation()), (f.std(), e.std())] {
                assert!((f - e).abs() <= 1e-12 * (1.0 + e.abs()), "{what}: {f} {e}");
            }
        };
        f.channels.iter().zip(&e.channels).chain([(&f.tensor, &e.tensor)]).for_each(|(f, e)| close(f, e));
    }
}

#[test]
fn halves_seen_apart_and_merged_are_one_pass() {
    let target = Target::named("onnxruntime").unwrap();
    for case in Case::stored() {
        let sites = case.sites(&target);
        let batch = case.batch(21, 5);
        if batch[0].shape()[0] != 21 {
            continue; // the file fixes its batch
        }
        let whole = case.observe(&sites, std::slice::from_ref(&batch));
        let halves = [rows(&batch, 0..8), rows(&batch, 8..21)];
        let mut merged = Observations::default();
        halves.iter().for_each(|half| merged.merge(&case.observe(&sites, std::slice::from_ref(half))));
        assert_same(&merged, &whole, &case.name);
        assert_same(&case.observe(&sites, &halves), &whole, &case.name);
    }
}

#[test]
fn observing_gives_the_outputs_of_the_network() {
    let target = Target::named("onnxruntime").unwrap();
    for case in Case::stored() {
        let batch = case.batch(4, 5);
        let mut observer = lowbit_quantize::observe::Observer::new(
            &case.graph,
            &case.sites(&target),
            lowbit_quantize::observe::Needs::ALL,
        )
        .unwrap();
        let seen = observer.add(&batch).unwrap();
        // To rounding: an observed edge inside a fused group is computed apart.
        for (seen, plain) in seen.iter().zip(&run(&case.graph, &batch)) {
            for (s, p) in seen.to_f32().iter().zip(plain.to_f32()) {
                assert!((s - p).abs() < 1e-5 * (1.0 + p.abs()), "{}: {s} {p}", case.name);
            }
        }
    }
}

#[test]
fn any_number_of_threads_sees_and_writes_the_same_bits() {
    for case in Case::stored() {
        for (recipe, target) in [("w4a4-aciq", "onnxruntime"), ("w4a4-aciq-paper", "paper")] {
            let (recipe, target) = (Recipe::named(recipe).unwrap(), Target::named(target).unwrap());
            let sites = case.sites(&target);
            let batches = [case.batch(19, 1), case.batch(40, 2)];
            let work = || {
                let seen = case.observe(&sites, &batches);
                let plan = case.plan(&sites, &seen, &recipe, &target);
                let lowered = qdq(&case.graph, &sites, &plan, Flavour::Packed).unwrap();
                (seen, plan, write_bytes(&lowered, &WriteOptions::default()).unwrap())
            };
            let one = with_threads(1, work);
            for threads in [2, 3] {
                let more = with_threads(threads, work);
                assert!(more.0 == one.0, "{}: observations, {threads} threads", case.name);
                assert!(more.1 == one.1, "{}: plan, {threads} threads", case.name);
                assert!(more.2 == one.2, "{}: bytes, {threads} threads", case.name);
            }
        }
    }
}
