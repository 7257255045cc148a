//! Codes of uneven levels: written and read back bit for bit, in every flavour; files as small as the levels are few; reports.

mod common;

use common::{Case, run, with_levels};
use lowbit_engine::evaluate_for_pass;
use lowbit_graph::passes::prepare;
use lowbit_graph::{Graph, Op};
use lowbit_onnx::{WriteOptions, read_bytes, write_bytes};
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::{Plan, Recipe, Sites, Target, describe};
use lowbit_tensor::Code;

const BINARY: &[i32] = &[-1, 1];
const TERNARY: &[i32] = &[-1, 0, 1];
const COMPANDED_3: &[i32] = &[-127, -55, -23, 0, 23, 55, 127];
const COMPANDED_4: &[i32] = &[-127, -90, -66, -44, -27, -15, -7, 0, 7, 15, 27, 44, 66, 90, 127];

fn planned(case: &Case, weights: &[&[i32]]) -> (Sites, Plan) {
    let (sites, plan) = case.planned(&Recipe::named("w8a8").unwrap(), &Target::named("onnxruntime").unwrap());
    let plan = with_levels(case, &sites, plan, weights);
    (sites, plan)
}

fn file(case: &Case, sites: &Sites, plan: &Plan, flavour: Flavour) -> Vec<u8> {
    write_bytes(&qdq(&case.graph, sites, plan, flavour).unwrap(), &WriteOptions::default()).unwrap()
}

fn read(bytes: &[u8]) -> Graph {
    prepare(read_bytes(bytes, None).unwrap(), &evaluate_for_pass).unwrap()
}

fn digits() -> Case {
    Case::stored().into_iter().find(|case| case.name == "digits").unwrap()
}

#[test]
fn what_is_written_is_what_was_simulated() {
    for case in Case::stored() {
        let batch = case.batch(3, 9);
        for weights in [&[BINARY, TERNARY][..], &[COMPANDED_3, COMPANDED_4, TERNARY]] {
            let (sites, plan) = planned(&case, weights);
            let simulated = run(&simulate(&case.graph, &sites, &plan), &batch);
            for (form, flavour) in Flavour::ALL {
                let written = run(&read(&file(&case, &sites, &plan, *flavour)), &batch);
                for (w, s) in written.iter().zip(&simulated) {
                    let bits = |t: &lowbit_tensor::Tensor| -> Vec<u32> {
                        t.to_f32().iter().map(|x| x.to_bits()).collect()
                    };
                    assert_eq!(bits(w), bits(s), "{}, {form}", case.name);
                }
            }
        }
    }
}

#[test]
fn edges_are_read_back_as_levels() {
    let case = digits();
    let (sites, plan) = planned(&case, &[COMPANDED_4]);
    let codes = |graph: &Graph| -> Vec<Op> {
        graph.nodes.iter().map(|n| n.op.clone()).filter(Op::is_rounding).collect()
    };
    let simulated = codes(&simulate(&case.graph, &sites, &plan));
    assert!(simulated.iter().filter(|op| matches!(op, Op::FakeLevels(_))).count() > 3);
    let read = codes(&read(&file(&case, &sites, &plan, Flavour::Packed)));
    assert!(simulated.iter().all(|op| read.contains(op)));
}

#[test]
fn a_report_tells_bits_ends_and_levels() {
    let case = digits();
    let (sites, plan) = planned(&case, &[TERNARY]);
    let seen = case.observe(&sites, &[case.batch(3, 1)]);
    let layers = describe::layers(&case.graph, &case.types, &sites, &plan, &seen);
    let (weights, edges): (Vec<_>, Vec<_>) = layers.into_iter().map(|l| (l.weight, l.activation)).unzip();
    assert!(weights.iter().flatten().all(|w| w.bits == 2.0 && w.channels_by_bits.is_empty()));
    let edges: Vec<_> = edges.into_iter().flatten().collect();
    assert!(edges.len() > 3);
    for edge in edges {
        assert_eq!(usize::from(edge.bits), edge.levels.len().next_power_of_two().trailing_zeros() as usize);
        assert!(edge.levels.is_sorted() && edge.levels.contains(&0.0), "{}", edge.name);
        assert_eq!([edge.clip_lo, edge.clip_hi], [edge.levels[0], edge.levels[edge.levels.len() - 1]]);
        assert!(edge.sqnr_db.is_some());
    }
}

#[test]
fn a_bias_lies_on_the_grid_of_the_sums() {
    let case = digits();
    let (sites, plan) = planned(&case, &[TERNARY]);
    let mut compared = 0;
    for (i, site) in sites.weights.iter().enumerate() {
        let Some(bias) = lowbit_quantize::bias::rounded(&case.graph, &sites, &plan, i) else { continue };
        let (Some(Code::Levels(x)), Some(Code::Levels(w))) =
            (&plan.activations[site.reads.unwrap()].code, &plan.weights[i].code)
        else {
            continue;
        };
        assert_eq!(bias.scale[0], w.grid.scale[0] * x.grid.scale[0]);
        assert!(bias.codes.is_some());
        compared += 1;
    }
    assert!(compared > 2);
}
