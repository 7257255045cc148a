//! Opens a source and reads it whole: how fast, with which threads. `decode PATH [PRESET] [BATCH]`

use std::time::Instant;

use lowbit_data::{Dataset, Options, Preprocess};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: decode PATH [PRESET] [BATCH]")?;
    let preprocess = Preprocess::load(&arguments.next().unwrap_or_else(|| "none".into()))?;
    let batch = arguments.next().map_or(Ok(64), |batch| batch.parse())?;
    let start = Instant::now();
    let data = Dataset::open(path.as_ref())?;
    println!(
        "opened {} samples, {} classes in {:.1?}",
        data.len(),
        data.class_names().len(),
        start.elapsed()
    );
    for (what, limit) in [("all", None), ("512 chosen", Some(512))] {
        for threads in [1, 2, 0] {
            let options = Options { preprocess: preprocess.clone(), threads, limit, ..Options::default() };
            let start = Instant::now();
            let mut sum = 0.0;
            for batch in data.batches(&options, batch)? {
                sum += f64::from(batch?.x.iter().sum::<f32>());
            }
            let seconds = start.elapsed().as_secs_f64();
            let images = limit.unwrap_or(usize::MAX).min(data.len()) as f64;
            println!(
                "{what}, {threads} threads: {:.0} images/s, {seconds:.3} s, sum {sum:.1}",
                images / seconds
            );
        }
    }
    Ok(())
}
