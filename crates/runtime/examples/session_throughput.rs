//! Time per image of a network on random samples, float engine and integer session by turns; then each step's share.
//!
//! `session_throughput MODEL.onnx [BATCH] [ROUNDS] [THREADS]`

use lowbit_runtime::{Options, Session};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("session_throughput MODEL.onnx [BATCH] [ROUNDS] [THREADS]")?;
    let mut number = |none| args.next().map_or(Ok(none), |n| n.parse::<usize>());
    let (batch, rounds, threads) = (number(1)?, number(50)?, number(1)?);
    let graph = lowbit_onnx::read_file(path.as_ref())?;
    let session = Session::new(graph, Options { threads: Some(threads), isa: None })?;
    for left in session.left() {
        println!("float: {} `{}` {}", left.op, left.node, left.reason);
    }
    let samples: Vec<f32> =
        (0..batch * session.input_len()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 25.0).collect();
    let mut records = vec![0.0; batch * session.outputs().iter().map(|o| o.len()).sum::<usize>()];
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let inner = (64 / batch).max(1);
        for _ in 0..inner {
            session.run_into(&samples, &mut records)?;
        }
        times.push(start.elapsed().as_secs_f64() / (inner * batch) as f64);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{:.1} µs per image (least {:.1}), weights {} bytes, working memory {} bytes",
        1e6 * times[rounds / 2],
        1e6 * times[0],
        session.weight_bytes(),
        session.working_bytes()
    );
    let profile = session.profile(&samples)?;
    let mut profile = profile;
    for _ in 0..20 {
        for (a, b) in profile.iter_mut().zip(session.profile(&samples)?) {
            a.time = a.time.min(b.time);
        }
    }
    for p in profile {
        println!("{:9.2} µs  {:24} {}", 1e6 * p.time.as_secs_f64() / batch as f64, p.step.name, p.step.what);
    }
    Ok(())
}
