//! Every body, on every instruction set of this machine, against the plain twins; the twins against differences.

use proptest::prelude::*;

use super::super::tests::{depthwise_shapes, shapes};
use super::{Conv2d, Conv2dGradient, reference};
use crate::Isa;
use crate::conv2d::reference::conv2d;
use crate::testing::{assert_close, noise};

/// Absolute values: what was added up bounds the rounding.
fn sizes(values: &[f32]) -> Vec<f32> {
    values.iter().map(|x| x.abs()).collect()
}

fn assert_agrees(shape: &Conv2d, images: usize) {
    let (w, x) = (noise(shape.weight_len(), 1), noise(images * shape.in_len(), 3));
    let (dy, before) = (noise(images * shape.out_len(), 2), noise(images * shape.in_len(), 4));
    let want =
        [reference::data(shape, &w, &dy), reference::weights(shape, &x, &dy), reference::bias(shape, &dy)];
    let size = [
        reference::data(shape, &sizes(&w), &sizes(&dy)),
        reference::weights(shape, &sizes(&x), &sizes(&dy)),
        reference::bias(shape, &sizes(&dy)),
    ];
    for isa in Isa::supported() {
        let mut gradient = Conv2dGradient::new(isa, shape).unwrap();
        gradient.set_weights(&w).unwrap();
        // NaN shows scratch and outputs that are read before they are written.
        let mut scratch = vec![f32::NAN; gradient.scratch_len()];
        let mut dx = vec![f32::NAN; x.len()];
        gradient.data(&dy, &mut scratch, &mut dx, false);
        assert_close(&dx, &want[0], |i| 2e-6 * size[0][i], (isa, "data", shape));

        scratch.fill(f32::NAN);
        dx.copy_from_slice(&before);
        gradient.data(&dy, &mut scratch, &mut dx, true);
        let sum: Vec<f32> = want[0].iter().zip(&before).map(|(a, b)| a + b).collect();
        assert_close(&dx, &sum, |i| 2e-6 * (size[0][i] + 1.0), (isa, "data, added", shape));

        scratch.fill(f32::NAN);
        let mut dw = vec![f32::NAN; w.len()];
        let mut sums = vec![0.0; gradient.sums_len()];
        gradient.add_weights(&x, &dy, &mut scratch, &mut sums);
        gradient.unpack(&sums, &mut dw);
        assert_close(&dw, &want[1], |i| 2e-6 * size[1][i], (isa, "weights", shape));

        let mut db = vec![0.0; shape.out_c];
        gradient.bias(&dy, &mut db);
        assert_close(&db, &want[2], |i| 2e-6 * size[2][i], (isa, "bias", shape));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_instruction_set_agrees_with_the_reference(shape in shapes(), images in 0usize..4) {
        assert_agrees(&shape, images);
    }

    #[test]
    fn depthwise_agrees_with_the_reference(shape in depthwise_shapes(), images in 0usize..3) {
        assert_agrees(&shape, images);
    }

    #[test]
    fn the_reference_is_the_derivative(shape in shapes(), depthwise in depthwise_shapes(), seed: u64) {
        for shape in [shape, depthwise] {
            let (w, x) = (noise(shape.weight_len(), seed), noise(shape.in_len(), !seed));
            let dy = noise(shape.out_len(), seed ^ 5);
            let loss = |w: &[f32], x: &[f32]| -> f64 {
                let y = conv2d(&shape, x, w, None);
                y.iter().zip(&dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum()
            };
            // The loss is linear in each tensor: differences over a whole unit are exact but for rounding.
            let difference = |values: &[f32], i: usize, loss: &dyn Fn(&[f32]) -> f64| {
                let mut moved = values.to_vec();
                moved[i] += 0.5;
                let above = loss(&moved);
                moved[i] -= 1.0;
                above - loss(&moved)
            };
            let i = seed as usize % x.len();
            let dx = reference::data(&shape, &w, &dy)[i];
            let want = difference(&x, i, &|x| loss(&w, x));
            prop_assert!((f64::from(dx) - want).abs() < 1e-3, "{} {}", dx, want);
            let i = seed as usize % w.len();
            let dw = reference::weights(&shape, &x, &dy)[i];
            let want = difference(&w, i, &|w| loss(w, &x));
            prop_assert!((f64::from(dw) - want).abs() < 1e-3, "{} {}", dw, want);
        }
    }

    #[test]
    fn the_data_gradient_of_an_image_does_not_depend_on_its_batch(shape in shapes(), depthwise in depthwise_shapes()) {
        for (shape, isa) in [shape, depthwise].into_iter().flat_map(|s| Isa::supported().map(move |isa| (s, isa))) {
            let mut gradient = Conv2dGradient::new(isa, &shape).unwrap();
            gradient.set_weights(&noise(shape.weight_len(), 1)).unwrap();
            let dy = noise(5 * shape.out_len(), 2);
            let mut scratch = vec![0.0; gradient.scratch_len()];
            let mut batch = vec![0.0; 5 * shape.in_len()];
            gradient.data(&dy, &mut scratch, &mut batch, false);
            for (dy, together) in dy.chunks(shape.out_len()).zip(batch.chunks(shape.in_len())) {
                let mut alone = vec![0.0; shape.in_len()];
                gradient.data(dy, &mut scratch, &mut alone, false);
                prop_assert_eq!(&alone, together);
            }
        }
    }
}

#[test]
fn shapes_of_real_networks_agree() {
    assert_agrees(&Conv2d::square([32, 32, 3], 16, 3, 1, 1), 2);
    assert_agrees(&Conv2d::square([16, 16, 32], 32, 3, 1, 1), 5);
    assert_agrees(&Conv2d::square([32, 32, 16], 32, 3, 2, 1), 2);
    assert_agrees(&Conv2d::square([16, 16, 32], 64, 1, 2, 0), 2);
    assert_agrees(&Conv2d::square([9, 9, 64], 70, 1, 1, 0), 3);
    assert_agrees(&Conv2d::square([57, 57, 3], 20, 7, 2, 3), 1);
    assert_agrees(&Conv2d::square([5, 5, 150], 50, 3, 1, 1), 2);
    assert_agrees(&Conv2d::square([70, 60, 17], 9, 3, 2, 0), 2);
    for (size, channels, kernel, stride) in [(56, 32, 3, 1), (29, 40, 3, 2), (14, 240, 5, 1), (15, 16, 5, 2)]
    {
        let shape = Conv2d::square([size, size, channels], channels, kernel, stride, kernel / 2);
        assert_agrees(&Conv2d { groups: channels, ..shape }, 2);
    }
}

#[test]
fn weights_of_the_wrong_length_are_refused() {
    let mut gradient = Conv2dGradient::new(Isa::best(), &Conv2d::square([4, 4, 3], 8, 3, 1, 1)).unwrap();
    let refusal = gradient.set_weights(&[0.0; 3]).unwrap_err();
    assert_eq!(refusal.to_string(), "weights has 3 values, expected 216");
}
