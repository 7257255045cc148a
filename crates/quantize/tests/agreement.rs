//! The file that is written computes what was simulated, bit for bit: every stored network, recipe and form.

mod common;

use common::{Case, MADE_UP, built_in, run};
use lowbit_engine::evaluate_for_pass;
use lowbit_graph::Graph;
use lowbit_graph::passes::prepare;
use lowbit_onnx::{WriteOptions, read_bytes, write_bytes};
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::{Plan, Recipe, Sites, Target};

/// Every recipe with the target it is for.
fn recipes() -> Vec<(Recipe, Target)> {
    let paper = |name: &str| if name.ends_with("-paper") { "paper" } else { "onnxruntime" };
    let built_in = built_in().into_iter().map(|recipe| {
        let target = paper(&recipe.name);
        (recipe, target)
    });
    let made_up = MADE_UP.iter().map(|(name, text)| (Recipe::parse(name, text).unwrap(), "onnxruntime"));
    let again = ["paper", "products"]
        .into_iter()
        .flat_map(|target| ["w8a8", "w4a4-aciq"].map(|name| (Recipe::named(name).unwrap(), target)));
    let named = |(recipe, target)| (recipe, Target::named(target).unwrap());
    built_in.chain(made_up).chain(again).map(named).collect()
}

/// Written as a file and read back.
fn through_a_file(case: &Case, sites: &Sites, plan: &Plan, flavour: Flavour) -> Graph {
    let lowered = qdq(&case.graph, sites, plan, flavour).unwrap();
    let bytes = write_bytes(&lowered, &WriteOptions::default()).unwrap();
    prepare(read_bytes(&bytes, None).unwrap(), &evaluate_for_pass).unwrap()
}

#[test]
fn what_is_written_is_what_was_simulated() {
    let recipes = recipes();
    for case in Case::stored() {
        let batch = case.batch(3, 9);
        let names = |graph: &Graph| -> Vec<String> {
            graph.outputs.iter().map(|&o| graph.value(o).name.clone()).collect()
        };
        let float = run(&case.graph, &batch);
        for (recipe, target) in &recipes {
            let (sites, plan) = case.planned(recipe, target);
            let simulated = run(&simulate(&case.graph, &sites, &plan), &batch);
            assert_ne!(simulated, float, "{} {} rounds nothing", case.name, recipe.name);
            for (form, flavour) in Flavour::ALL {
                let what = format!("{}, {} for {}, {form}", case.name, recipe.name, target.name);
                let read = through_a_file(&case, &sites, &plan, *flavour);
                assert_eq!(names(&read), names(&case.graph), "{what}");
                let written = run(&read, &batch);
                for (w, s) in written.iter().zip(&simulated) {
                    let (w, s) = (w.to_f32(), s.to_f32());
                    let off = w.iter().zip(&s).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
                    let largest = w.iter().zip(&s).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert_eq!(off, 0, "{what}: {off} of {} differ, by up to {largest}", s.len());
                }
            }
        }
    }
}
