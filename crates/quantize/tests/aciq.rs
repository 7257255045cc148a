//! ACIQ's figures that no unit test has, and its three steps as a recipe runs them. With the unit tests of `aciq`,
//! `bit_allocation`, `bias_correction` and `lowbit_tensor::stats`, every check and worked example of the method's description.

mod common;

use common::{Case, conv, graph, outputs};
use lowbit_graph::ops::Relu;
use lowbit_quantize::methods::aciq::{clip_range, gauss_coefficient, laplace_coefficient, omega_coefficient};
use lowbit_quantize::methods::bias_correction::{restore_mean, restore_spread};
use lowbit_quantize::methods::bit_allocation::{bins, iterations, round_bits};
use lowbit_quantize::{Recipe, Target};
use lowbit_tensor::{Code, Moments, Statistics, Uniform};

const X: [f32; 12] = [-2.1, -0.9, -0.6, -0.35, -0.2, -0.1, 0.05, 0.15, 0.3, 0.45, 0.8, 4.6];

fn stats(x: &[f32]) -> Moments {
    Statistics::of(x, 1, (1, 1)).tensor
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() < tolerance, "{found} {expected}");
}

fn error(code: &Uniform, x: &[f32]) -> f64 {
    let square = |&x: &f32| f64::from(code.decode(code.encode(x, 0), 0) - x).powi(2);
    x.iter().map(square).sum::<f64>() / x.len() as f64
}

#[test]
fn after_relu_the_coefficient_of_some_levels_is_the_signed_one_of_twice_as_many() {
    for omega in [3.0, 5.0, 6.0, 10.0, 15.0, 24.0, 100.0] {
        let t = omega_coefficient(2.0 * omega);
        assert_close(t * t.exp() / (12.0 * omega * omega), 1.0, 1e-12);
    }
}

#[test]
fn clips_and_offsets_of_the_worked_examples() {
    let s = stats(&X);
    for (coefficient, width, alpha) in [
        (5.03, s.deviation(), 4.568917),
        (3.89, s.deviation(), 3.533417),
        (2.83, s.deviation(), 2.570583),
        (2.55, s.std(), 4.032087),
    ] {
        assert_close(coefficient * width, alpha, 1e-6);
        let [lo, hi] = clip_range(alpha, s.mean(), f64::from(s.min), false);
        assert_close(lo, -2.1, 1e-6);
        assert_close(hi - lo, 2.0 * alpha, 1e-9);
    }
    for (coefficient, alpha, range) in
        [(6.20, 5.631667, 5.806667), (5.02, 4.559833, 4.734833), (3.89, 3.533417, 3.708417)]
    {
        assert_close(coefficient * s.deviation(), alpha, 1e-6);
        let [lo, hi] = clip_range(alpha, s.mean(), f64::from(s.min), true);
        assert_eq!(lo, 0.0);
        assert_close(hi, range, 1e-6);
    }
    let mut x = X;
    (x[0], x[11]) = (-12.0, 1.2);
    let s = stats(&x);
    let alpha = 2.83 * s.deviation();
    assert_close(alpha, 5.219778, 1e-6);
    assert_close(clip_range(alpha, s.mean(), f64::from(s.min), false)[0], -6.153111, 1e-6);
}

#[test]
fn min_max_beats_the_four_bit_clip_on_twelve_samples() {
    let min_max = Uniform::covering(-2.1, 4.6, 4);
    assert_close(f64::from(min_max.scale[0]), 0.44666667, 1e-7);
    assert_close(error(&min_max, &X), 0.01447407, 1e-8);
}

#[test]
fn real_zero_returns_exactly() {
    let s = stats(&X);
    for bits in 2..=8 {
        let alpha = laplace_coefficient(f64::from(bits)) * s.deviation();
        let [lo, hi] = clip_range(alpha, s.mean(), f64::from(s.min), false);
        let code = Uniform::covering(lo as f32, hi as f32, bits);
        assert_eq!(code.decode(code.encode(0.0, 0), 0), 0.0);
    }
}

#[test]
fn scaled_data_have_scaled_ranges_and_steps() {
    let fit = |x: &[f32]| {
        let s = stats(x);
        let [lo, hi] = clip_range(5.03 * s.deviation(), s.mean(), f64::from(s.min), false);
        (hi - lo, Uniform::covering(lo as f32, hi as f32, 4))
    };
    let scaled = X.map(|x| x * 4.0);
    let ((range, code), (wide, coarse)) = (fit(&X), fit(&scaled));
    assert_close(wide / range, 4.0, 1e-12);
    assert_close(f64::from(coarse.scale[0] / code.scale[0]), 4.0, 1e-6);
    assert_eq!(code.codes(&X, &[12]), coarse.codes(&scaled, &[12]));
}

#[test]
fn targets_of_the_allocation_loop() {
    // Example A passes the targets 4, 4.166667 and 4.333333.
    let stds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2];
    let each = [4.0, 4.0 + 1.0 / 6.0, 4.0 + 1.0 / 3.0].map(|target| round_bits(&stds, target, [0, 8]));
    assert_eq!(iterations(&stds, 4.0, [0, 8]), each);
    assert_close(bins(&stds, 4.0).iter().sum(), 96.0, 1e-9);
    // Example B steps between 4.25 and 4.5, C ends at 4.6875.
    let stds = [1.0, 1.0, 1.0, 8.0];
    assert_eq!(round_bits(&stds, 4.25, [0, 8]), [3, 3, 3, 5]);
    assert_eq!(round_bits(&stds, 4.5, [0, 8]), [4, 4, 4, 6]);
    let stds = [0.02, 0.5, 0.5, 0.55, 0.6, 0.6, 0.7, 6.0];
    assert_eq!(round_bits(&stds, 4.6875, [0, 8]), [1, 4, 4, 4, 4, 4, 4, 7]);
}

#[test]
fn corrections_of_the_worked_rows() {
    let mean = |x: &[f32]| x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
    for (row, scale, zero_point, shift, ratio) in [
        ([0.31, -0.12, 0.05, 0.44, -0.27, 0.09], 0.10142857, 3, 0.01571429, 1.00437642),
        ([-1.5, 0.2, 0.3, 0.1, -0.4, 0.65], 0.30714286, 5, -0.00595238, 0.99085753),
    ] {
        let [lo, hi] = [row.iter().copied().fold(0.0, f32::min), row.iter().copied().fold(0.0, f32::max)];
        let code = Uniform { axis: Some(0), ..Uniform::covering(lo, hi, 3) };
        assert_close(f64::from(code.scale[0]), scale, 1e-7);
        assert_eq!(code.zero_point, [zero_point]);
        let corrected = restore_mean(&code, &row, &row, &[1, 6], 0);
        assert_close(f64::from(corrected.shift.as_ref().unwrap()[0]), shift, 1e-7);
        let mut decoded = row;
        corrected.fake_quantize(&mut decoded, &[1, 6]);
        assert_close(mean(&decoded), mean(&row), 1e-6);
        let (spread, _) = restore_spread(&code, &row, &[1, 6], 0);
        assert_close(f64::from(spread.scale[0] / code.scale[0]), ratio, 1e-6);
    }
}

#[test]
fn the_step_clips_at_the_coefficient_times_the_width_before_the_relu() {
    let (mut g, x) = graph(&[4, 6, 6]);
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    let a = g.add_node("relu", Relu, &[a]);
    let b = conv(&mut g, "b", a, [4, 4, 1]);
    let c = conv(&mut g, "c", b, [4, 4, 1]);
    outputs(&mut g, &[c]);
    let case = Case::new("three layers", g);
    let target = Target::named("onnxruntime").unwrap();
    let sites = case.sites(&target);
    let seen = case.observe(&sites, &[case.batch(8, 3)]);
    let plan = |prior: &str, tight: bool| {
        let text = format!(
            "[weights]\nbits = 8\n[activations]\nbits = 4\nother_bits = 8\n[[step]]\nmethod = \"minmax\"\n\
             [[step]]\nmethod = \"aciq\"\nprior = \"{prior}\"\ntight = {tight}"
        );
        case.plan(&sites, &seen, &Recipe::parse("test", &text).unwrap(), &target)
    };
    let top = |plan: &lowbit_quantize::Plan, edge: &str| {
        let i = sites.activations.iter().position(|s| s.name == edge).unwrap();
        let Some(Code::Uniform(code)) = &plan.activations[i].code else { panic!("no code") };
        (f64::from(code.scale[0]) * 15.0, plan.activations[i].set_by.clone(), code.bits[0])
    };
    let relu = sites.activations.iter().position(|s| s.name == "relu").unwrap();
    let before = &seen.before[relu].as_ref().unwrap().tensor;
    for (prior, alpha) in [
        ("laplace", before.deviation() * laplace_coefficient(5.0)),
        ("gauss", before.std() * gauss_coefficient(5.0)),
    ] {
        let expected = before.mean().max(0.0) + alpha;
        let (found, steps, _) = top(&plan(prior, false), "relu");
        assert_close(found, expected, 1e-5 * expected);
        assert_eq!(steps, ["minmax", "aciq"]);
        let seen_top = f64::from(seen.edges[relu].tensor.max);
        assert_close(top(&plan(prior, true), "relu").0, expected.min(seen_top), 1e-5 * expected);
    }
    // Edges of 8 bits keep their range.
    assert_eq!(top(&plan("laplace", true), "c").1, ["minmax"]);
    let least = |prior: &str| {
        let i = sites.activations.iter().position(|s| s.name == "b").unwrap();
        let Some(Code::Uniform(code)) = &plan(prior, true).activations[i].code else { panic!("no code") };
        let square = |x: f32| f64::from(code.decode(code.encode(x, 0), 0) - x).powi(2);
        seen.edges[i].histogram.centres().map(|(x, n)| n as f64 * square(x)).sum::<f64>()
    };
    assert!(least("best") <= least("laplace").min(least("gauss")));
}

#[test]
fn allocated_bits_keep_their_average_and_need_a_range_step_after_them() {
    let case = Case::stored().into_iter().find(|c| c.name == "digits").unwrap();
    let target = Target::named("paper").unwrap();
    let (sites, plan) = case.planned(&Recipe::named("w4a4-aciq-paper").unwrap(), &target);
    for (site, setting) in sites.weights.iter().zip(&plan.weights).filter(|(s, _)| !s.first_or_last) {
        let Some(Code::Uniform(code)) = &setting.code else { panic!("no code") };
        assert_eq!(code.bits, setting.bits, "{}", site.name);
        assert!(code.mean_bits() <= 4.0, "{}", site.name);
        assert!(code.shift.is_some(), "{}", site.name);
    }
    let text = "[weights]\nbits = 4\n[[step]]\nmethod = \"minmax\"\n[[step]]\nmethod = \"bit-allocation\"";
    let recipe = Recipe::parse("test", text).unwrap();
    let sites = case.sites(&target);
    let seen = case.observe(&sites, &[case.batch(2, 1)]);
    let bench = lowbit_quantize::workbench::Workbench {
        graph: &case.graph,
        types: &case.types,
        sites: &sites,
        seen: &seen,
        recipe: &recipe,
        target: &target,
        run: &lowbit_quantize::run::Run::quiet(),
    };
    let error = recipe.run(recipe.start(&case.graph, &sites, &target).unwrap(), &bench).unwrap_err();
    assert!(error.to_string().contains("no step chose a code"), "{error}");
}
