//! Every body, on every instruction set of this machine, against the plain twin.

use proptest::prelude::*;

use super::{Conv2d, PackedConv2d, reference};
use crate::testing::{assert_close, noise};
use crate::{Epilogue, FakeQuant, Isa, Unary, fake_quant};

/// Shapes with every attribute away from its usual value; kernels may exceed the image where padding allows.
pub(super) fn shapes() -> impl Strategy<Value = Conv2d> {
    let sizes = (1usize..14, 1usize..14, 1usize..20, 1usize..70, 1usize..4);
    let window = ([1usize..6, 1usize..6], [1usize..4, 1usize..4], [1usize..3, 1usize..3]);
    (sizes, window, [0usize..4, 0usize..4, 0usize..4, 0usize..4])
        .prop_map(|((in_h, in_w, group_in, group_out, groups), (kernel, stride, dilation), pads)| Conv2d {
            in_h,
            in_w,
            in_c: groups * group_in,
            out_c: groups * group_out,
            kernel,
            stride,
            dilation,
            pads,
            groups,
        })
        .prop_filter("kernel fits", |shape| shape.check().is_ok())
}

pub(super) fn depthwise_shapes() -> impl Strategy<Value = Conv2d> {
    (shapes(), 2usize..40).prop_map(|(shape, c)| Conv2d { in_c: c, out_c: c, groups: c, ..shape })
}

/// Values around the tensors of a test.
const FRAME: usize = 100;

fn run(isa: Isa, shape: &Conv2d, images: usize, epilogue: &Epilogue<'_>) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let weights = noise(shape.weight_len(), 1);
    let bias = noise(shape.out_c, 2);
    let input = noise(images * shape.in_len(), 3);
    let packed = PackedConv2d::new(isa, shape, &weights, Some(&bias)).unwrap();
    // NaN all around shows reads beside the input and writes beside the output, values that are not written, and
    // scratch that is read before it is filled.
    let mut framed_input = vec![f32::NAN; FRAME + input.len() + FRAME];
    framed_input[FRAME..][..input.len()].copy_from_slice(&input);
    let mut framed = vec![f32::NAN; FRAME + images * shape.out_len() + FRAME];
    let mut scratch = vec![f32::NAN; packed.scratch_len()];
    let output = &mut framed[FRAME..][..images * shape.out_len()];
    packed.run(&framed_input[FRAME..][..input.len()], epilogue, &mut scratch, output);
    let output = output.to_vec();
    let after = &framed[FRAME + output.len()..];
    assert!(
        framed[..FRAME].iter().chain(after).all(|x| x.is_nan()),
        "{isa} wrote beside the output of {shape:?}"
    );
    let want = reference::conv2d(shape, &input, &weights, Some(&bias));
    // The size of what was added up bounds the rounding.
    let size = |values: &[f32]| values.iter().map(|x| x.abs()).collect::<Vec<f32>>();
    let sizes = reference::conv2d(shape, &size(&input), &size(&weights), Some(&size(&bias)));
    (output, want, sizes)
}

fn assert_agrees(shape: &Conv2d, images: usize) {
    for isa in Isa::supported() {
        let (got, want, sizes) = run(isa, shape, images, &Epilogue::default());
        assert_close(&got, &want, |i| 2e-6 * sizes[i], (isa, shape));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_instruction_set_agrees_with_the_reference(shape in shapes(), images in 1usize..4) {
        assert_agrees(&shape, images);
    }

    #[test]
    fn depthwise_agrees_with_the_reference(shape in depthwise_shapes(), images in 1usize..3) {
        assert_agrees(&shape, images);
    }

    #[test]
    fn an_image_does_not_depend_on_its_batch(shape in shapes(), depthwise in depthwise_shapes()) {
        for shape in [shape, depthwise] {
            let (weights, input) = (noise(shape.weight_len(), 1), noise(5 * shape.in_len(), 3));
            for isa in Isa::supported() {
                let packed = PackedConv2d::new(isa, &shape, &weights, None).unwrap();
                let mut scratch = vec![0.0; packed.scratch_len()];
                let mut batch = vec![0.0; 5 * shape.out_len()];
                packed.run(&input, &Epilogue::default(), &mut scratch, &mut batch);
                for (image, together) in input.chunks(shape.in_len()).zip(batch.chunks(shape.out_len())) {
                    let mut alone = vec![0.0; shape.out_len()];
                    packed.run(image, &Epilogue::default(), &mut scratch, &mut alone);
                    prop_assert_eq!(&alone[..], together);
                }
            }
        }
    }

    #[test]
    fn the_fused_epilogue_equals_its_parts(shape in shapes(), depthwise in depthwise_shapes(), which in 0usize..5) {
        let activation = [
            None,
            Some(Unary::Relu),
            Some(Unary::Clip { lo: -0.5, hi: 0.75 }),
            Some(Unary::HardSwish),
            Some(Unary::Sigmoid),
        ][which];
        let quant = FakeQuant { scale: 0.11, zero_point: 3, lo: 0, hi: 15 };
        for (shape, isa) in [shape, depthwise].into_iter().flat_map(|s| Isa::supported().map(move |isa| (s, isa))) {
            let residual = noise(2 * shape.out_len(), 4);
            let (mut parts, ..) = run(isa, &shape, 2, &Epilogue::default());
            parts.iter_mut().zip(&residual).for_each(|(y, r)| *y += r);
            if let Some(activation) = activation {
                crate::elementwise::unary_in_place(isa, activation, &mut parts);
            }
            fake_quant::fake_quant_in_place(isa, &quant, &mut parts);
            let fused = Epilogue { residual: Some(&residual), activation, fake_quant: Some(quant) };
            prop_assert_eq!(run(isa, &shape, 2, &fused).0, parts);
        }
    }
}

#[test]
fn sums_longer_than_a_chunk_and_images_larger_than_a_block_agree() {
    assert_agrees(&Conv2d::square([5, 5, 150], 50, 3, 1, 1), 2);
    assert_agrees(&Conv2d::square([3, 3, 1500], 20, 1, 1, 0), 2);
    assert_agrees(&Conv2d::square([70, 60, 17], 9, 3, 1, 1), 2);
    assert_agrees(&Conv2d::square([70, 60, 17], 9, 3, 2, 0), 2);
    assert_agrees(&Conv2d { groups: 2, ..Conv2d::square([9, 9, 800], 6, 3, 1, 1) }, 1);
    assert_agrees(&Conv2d::square([2, 30_000, 3], 2, 2, 1, 1), 1);
}

#[test]
fn other_weights_replace_the_first_ones_entirely() {
    for groups in [1, 20] {
        let shape = Conv2d { groups, ..Conv2d::square([5, 4, 20], 20, 3, 1, 1) };
        let (first, second) = (noise(shape.weight_len(), 1), noise(shape.weight_len(), 2));
        let mut reused = PackedConv2d::new(Isa::best(), &shape, &first, Some(&noise(20, 3))).unwrap();
        reused.set_weights(&second, None).unwrap();
        let fresh = PackedConv2d::new(Isa::best(), &shape, &second, None).unwrap();
        let input = noise(shape.in_len(), 4);
        let [a, b] = [reused, fresh].map(|conv| {
            let (mut scratch, mut output) = (vec![0.0; conv.scratch_len()], vec![0.0; shape.out_len()]);
            conv.run(&input, &Epilogue::default(), &mut scratch, &mut output);
            output
        });
        assert_eq!(a, b);
    }
}

#[test]
fn weights_and_bias_of_the_wrong_length_are_refused() {
    let shape = Conv2d::square([4, 4, 3], 8, 3, 1, 1);
    let refusal = PackedConv2d::new(Isa::best(), &shape, &[0.0; 3], None).unwrap_err();
    assert_eq!(refusal.to_string(), "weights has 3 values, expected 216");
    assert!(PackedConv2d::new(Isa::best(), &shape, &[0.0; 216], Some(&[0.0; 9])).is_err());
}
