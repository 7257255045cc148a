//! Measuring strategies: what trials share changes nothing, recipes reproduce strategies, and work is priced piece by piece.

mod common;

use common::{Case, two_blocks};
use lowbit_engine::Network;
use lowbit_quantize::run::Run;
use lowbit_quantize::search::cost::Pricing;
use lowbit_quantize::search::evaluator::Evaluator;
use lowbit_quantize::search::settings::Settings;
use lowbit_quantize::search::space::{Choice, Clip, Offer, Place, Space};
use lowbit_quantize::search::tuners::random::drawn;
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Recipe, Target, methods};

/// Runs `look` with a workbench of a case for a target.
fn with_bench(case: &Case, target: &str, look: impl Fn(&Workbench<'_>)) {
    let target = &Target::named(target).unwrap();
    let (sites, recipe, run) = (&case.sites(target), &Recipe::named("w8a8").unwrap(), &Run::quiet());
    let seen = &case.observe(sites, &[case.batch(8, 1)]);
    let (graph, types) = (&case.graph, case.types.as_slice());
    look(&Workbench { graph, types, sites, seen, recipe, target, run });
}

#[test]
fn what_trials_share_changes_nothing() {
    let case = two_blocks();
    for target in ["onnxruntime", "paper", "products", "x86-avx512-vnni"] {
        with_bench(&case, target, |bench| {
            let space = Space::new(bench.graph, bench.sites, bench.target, &Offer::default());
            let input = case.batch(12, 7).swap_remove(0);
            let evaluator =
                |capacity| Evaluator::new(bench, &space, input.clone(), None, 8, capacity).unwrap();
            let (mut sharing, mut narrow) = (evaluator(usize::MAX), evaluator(1));
            let mut strategies = drawn(&space.sizes(), 6, 3);
            // Neighbours, and back again.
            for g in [0, space.genes.len() / 2, space.genes.len() - 1] {
                let mut next = strategies[1].clone();
                next[g] = (next[g] + 1) % space.genes[g].choices.len();
                strategies.extend([next, strategies[1].clone()]);
            }
            for strategy in &strategies {
                let found = sharing.measure(strategy).unwrap();
                assert_eq!(found, evaluator(0).measure(strategy).unwrap(), "{target}: {strategy:?}");
                assert_eq!(found, narrow.measure(strategy).unwrap(), "{target}: {strategy:?}");
            }
            assert!(sharing.work[0] < sharing.work[1], "{target}: {:?}", sharing.work);
        });
    }
}

#[test]
fn a_space_has_what_is_offered() {
    with_bench(&two_blocks(), "onnxruntime", |bench| {
        let offer = Offer { bits: vec![8, 4], float: false, clips: vec![Clip::Percentile], symmetric: false };
        let space = Space::new(bench.graph, bench.sites, bench.target, &offer);
        for gene in &space.genes {
            let told: Vec<String> = gene.choices.iter().map(ToString::to_string).collect();
            let expected = match gene.place {
                // Weights have no percentile.
                Place::Weight(_) => ["8 mse symmetric", "4 mse symmetric"],
                Place::Edge(_) => ["8 percentile", "4 percentile"],
            };
            assert_eq!(told[..], expected[..told.len()], "{}", gene.name);
        }
        let both = Offer { symmetric: true, clips: vec![Clip::Minmax, Clip::Mse], ..offer };
        let space = Space::new(bench.graph, bench.sites, bench.target, &both);
        let edge = space.genes.iter().find(|gene| matches!(gene.place, Place::Edge(_))).unwrap();
        assert_eq!(edge.choices[0].to_string(), "8 minmax");
        assert!(edge.choices.iter().any(|choice| choice.to_string() == "8 minmax symmetric"));
    });
}

#[test]
fn the_loss_of_a_strategy_is_that_of_its_simulated_network() {
    let case = two_blocks();
    with_bench(&case, "onnxruntime", |bench| {
        let space = Space::new(bench.graph, bench.sites, bench.target, &Offer::default());
        let input = case.batch(12, 7).swap_remove(0);
        let mut evaluator = Evaluator::new(bench, &space, input.clone(), None, 12, 1 << 20).unwrap();
        let strategy = space.uniform(3, 4);
        let plan = evaluator.settings().plan(&space, &strategy).unwrap();
        let run = |graph| Network::new(graph).unwrap().run(std::slice::from_ref(&input)).unwrap()[0].to_f32();
        let (float, rounded) = (run(bench.graph), run(&simulate(bench.graph, bench.sites, &plan)));
        let trial = evaluator.measure(&strategy).unwrap();
        assert_eq!(trial.loss == 0.0, float == rounded);
        assert!(trial.loss > 0.0, "{trial:?}");
        // Everything in float is the float network.
        let float = |g: usize| space.genes[g].choices.iter().position(|c| *c == Choice::Float).unwrap();
        let nothing = (0..space.genes.len()).map(float).collect();
        let trial = evaluator.measure(&nothing).unwrap();
        assert_eq!((trial.loss, trial.drop), (0.0, 0.0));
    });
}

#[test]
fn a_recipe_comes_to_the_strategy_it_was_written_from() {
    for case in Case::stored() {
        with_bench(&case, "onnxruntime", |bench| {
            let space = Space::new(bench.graph, bench.sites, bench.target, &Offer::default());
            let settings = Settings::new(bench);
            for strategy in drawn(&space.sizes(), 3, 5) {
                let text = methods::strategy::recipe(&space, &strategy, "a \"quoted\" summary", 7);
                let recipe = &Recipe::parse("searched", &text).unwrap();
                let bench = Workbench { recipe, ..*bench };
                let plan = recipe.start(bench.graph, bench.sites, bench.target).unwrap();
                let plan = recipe.run(plan, &bench).unwrap();
                let mut expected = settings.plan(&space, &strategy).unwrap();
                // Who set what is all that differs.
                for (a, b) in expected.weights.iter_mut().zip(&plan.weights) {
                    a.set_by.clone_from(&b.set_by);
                }
                for (a, b) in expected.activations.iter_mut().zip(&plan.activations) {
                    a.set_by.clone_from(&b.set_by);
                }
                assert_eq!(plan, expected, "{}", case.name);
            }
        });
    }
}

#[test]
fn names_that_a_strategy_does_not_know_are_refused_with_the_nearest() {
    with_bench(&two_blocks(), "onnxruntime", |bench| {
        for (text, words) in [
            ("weights = { \"one.aa\" = \"8 mse\" }", "there is no layer `one.aa`; nearest: `one.a`"),
            ("weights = { \"one.a\" = \"9 mse\" }", "layer `one.a`: `9 mse`; accepted"),
        ] {
            let text = format!("[[step]]\nmethod = \"strategy\"\n{text}");
            let recipe = &Recipe::parse("t", &text).unwrap();
            let bench = Workbench { recipe, ..*bench };
            let plan = recipe.start(bench.graph, bench.sites, bench.target).unwrap();
            let error = recipe.run(plan, &bench).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    });
}

#[test]
fn a_target_with_narrow_weights_offers_no_wider_ones() {
    let case = two_blocks();
    with_bench(&case, "x86-avx2", |bench| {
        let space = Space::new(bench.graph, bench.sites, bench.target, &Offer::default());
        for gene in &space.genes {
            let widest = gene.choices.iter().filter_map(|c| c.bits()).max().unwrap();
            assert_eq!(widest, if matches!(gene.place, Place::Weight(_)) { 7 } else { 8 }, "{}", gene.name);
        }
    });
}

#[test]
fn layers_in_float_are_priced_with_the_conversions_around_them() {
    let case = two_blocks();
    with_bench(&case, "onnxruntime", |bench| {
        let space = Space::new(bench.graph, bench.sites, bench.target, &Offer::default());
        let pricing = Pricing::new(bench.graph, bench.types, bench.sites, bench.target, 100_000);
        let ops = |strategy: &[usize]| -> Vec<String> {
            let pieces = pricing.pieces(&space, strategy);
            pieces.iter().map(|p| format!("{} {}", p.work.op, p.work.form)).collect()
        };
        let codes = space.uniform(8, 8);
        let all = ops(&codes);
        assert!(all.iter().any(|op| op == "Conv+Add w8a8"), "{all:?}");
        assert_eq!(all.iter().filter(|op| op.starts_with("Quantize")).count(), 1, "the input alone: {all:?}");
        let mut one = codes.clone();
        let gene = space.genes.iter().position(|g| g.name == "one.a").unwrap();
        one[gene] = space.genes[gene].choices.len() - 1;
        let mixed = ops(&one);
        assert_eq!(mixed.iter().filter(|op| op.as_str() == "Conv float").count(), 1, "{mixed:?}");
        assert!(mixed.len() > all.len(), "{mixed:?}");
        // An addition has no form on codes where its sum is float, though all it reads is codes.
        let mut sum = codes.clone();
        let gene = space.genes.iter().position(|g| g.name == "two.out").unwrap();
        sum[gene] = space.genes[gene].choices.len() - 1;
        let sum = ops(&sum);
        assert!(sum.iter().any(|op| op == "Add float"), "{sum:?}");
        assert!(!sum.iter().any(|op| op == "Add a8"), "{sum:?}");
        assert!(pricing.bytes(&space, &one) > pricing.bytes(&space, &codes));
        let four = pricing.bytes(&space, &space.uniform(4, 8));
        assert!(four < pricing.bytes(&space, &codes), "{four}");
        let missing = pricing.milliseconds(&space, &codes).unwrap_err();
        assert!(missing.contains("does not say what") && missing.contains("[cost]"), "{missing}");
    });
}
