//! A session computes what the simulation computes, on every instruction set and however the work is cut.

#[path = "../../quantize/tests/common/mod.rs"]
mod common;

use common::{Case, MADE_UP, run, with_levels};
use lowbit_graph::Graph;
use lowbit_kernels::Isa;
use lowbit_onnx::{WriteOptions, read_bytes, write_bytes};
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::{Recipe, Target};
use lowbit_runtime::{Options, Session, lower};

const RECIPES: [&str; 4] = ["w8a8", "w4a8", "w4a4", "w3-multipoint"];

/// Networks that a session takes: one input.
fn cases() -> impl Iterator<Item = Case> {
    Case::stored().into_iter().filter(|case| case.graph.inputs.len() == 1)
}

fn recipes() -> Vec<Recipe> {
    let built_in = RECIPES.iter().map(|name| Recipe::named(name).unwrap());
    built_in.chain(MADE_UP.iter().map(|(name, text)| Recipe::parse(name, text).unwrap())).collect()
}

fn session(file: &[u8], isa: Isa, threads: usize) -> Session {
    let options = Options { threads: Some(threads), isa: Some(isa) };
    Session::new(read_bytes(file, None).unwrap(), options).unwrap()
}

fn file(graph: &Graph) -> Vec<u8> {
    write_bytes(graph, &WriteOptions::default()).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Signal over noise in dB.
fn sqnr(exact: &[f32], other: &[f32]) -> f64 {
    let power = |v: &mut dyn Iterator<Item = f32>| v.map(|x| f64::from(x) * f64::from(x)).sum::<f64>();
    let noise = power(&mut exact.iter().zip(other).map(|(a, b)| a - b));
    10.0 * (power(&mut exact.iter().copied()) / noise).log10()
}

#[test]
fn a_session_is_the_simulation_in_every_form_of_file() {
    for case in cases() {
        let batch = case.batch(5, 9);
        for recipe in &recipes() {
            let (sites, plan) = case.planned(recipe, &Target::named("onnxruntime").unwrap());
            let simulated = run(&simulate(&case.graph, &sites, &plan), &batch);
            let forms = Flavour::ALL.iter().map(|(form, flavour)| {
                let bytes = file(&qdq(&case.graph, &sites, &plan, *flavour).unwrap());
                let found = session(&bytes, Isa::best(), 1).run_all(&batch[0].to_f32()).unwrap();
                (form, found)
            });
            let forms: Vec<_> = forms.collect();
            for (form, found) in &forms {
                let what = format!("{}, {}, {form}", case.name, recipe.name);
                for (s, f) in simulated.iter().zip(found) {
                    // Sums of floats round on the way, sums of integers do not: a code may be the next one, here and there.
                    let db = sqnr(&s.to_f32(), f);
                    assert!(db > 35.0, "{what}: {db:.1} dB");
                }
                // All forms hold the same integers.
                assert_eq!(found, &forms[0].1, "{what}");
            }
        }
    }
}

const LEVELS: [&[i32]; 4] = [
    &[-1, 1],
    &[-1, 0, 1],
    &[-127, -55, -23, 0, 23, 55, 127],
    &[-127, -90, -66, -44, -27, -15, -7, 0, 7, 15, 27, 44, 66, 90, 127],
];

#[test]
fn uneven_levels_are_the_simulation_on_every_instruction_set_and_leave_no_table_behind() {
    let mut exact = 0;
    for case in cases() {
        let target = Target::named("onnxruntime").unwrap();
        let (sites, even) = case.planned(&Recipe::named("w8a8").unwrap(), &target);
        let plan = with_levels(&case, &sites, even, &LEVELS);
        let batch = case.batch(5, 9);
        let simulated = run(&simulate(&case.graph, &sites, &plan), &batch);
        let mut first: Option<Vec<Vec<f32>>> = None;
        for (form, flavour) in Flavour::ALL {
            let bytes = file(&qdq(&case.graph, &sites, &plan, *flavour).unwrap());
            let lowered = lower(read_bytes(&bytes, None).unwrap()).unwrap();
            let tables = ["QuantizeLinear", "DequantizeLinear", "Cast", "Gather", "FakeLevels"];
            let table = lowered.left.iter().find(|left| tables.contains(&left.op.as_str()));
            assert!(table.is_none(), "{}, {form}: {table:?}", case.name);
            for isa in Isa::supported() {
                let found = session(&bytes, isa, 1).run_all(&batch[0].to_f32()).unwrap();
                let expected = first.get_or_insert_with(|| found.clone());
                assert_eq!(&found, expected, "{}, {form}, {isa}", case.name);
            }
            let expected = first.as_ref().unwrap();
            if let Ok(float) = lowered.in_float() {
                for (f, e) in expected.iter().zip(run(&float, &batch)) {
                    assert_eq!(bits(f), bits(&e.to_f32()), "{}, {form}", case.name);
                    exact += 1;
                }
            }
        }
        for (s, f) in simulated.iter().zip(&first.unwrap()) {
            // Levels lie far apart: where a sum of floats rounds to the other side of a bound, it shows.
            let db = sqnr(&s.to_f32(), f);
            println!("{}: {db:.1} dB", case.name);
        }
    }
    assert!(exact >= 12, "{exact} networks have an exact form");
}

#[test]
fn instruction_sets_threads_and_cuts_of_the_batch_leave_no_trace() {
    for case in cases() {
        let (sites, plan) =
            case.planned(&Recipe::named("w4a8").unwrap(), &Target::named("onnxruntime").unwrap());
        let bytes = file(&qdq(&case.graph, &sites, &plan, Flavour::Packed).unwrap());
        let batch = case.batch(7, 4)[0].to_f32();
        let generic = session(&bytes, Isa::named("generic").unwrap(), 1);
        let one_by_one: Vec<f32> =
            batch.chunks(generic.input_len()).flat_map(|sample| generic.run(sample).unwrap()).collect();
        for isa in Isa::supported() {
            for threads in [1, 3] {
                let session = session(&bytes, isa, threads);
                let what = format!("{}, {isa}, {threads} threads", case.name);
                assert_eq!(bits(&session.run(&batch).unwrap()), bits(&one_by_one), "{what}");
                let single = session.run(&batch[..session.input_len()]).unwrap();
                assert_eq!(bits(&single), bits(&one_by_one[..single.len()]), "{what}, alone");
            }
        }
    }
}

#[test]
fn a_float_network_runs_as_it_is() {
    for case in cases() {
        let batch = case.batch(3, 5);
        let session = session(&file(&case.graph), Isa::best(), 1);
        let found = session.run_all(&batch[0].to_f32()).unwrap();
        for (f, expected) in found.iter().zip(run(&case.graph, &batch)) {
            let db = sqnr(&expected.to_f32(), f);
            assert!(db > 90.0, "{}: {db:.1} dB", case.name);
        }
        assert!(!session.left().is_empty(), "{}", case.name);
    }
}

#[test]
fn layers_of_a_quantized_network_run_on_integers() {
    // What stays float, of each stored network at 8 bits.
    for case in cases() {
        let (sites, plan) =
            case.planned(&Recipe::named("w8a8").unwrap(), &Target::named("onnxruntime").unwrap());
        let bytes = file(&qdq(&case.graph, &sites, &plan, Flavour::Packed).unwrap());
        let session = session(&bytes, Isa::best(), 1);
        for left in session.left() {
            println!("{}: {} `{}` {}", case.name, left.op, left.node, left.reason);
        }
        let layers = session.steps().iter().filter(|s| s.weight_bytes > 0).count();
        println!("{}: {layers} layers of {} weights on integers", case.name, sites.weights.len());
    }
}

#[test]
fn the_float_engine_gives_the_same_bits_where_its_sums_are_exact() {
    let mut compared = 0;
    for case in cases() {
        for recipe in &recipes() {
            let (sites, plan) = case.planned(recipe, &Target::named("onnxruntime").unwrap());
            let bytes = file(&qdq(&case.graph, &sites, &plan, Flavour::Packed).unwrap());
            let Ok(exact) = lower(read_bytes(&bytes, None).unwrap()).unwrap().in_float() else { continue };
            let batch = case.batch(6, 11);
            let found = session(&bytes, Isa::best(), 1).run_all(&batch[0].to_f32()).unwrap();
            for (f, e) in found.iter().zip(run(&exact, &batch)) {
                assert_eq!(bits(f), bits(&e.to_f32()), "{}, {}", case.name, recipe.name);
                compared += 1;
            }
        }
    }
    assert!(compared >= 12, "{compared} networks have an exact form");
}

#[test]
fn layers_whose_sums_stay_float_run_on_integers() {
    let mut compared = 0;
    for case in cases() {
        for recipe in ["w8a8", "w4a4"].map(|name| Recipe::named(name).unwrap()) {
            let (sites, plan) = case.planned(&recipe, &Target::named("products").unwrap());
            let simulated = run(&simulate(&case.graph, &sites, &plan), &case.batch(6, 11));
            let bytes = file(&qdq(&case.graph, &sites, &plan, Flavour::Packed).unwrap());
            let lowered = lower(read_bytes(&bytes, None).unwrap()).unwrap();
            for left in &lowered.left {
                // A layer that reads codes has an integer form, whatever is added to its sums.
                let reason = left.reason.contains("added to");
                assert!(!reason, "{}, {}: {} {}", case.name, recipe.name, left.node, left.reason);
            }
            let batch = case.batch(6, 11);
            let found = session(&bytes, Isa::best(), 1).run_all(&batch[0].to_f32()).unwrap();
            for (s, f) in simulated.iter().zip(&found) {
                let db = sqnr(&s.to_f32(), f);
                // Where the simulation's float sums round a code to its neighbour, one of 4 bits shows more than one of 8.
                let least = if recipe.name == "w8a8" { 35.0 } else { 15.0 };
                assert!(db > least, "{}, {}: {db:.1} dB", case.name, recipe.name);
            }
            let Ok(exact) = lowered.in_float() else { continue };
            for (f, e) in found.iter().zip(run(&exact, &batch)) {
                assert_eq!(bits(f), bits(&e.to_f32()), "{}, {}", case.name, recipe.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 0, "{compared} networks have an exact form");
}
