//! The whole of what an application needs: open a quantized network, run it, take the best class.
//!
//! `classify MODEL.onnx < SAMPLE`, the sample as little-endian float32 in the order of the file's input.

use lowbit_runtime::Session;
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("classify MODEL.onnx < SAMPLE")?;
    let session = Session::open(path.as_ref())?;

    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let numbers = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let sample: Vec<f32> = numbers.collect();

    let scores = session.run(&sample)?;
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    println!("class {best:?} of {}", scores.len());
    Ok(())
}
