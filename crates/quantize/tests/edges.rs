//! Plans at the edge of what networks and recipes can be.

mod common;

use common::{Case, conv, graph, noise, outputs, run};
use lowbit_graph::ops::{Conv, ConvTranspose, Gemm, MatMul, Window};
use lowbit_graph::{Graph, ValueId};
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::observe::Observations;
use lowbit_quantize::run::Run;
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Plan, Recipe, Sites, Target};
use lowbit_tensor::{Code, Tensor, Uniform};

const W8A8: &str = "[weights]\nbits = 8\n[activations]\nbits = 8\n";

fn planned(graph: Graph, recipe: &str) -> (Case, Sites, Plan) {
    let case = Case::new("hand-made", graph);
    let (sites, plan) =
        case.planned(&Recipe::parse("test", recipe).unwrap(), &Target::named("onnxruntime").unwrap());
    (case, sites, plan)
}

fn uniform(code: &Option<Code>) -> &Uniform {
    match code {
        Some(Code::Uniform(code)) => code,
        _ => panic!("no uniform code"),
    }
}

/// Every method that gives a range, on weights and edges.
fn range_methods() -> [String; 5] {
    let step = |steps: &str| format!("{W8A8}{steps}");
    [
        step("[[step]]\nmethod = \"minmax\""),
        step("[[step]]\nmethod = \"percentile\"\npercent = 60"),
        step("[[step]]\nmethod = \"mse\"\np = 1.5"),
        step("[[step]]\nmethod = \"minmax\"\n[[step]]\nmethod = \"kl\""),
        step(
            "[[step]]\nmethod = \"minmax\"\n[[step]]\nmethod = \"aciq\"\nprior = \"best\"\neight_bit = true",
        ),
    ]
}

#[test]
fn a_channel_of_zeros_keeps_its_bias() {
    let (mut g, x) = graph(&[2, 3, 3]);
    let w = g.add_constant("w", Tensor::from_f32([3, 2, 1, 1], vec![0.0, 0.0, 1.0, -1.0, 1e-20, 0.0]));
    let b = g.add_constant("b", Tensor::from_f32([3], vec![0.75, 0.5, -0.25]));
    let a = g.add_node("a", Conv { window: Window::default(), group: 1 }, &[x, w, b]);
    outputs(&mut g, &[a]);
    for recipe in range_methods() {
        let (case, sites, plan) = planned(g.clone(), &recipe);
        let batch = case.batch(4, 8);
        let (float, rounded) = (run(&case.graph, &batch), run(&simulate(&case.graph, &sites, &plan), &batch));
        let step = uniform(&plan.activations[1].code).scale[0];
        let channel = |t: &Tensor, c: usize| t.to_f32()[c * 9];
        for c in [0, 2] {
            assert!((channel(&rounded[0], c) - channel(&float[0], c)).abs() <= step, "{recipe}");
        }
    }
}

#[test]
fn inputs_of_zeros_give_usable_codes() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    outputs(&mut g, &[a]);
    let case = Case::new("hand-made", g);
    let target = Target::named("onnxruntime").unwrap();
    let sites = case.sites(&target);
    let zeros = Tensor::from_f32([2, 4, 3, 3], vec![0.0; 72]);
    let seen = case.observe(&sites, &[vec![zeros.clone()]]);
    for recipe in range_methods() {
        let plan = case.plan(&sites, &seen, &Recipe::parse("test", &recipe).unwrap(), &target);
        let outputs = run(&simulate(&case.graph, &sites, &plan), std::slice::from_ref(&zeros));
        let float = run(&case.graph, std::slice::from_ref(&zeros));
        for (y, f) in outputs[0].to_f32().iter().zip(float[0].to_f32()) {
            assert!((y - f).abs() < 0.02, "{recipe}: {y} {f}");
        }
    }
}

#[test]
fn vectors_and_single_numbers_are_quantized_with_one_scale() {
    for recipe in range_methods() {
        let (mut g, x) = graph(&[5, 6]);
        let w = g.add_constant("w", noise(&[6], 1));
        let y = g.add_node("product", MatMul, &[x, w]);
        let one = g.add_constant("one", noise(&[5, 1], 2));
        let y = g.add_node("again", MatMul, &[y, one]);
        outputs(&mut g, &[y]);
        let text = format!("{recipe}\n[[step]]\nmethod = \"bias-correction\"");
        let (case, sites, plan) = planned(g, &text);
        let axes: Vec<_> = plan.weights.iter().map(|s| uniform(&s.code).axis).collect();
        assert_eq!(axes, [None, Some(1)]);
        run(&simulate(&case.graph, &sites, &plan), &case.batch(3, 1));
        for (_, flavour) in Flavour::ALL {
            qdq(&case.graph, &sites, &plan, *flavour).unwrap();
        }
    }
}

#[test]
fn a_gemm_takes_its_addend_in_any_shape() {
    let shapes: [&[usize]; 5] = [&[], &[1], &[3], &[1, 3], &[4, 3]];
    for shape in shapes {
        let (mut g, _) = graph(&[6]);
        let x: ValueId = g.inputs[0];
        g.values[x.0].shape.as_mut().unwrap()[0] = lowbit_graph::Dim::Known(4);
        let w = g.add_constant("w", noise(&[3, 6], 1));
        let c = g.add_constant("c", noise(shape, 2));
        let y = g.add_node("fc", Gemm { trans_b: true, ..Gemm::default() }, &[x, w, c]);
        outputs(&mut g, &[y]);
        let text = format!("{W8A8}[[step]]\nmethod = \"minmax\"\n[[step]]\nmethod = \"bias-correction\"");
        let (case, sites, plan) = planned(g, &text);
        let batch = case.batch(4, 5);
        let (float, rounded) = (run(&case.graph, &batch), run(&simulate(&case.graph, &sites, &plan), &batch));
        for (f, r) in float[0].to_f32().iter().zip(rounded[0].to_f32()) {
            assert!((f - r).abs() < 0.2, "{shape:?}: {f} {r}");
        }
    }
}

#[test]
fn groups_of_a_transposed_convolution_share_the_scales_of_its_weight() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let (w, b) = (noise(&[4, 3, 2, 2], 1), noise(&[6], 2));
    let (w, b) = (g.add_constant("w", w), g.add_constant("b", b));
    let op =
        ConvTranspose { window: Window::default(), group: 2, output_padding: vec![], output_shape: vec![] };
    let y = g.add_node("up", op, &[x, w, b]);
    outputs(&mut g, &[y]);
    let (case, sites, plan) = planned(g, &format!("{W8A8}[[step]]\nmethod = \"minmax\""));
    let bias = lowbit_quantize::bias::rounded(&case.graph, &sites, &plan, 0).unwrap();
    assert_eq!((bias.scale.len(), &bias.scale[..3]), (6, &bias.scale[3..]));
    let batch = case.batch(3, 4);
    let (float, rounded) = (run(&case.graph, &batch), run(&simulate(&case.graph, &sites, &plan), &batch));
    for (f, r) in float[0].to_f32().iter().zip(rounded[0].to_f32()) {
        assert!((f - r).abs() < 0.3, "{f} {r}");
    }
}

#[test]
fn a_weight_that_two_layers_read_alike_is_written_once() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    let mut second = g.nodes[0].clone();
    let b = g.add_edge("b");
    (second.name, second.inputs[0], second.outputs) = ("b".into(), Some(a), vec![b]);
    g.nodes.push(second);
    outputs(&mut g, &[b]);
    let (case, sites, plan) = planned(g, &format!("{W8A8}[[step]]\nmethod = \"minmax\""));
    let lowered = qdq(&case.graph, &sites, &plan, Flavour::Packed).unwrap();
    let reads: Vec<_> = lowered.nodes.iter().filter(|n| n.op.name() == "Conv").map(|n| n.inputs[1]).collect();
    assert!(reads.len() == 2 && reads[0] == reads[1]);
    // Not where the layers' bits differ.
    let recipe = format!("{W8A8}[[override]]\nlayer = \"b\"\nweight_bits = 4\n[[step]]\nmethod = \"minmax\"");
    let plan = case.planned(&Recipe::parse("t", &recipe).unwrap(), &Target::named("onnxruntime").unwrap()).1;
    let lowered = qdq(&case.graph, &sites, &plan, Flavour::Packed).unwrap();
    let reads: Vec<_> = lowered.nodes.iter().filter(|n| n.op.name() == "Conv").map(|n| n.inputs[1]).collect();
    assert_ne!(reads[0], reads[1]);
}

#[test]
fn one_scale_per_tensor_and_symmetric_edges_are_as_asked() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    outputs(&mut g, &[a]);
    let recipe = "[weights]\nbits = 4\nper = \"tensor\"\n[activations]\nbits = 4\nother_bits = 4\nsymmetric = true\n\
                  [[step]]\nmethod = \"minmax\"";
    let (_, _, plan) = planned(g, recipe);
    let weight = uniform(&plan.weights[0].code);
    assert_eq!((weight.axis, weight.scale.len(), weight.signed), (None, 1, true));
    for setting in &plan.activations {
        let code = uniform(&setting.code);
        assert_eq!((code.zero_point[0], code.signed), (8, false));
    }
}

#[test]
fn calibration_without_samples_or_with_what_is_no_number_is_refused() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    outputs(&mut g, &[a]);
    let case = Case::new("hand-made", g);
    let target = Target::named("onnxruntime").unwrap();
    let recipe = Recipe::named("w8a8").unwrap();
    let sites = case.sites(&target);
    let refused = |seen: &Observations| {
        let plan = recipe.start(&case.graph, &sites, &target).unwrap();
        let (graph, types, run) = (&case.graph, case.types.as_slice(), &Run::quiet());
        let bench = Workbench { graph, types, sites: &sites, seen, recipe: &recipe, target: &target, run };
        recipe.run(plan, &bench).unwrap_err().to_string()
    };
    assert!(refused(&Observations::default()).contains("0 samples"));
    for odd in [f32::NAN, f32::INFINITY] {
        let mut values = vec![0.5; 36];
        values[7] = odd;
        let seen = case.observe(&sites, &[vec![Tensor::from_f32([1, 4, 3, 3], values)]]);
        assert!(refused(&seen).contains("edge `x` takes values that are not finite"), "{odd}");
    }
}
