//! Bits per layer: what the step leaves alone, what it keeps to, and what it refuses.

mod common;

use common::two_blocks;
use lowbit_quantize::method::MethodError;
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::run::{Run, Samples, State, Watch};
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Plan, Recipe, Target};
use std::collections::HashMap;
use std::io;
use std::sync::Mutex;

const LAYERS: [&str; 4] = ["one.a", "one.b", "two.a", "two.b"];

/// Remembers what is saved and noted.
#[derive(Default)]
struct Memory {
    saved: Mutex<HashMap<String, Vec<u8>>>,
    notes: Mutex<Vec<String>>,
}

impl State for Memory {
    fn load(&self, key: &str) -> Option<Vec<u8>> {
        self.saved.lock().unwrap().get(key).cloned()
    }

    fn save(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.saved.lock().unwrap().insert(key.to_owned(), value.to_vec());
        Ok(())
    }
}

impl Watch for Memory {
    fn stage(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn note(&self, text: String) {
        self.notes.lock().unwrap().push(text);
    }
}

/// The plan after `mixed-precision` with these options on 64 samples.
fn refine(options: &str, target: &Target, memory: &Memory) -> Result<Plan, MethodError> {
    let text = format!(
        "[weights]\nbits = 3\nfirst_last_bits = 8\n[[step]]\nmethod = \"mixed-precision\"\niterations = 5\n{options}"
    );
    let recipe = &Recipe::parse("test", &text).unwrap();
    let case = two_blocks();
    let (sites, graph, types) = (&case.sites(target), &case.graph, case.types.as_slice());
    let batch = case.batch(64, 5);
    let seen = &case.observe(sites, std::slice::from_ref(&batch));
    let values = batch[0].to_f32();
    let mut inputs = Rows::new(&Budget::unlimited(), 64, values.len() / 64).unwrap();
    inputs.write(0, &values).unwrap();
    let samples = Samples { inputs, shape: batch[0].shape()[1..].to_vec(), labels: None };
    let run = &Run { samples: Some(&samples), watch: memory, state: memory, ..Run::quiet() };
    let plan = recipe.start(graph, sites, target).unwrap();
    recipe.steps[0].refine(plan, &Workbench { graph, types, sites, seen, recipe, target, run })
}

fn paper() -> Target {
    Target::named("paper").unwrap()
}

fn bits(plan: &Plan) -> Vec<u8> {
    plan.weights.iter().flat_map(|setting| setting.bits.clone()).collect()
}

#[test]
fn the_size_is_that_of_even_bits_unless_told_otherwise_and_outer_layers_keep_theirs() {
    for after in ["rounding", "reconstruction"] {
        let memory = Memory::default();
        let plan = refine(&format!("after = \"{after}\""), &paper(), &memory).unwrap();
        let bits = bits(&plan);
        assert_eq!([bits[0], bits[5]], [8, 8]);
        // All inner layers have as many weights.
        assert!(bits[1..5].iter().sum::<u8>() <= 4 * 3, "{bits:?}");
        assert!(plan.weights.iter().all(|setting| setting.code.is_none() && setting.values.is_none()));
        assert!(plan.weights[1..5].iter().all(|setting| setting.set_by == ["mixed-precision"]));
        let notes = memory.notes.lock().unwrap();
        assert!(notes.len() == 1 && LAYERS.iter().all(|name| notes[0].contains(name)), "{notes:?}");
    }
}

#[test]
fn room_is_used_and_a_resumed_run_chooses_the_same() {
    let memory = Memory::default();
    let wide = refine("average_bits = 8.0\nbits = [2, 8]", &paper(), &memory).unwrap();
    assert_eq!(bits(&wide), [8; 6]);
    let first = refine("average_bits = 5.0\nbits = [2, 4, 8]", &paper(), &memory).unwrap();
    assert_eq!(refine("average_bits = 5.0\nbits = [2, 4, 8]", &paper(), &memory).unwrap(), first);
    assert_eq!(refine("average_bits = 5.0\nbits = [2, 4, 8]", &paper(), &Memory::default()).unwrap(), first);
}

#[test]
fn bytes_and_time_are_limits_too() {
    // Inner layers: 4 × 36 weights, 18 bytes a bit; outer ones: 24 + 30 of 8 bits.
    let plan = refine("after = \"rounding\"\nmax_bytes = 108", &paper(), &Memory::default()).unwrap();
    let inner: usize = bits(&plan)[1..5].iter().map(|&b| (36 * usize::from(b)).div_ceil(8)).sum();
    assert!(inner + 54 <= 108, "{:?}", bits(&plan));
    let latency = |bits, ns_per_mac| lowbit_quantize::target::Latency { bits, ns_per_mac };
    let target = Target { latency: vec![latency(4, 1.0), latency(8, 2.0)], ..paper() };
    // 36 positions: the inner layers take 4 × 1,296 ns at 4 bits, the outer ones 2 × (864 + 30).
    let limit = |ms: f64| format!("after = \"rounding\"\nmax_latency_ms = {ms}");
    let plan = refine(&limit(0.007), &target, &Memory::default()).unwrap();
    assert!(bits(&plan)[1..5].iter().all(|&b| b <= 4), "{:?}", bits(&plan));
    let plan = refine(&limit(0.02), &target, &Memory::default()).unwrap();
    assert_eq!(bits(&plan), [8; 6]);
}

#[test]
fn refusals_say_what_to_change() {
    for (options, words) in [
        ("average_bits = 1.5", "with 2 bits everywhere it is 2.0000 already"),
        ("bits = [1, 4]", "accepted: numbers from 2 to 8"),
        ("max_latency_ms = 1.0", "[[latency]]"),
    ] {
        let error = refine(options, &paper(), &Memory::default()).unwrap_err().to_string();
        assert!(error.contains(words), "{options}: {error}");
    }
}
