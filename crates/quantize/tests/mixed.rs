//! Bits per layer and per output channel: what the step leaves alone, what it keeps to, and what it refuses.

mod common;

use common::{Case, graph, noise, outputs, two_blocks};
use lowbit_graph::ops::{Gemm, MatMul, Softmax};
use lowbit_quantize::method::MethodError;
use lowbit_quantize::plan::Setting;
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::run::{Run, Samples, State, Watch};
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Plan, Recipe, Target};
use lowbit_tensor::Tensor;
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
    refine_on(64, options, target, memory)
}

/// The same on so many samples.
fn refine_on(count: usize, options: &str, target: &Target, memory: &Memory) -> Result<Plan, MethodError> {
    on(&two_blocks(), count, options, target, memory, |recipe, plan, bench| {
        recipe.steps[0].refine(plan, bench)
    })
}

/// What `run` makes of a recipe that begins with `mixed-precision`.
fn on(
    case: &Case,
    count: usize,
    options: &str,
    target: &Target,
    memory: &Memory,
    run: impl FnOnce(&Recipe, Plan, &Workbench<'_>) -> Result<Plan, MethodError>,
) -> Result<Plan, MethodError> {
    let text = format!(
        "[weights]\nbits = 3\nfirst_last_bits = 8\n[[step]]\nmethod = \"mixed-precision\"\niterations = 5\n{options}"
    );
    let recipe = &Recipe::parse("test", &text).unwrap();
    let (sites, graph, types) = (&case.sites(target), &case.graph, case.types.as_slice());
    let batch = case.batch(count, 5);
    let seen = &case.observe(sites, std::slice::from_ref(&batch));
    let values = batch[0].to_f32();
    let mut inputs = Rows::new(&Budget::unlimited(), count, values.len() / count).unwrap();
    inputs.write(0, &values).unwrap();
    let samples = Samples { inputs, shape: batch[0].shape()[1..].to_vec(), labels: None };
    let lent = &Run { samples: Some(&samples), watch: memory, state: memory, ..Run::quiet() };
    let plan = recipe.start(graph, sites, target).unwrap();
    run(recipe, plan, &Workbench { graph, types, sites, seen, recipe, target, run: lent })
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
        for told in ["mixed-precision: ", " bits: `", "; predicted divergence ", " of 3"] {
            assert!(notes[0].contains(told), "{told}: {notes:?}");
        }
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

/// Bits of the inner layers, all of which have as many weights, of the networks that a note tells of, and the one taken.
fn built(memory: &Memory) -> (Vec<String>, String) {
    told(memory, "built and compared")
}

/// The same of the note with these words.
fn told(memory: &Memory, words: &str) -> (Vec<String>, String) {
    let notes = memory.notes.lock().unwrap();
    let note = notes.iter().find(|note| note.contains(words)).expect("what was compared is told");
    let (list, taken) = note.rsplit_once("; taken: ").unwrap();
    let list = list.split_once("): ").unwrap().1;
    (list.split(", ").map(|one| one[..4].to_owned()).collect(), taken.to_owned())
}

#[test]
fn the_best_few_are_built_even_bits_first_and_each_keeps_the_limit() {
    for build in ["rounding", "reconstruction"] {
        let memory = Memory::default();
        let plan = refine(&format!("build = \"{build}\""), &paper(), &memory).unwrap();
        let (list, taken) = built(&memory);
        assert!(list.len() > 1 && list[0] == "3333" && list.contains(&taken), "{list:?} {taken}");
        for widths in &list {
            assert!(widths.bytes().map(|b| usize::from(b - b'0')).sum::<usize>() <= 4 * 3, "{widths}");
        }
        let inner: String = bits(&plan)[1..5].iter().map(u8::to_string).collect();
        assert_eq!(inner, taken);
        assert!(plan.weights.iter().all(|setting| setting.code.is_none() && setting.values.is_none()));
    }
}

const FINISHED: &str = "finished by the rest of the recipe";

#[test]
fn finalists_go_through_the_rest_of_the_recipe_which_learns_nothing_twice() {
    let rest = "[[step]]\nmethod = \"mse\"\n[[step]]\nmethod = \"brecq\"\niterations = 8\nbatch = 8";
    let options = format!("build = \"rounding\"\nfinalists = 2\n{rest}");
    let memory = Memory::default();
    let whole = |memory: &Memory| {
        on(&two_blocks(), 64, &options, &paper(), memory, |recipe, plan, bench| recipe.run(plan, bench))
            .unwrap()
    };
    let plan = whole(&memory);
    let (list, taken) = told(&memory, FINISHED);
    assert!(list.len() == 3 && list[0] == "3333" && list.contains(&taken), "{list:?} {taken}");
    let inner: String = bits(&plan)[1..5].iter().map(u8::to_string).collect();
    assert_eq!(inner, taken);
    {
        let notes = memory.notes.lock().unwrap();
        // Trials note nothing of their own; all that the one taken has learned is known when its turn comes.
        let learned: Vec<&String> = notes.iter().filter(|note| note.starts_with("brecq: ")).collect();
        assert!(learned.len() == 1 && learned[0].contains("3 blocks known from before"), "{notes:?}");
        let note = notes.iter().find(|note| note.contains(FINISHED)).unwrap();
        let worth = |widths: &str| -> f64 {
            let behind = note.split_once(&format!("{widths} ")).unwrap().1;
            behind.split(' ').next().unwrap().parse().unwrap()
        };
        assert!(list.iter().all(|widths| worth(&taken) <= worth(widths)), "{note}");
    }
    // A recipe that says these bits itself gives the same network.
    let alone = format!("build = \"rounding\"\n{rest}");
    let direct = on(&two_blocks(), 64, &alone, &paper(), &Memory::default(), |recipe, mut plan, bench| {
        let widths = taken.bytes().map(|b| vec![b - b'0']);
        plan.weights[1..5].iter_mut().zip(widths).for_each(|(setting, bits)| setting.bits = bits);
        recipe.after(&*recipe.steps[0]).iter().try_fold(plan, |plan, step| step.refine(plan, bench))
    });
    let codes = |plan: &Plan| -> Vec<_> {
        plan.weights.iter().map(|setting| (setting.code.clone(), setting.values.clone())).collect()
    };
    assert_eq!(codes(&direct.unwrap()), codes(&plan));
    assert_eq!(whole(&memory), plan);
}

#[test]
fn without_a_rest_there_are_no_finalists() {
    let memory = Memory::default();
    refine("build = \"rounding\"\nfinalists = 2", &paper(), &memory).unwrap();
    assert!(!memory.notes.lock().unwrap().iter().any(|note| note.contains(FINISHED)));
}

#[test]
fn a_run_killed_between_two_networks_goes_on_to_the_same_choice_whatever_the_threads() {
    let whole = Memory::default();
    let options = "build = \"reconstruction\"";
    let plan = refine(options, &paper(), &whole).unwrap();
    let saved = whole.saved.lock().unwrap().clone();
    let mut networks: Vec<&String> = saved.keys().filter(|key| key.contains("/built-on-all/")).collect();
    assert_eq!(networks.len(), built(&whole).0.len());
    networks.sort();
    // As if it had been killed before all but one of them was judged.
    for kept in networks {
        let killed = Memory::default();
        let left = saved.iter().filter(|(key, _)| !key.contains("/built-on-all/") || *key == kept);
        killed.saved.lock().unwrap().extend(left.map(|(key, value)| (key.clone(), value.clone())));
        assert_eq!(refine(options, &paper(), &killed).unwrap(), plan, "{kept}");
        assert_eq!(*killed.saved.lock().unwrap(), saved);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let other = Memory::default();
    assert_eq!(pool.install(|| refine(options, &paper(), &other)).unwrap(), plan);
    assert_eq!(*other.saved.lock().unwrap(), saved);
}

#[test]
fn bytes_and_time_are_limits_too() {
    // Inner layers: 4 × 6 channels of 6 weights, each of 2 bytes at 2 bits and 3 at 3 and 4; outer ones: 24 + 30 of 8 bits.
    let bytes = |setting: &Setting| {
        channels(setting).iter().map(|&b| (6 * usize::from(b)).div_ceil(8)).sum::<usize>()
    };
    for per in ["layer", "channel"] {
        let limited = |most: usize| {
            refine(&format!("per = \"{per}\"\nmax_bytes = {most}"), &paper(), &Memory::default())
        };
        for most in [102, 114, 120] {
            let plan = limited(most).unwrap();
            let all = 54 + plan.weights[1..5].iter().map(bytes).sum::<usize>();
            assert!(all <= most && all + 6 > most, "{per}: {all} of {most}, {:?}", bits(&plan));
        }
        let error = limited(101).unwrap_err().to_string();
        assert!(error.contains("max_bytes is 101; with 2 bits everywhere it is 102.0000 already"), "{error}");
    }
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
fn output_channels_get_bits_of_their_own_within_the_limit() {
    for build in ["", "build = \"rounding\"", "build = \"reconstruction\""] {
        let memory = Memory::default();
        let options = format!("per = \"channel\"\n{build}");
        let plan = refine(&options, &paper(), &memory).unwrap();
        assert_eq!([&plan.weights[0].bits[..], &plan.weights[5].bits[..]], [[8], [8]]);
        // Six channels of as many weights in each of the four inner layers.
        let all: Vec<u8> = plan.weights[1..5].iter().flat_map(channels).collect();
        assert_eq!(all.len(), 24);
        assert!(all.iter().map(|&b| usize::from(b)).sum::<usize>() <= 24 * 3, "{all:?}");
        assert!(all.iter().all(|b| [2, 3, 4, 5, 6, 8].contains(b)), "{all:?}");
        assert!(plan.weights.iter().all(|setting| setting.code.is_none() && setting.values.is_none()));
        assert!(plan.weights[1..5].iter().all(|setting| setting.set_by == ["mixed-precision"]));
        let notes = memory.notes.lock().unwrap();
        let last = notes.last().unwrap();
        assert!(last.contains(", output channels of ") && last.contains(" bits: "), "{notes:?}");
        assert_eq!(notes.len(), if build.is_empty() { 1 } else { 2 });
        if build.is_empty() {
            assert!(all.contains(&2) && last.contains("power 0.25"), "{notes:?}");
        } else {
            assert!(
                notes[0].contains(" 3 bits everywhere 0.") && notes[0].contains(", power 0.25 "),
                "{notes:?}"
            );
        }
        drop(notes);
        // Resumed, anew, and on other threads.
        assert_eq!(refine(&options, &paper(), &memory).unwrap(), plan);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let other = Memory::default();
        assert_eq!(pool.install(|| refine(&options, &paper(), &other)).unwrap(), plan);
        assert_eq!(*other.saved.lock().unwrap(), *memory.saved.lock().unwrap());
    }
    // A budget that no channel is too narrow for.
    let wide = refine("per = \"channel\"\naverage_bits = 8.0", &paper(), &Memory::default()).unwrap();
    assert_eq!(bits(&wide), [8; 6]);
}

/// Three layers on vectors: the middle one has 7 inputs and 5 outputs (axis 1), of which the last layer weighs one most.
fn one_matters(most: usize) -> Case {
    let (mut g, x) = graph(&[4]);
    let w = g.add_constant("in.w", noise(&[4, 7], 1));
    let a = g.add_node("in", Gemm::default(), &[x, w]);
    let w = g.add_constant("middle.w", noise(&[7, 5], 2));
    let b = g.add_node("middle", Gemm::default(), &[a, w]);
    let weigh = |(i, w): (usize, f32)| if i / 3 == most { w } else { 0.03 * w };
    let w = noise(&[5, 3], 3).to_f32().into_iter().enumerate().map(weigh).collect();
    let w = g.add_constant("out.w", Tensor::from_f32([5, 3], w));
    let y = g.add_node("out", Gemm::default(), &[b, w]);
    outputs(&mut g, &[y]);
    Case::new("one matters", g)
}

#[test]
fn the_channel_that_matters_most_is_the_widest() {
    for most in 0..5 {
        let options = "per = \"channel\"";
        let case = one_matters(most);
        let plan = on(&case, 64, options, &paper(), &Memory::default(), |recipe, plan, bench| {
            recipe.steps[0].refine(plan, bench)
        });
        let bits = plan.unwrap().weights[1].bits.clone();
        assert_eq!(bits.len(), 5, "{bits:?}");
        assert!((0..5).all(|c| c == most || bits[c] < bits[most]), "{most}: {bits:?}");
    }
}

/// Five positions of 4 values, each through three layers to `scores` scores.
fn sequence(scores: usize) -> Case {
    let (mut g, mut x) = graph(&[5, 4]);
    for (name, [inputs, outputs]) in [("in", [4, 7]), ("middle", [7, 6]), ("out", [6, scores])] {
        let w = g.add_constant(format!("{name}.w"), noise(&[inputs, outputs], outputs as u64));
        x = g.add_node(name, MatMul, &[x, w]);
    }
    outputs(&mut g, &[x]);
    Case::new("sequence", g)
}

#[test]
fn answers_may_be_sequences_and_single_scores() {
    for scores in [1, 3, 8] {
        let memory = Memory::default();
        let options = "per = \"channel\"\nbuild = \"rounding\"\nbits = [6]\naverage_bits = 6.0";
        on(&sequence(scores), 64, options, &paper(), &memory, |recipe, plan, bench| {
            recipe.steps[0].refine(plan, bench)
        })
        .unwrap();
        let notes = memory.notes.lock().unwrap();
        let predicted = number(&notes[1], "predicted divergence ");
        let measured = number(&notes[0], " 6 bits everywhere ");
        // Without a nonlinearity errors do not average out; a forgotten temperature would be a factor of 16.
        assert!((0.2..5.0).contains(&(predicted / measured)), "{scores}: {predicted} {measured}");
    }
}

#[test]
fn a_softmax_at_the_end_changes_nothing() {
    let ended = || {
        let mut case = two_blocks();
        let scores = case.graph.outputs[0];
        let y = case.graph.add_node("softmax", Softmax { axis: -1 }, &[scores]);
        outputs(&mut case.graph, &[y]);
        Case::new("ended", case.graph)
    };
    for options in ["", "per = \"channel\"", "build = \"rounding\""] {
        let chosen = |case: &Case| {
            let memory = Memory::default();
            let plan = on(case, 64, options, &paper(), &memory, |recipe, plan, bench| {
                recipe.steps[0].refine(plan, bench)
            });
            (bits(&plan.unwrap()), memory.notes.into_inner().unwrap())
        };
        let (plain, with_softmax) = (chosen(&two_blocks()), chosen(&ended()));
        assert_eq!(plain.0, with_softmax.0, "{options}");
        let predicted = |notes: &[String]| number(notes.last().unwrap(), "with 3 bits everywhere ");
        let [a, b] = [&plain.1, &with_softmax.1].map(|notes| predicted(notes));
        assert!((a / b - 1.0).abs() < 0.01, "{options}: {a} {b}");
    }
}

/// The first number behind some words.
fn number(note: &str, behind: &str) -> f64 {
    let rest = note.split_once(behind).expect("the note says so").1;
    rest.split([' ', ';']).next().unwrap().parse().unwrap()
}

#[test]
fn squared_gradients_tell_about_what_even_widths_lose() {
    let memory = Memory::default();
    refine("per = \"channel\"\nbuild = \"rounding\"", &paper(), &memory).unwrap();
    let notes = memory.notes.lock().unwrap();
    let measured = number(&notes[0], " 3 bits everywhere ");
    let predicted = number(&notes[1], "with 3 bits everywhere ");
    assert!((0.5..2.0).contains(&(predicted / measured)), "{predicted} {measured}");
}

fn channels(setting: &Setting) -> Vec<u8> {
    (0..6).map(|c| setting.bits_of(c)).collect()
}

#[test]
fn refusals_say_what_to_change() {
    for (options, words) in [
        ("per = \"channel\"\nmax_latency_ms = 1.0", "needs per = \"layer\""),
        ("per = \"channel\"\nafter = \"reconstruction\"", "needs per = \"layer\""),
        ("per = \"channel\"\naverage_bits = 1.5", "with 2 bits everywhere it is 2.0000 already"),
        ("average_bits = 1.5", "with 2 bits everywhere it is 2.0000 already"),
        ("bits = [1, 4]", "accepted: numbers from 2 to 8"),
        ("max_latency_ms = 1.0", "[[latency]]"),
    ] {
        let error = refine(options, &paper(), &Memory::default()).unwrap_err().to_string();
        assert!(error.contains(words), "{options}: {error}");
    }
}

#[test]
fn one_sample_cannot_be_learned_on_and_judged_on() {
    for options in ["", "build = \"reconstruction\"", "after = \"reconstruction\"", "per = \"channel\""] {
        let error = refine_on(1, options, &paper(), &Memory::default()).unwrap_err().to_string();
        assert!(error.contains("1 calibration samples are too few, it needs at least 2"), "{error}");
        assert!(refine_on(5, options, &paper(), &Memory::default()).is_ok(), "{options}");
    }
}
