//! One evaluation of LAPQ's objective, what Powell's method does a few hundred times: a stored residual network with
//! all its codes, 32 samples, from the start.

#[path = "../tests/common/mod.rs"]
mod common;

use common::Case;
use criterion::{Criterion, criterion_group, criterion_main};
use lowbit_quantize::methods::lapq::cuts::Cuts;
use lowbit_quantize::methods::lapq::loss::Loss;
use lowbit_quantize::methods::lapq::objective::{Measure, simulated};
use lowbit_quantize::methods::lapq::variables;
use lowbit_quantize::methods::range::On;
use lowbit_quantize::run::Run;
use lowbit_quantize::workbench::Workbench;
use lowbit_quantize::{Recipe, Target};

fn evaluation(criterion: &mut Criterion) {
    let case =
        Case::stored().into_iter().find(|case| case.name == "residual-batchnorm").expect("it is stored");
    let (recipe, target) = (Recipe::named("w4a4").unwrap(), Target::named("paper").unwrap());
    let sites = case.sites(&target);
    let seen = case.observe(&sites, &[case.batch(3, 1)]);
    let plan = case.plan(&sites, &seen, &recipe, &target);
    let samples = case.samples();
    let run = Run { samples: Some(&samples), ..Run::quiet() };
    let bench = Workbench {
        graph: &case.graph,
        types: &case.types,
        sites: &sites,
        seen: &seen,
        recipe: &recipe,
        target: &target,
        run: &run,
    };
    let network = simulated(&bench, plan.clone(), false).expect("it simulates");
    let found = variables::find(&plan, &sites, On::Both, false);
    let (cuts, _) = Cuts::new(bench, &samples, &network, &found);
    let loss = Loss::CrossEntropy(vec![0; samples.len()]);
    let measure = Measure { bench, cuts: &cuts, loss: &loss, correct_bias: false };
    let all = 0..samples.len();
    criterion.bench_function("lapq/one evaluation", |b| {
        b.iter(|| measure.of(plan.clone(), all.clone()).expect("a loss"));
    });
}

criterion_group!(benches, evaluation);
criterion_main!(benches);
