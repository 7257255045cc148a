//! Every instruction set of this machine against the plain twin.

use proptest::prelude::*;

use crate::integer::{
    Code, Inner, IntConv2d, Plane, Requantize, Residual, Steps, WeightBits, Weights, reference,
};
use crate::testing::{bytes, most};
use crate::{Conv2d, Isa};

#[derive(Clone, Debug)]
struct Case {
    shape: Conv2d,
    input: Plane,
    output: Plane,
    residual: Plane,
    images: usize,
    zero_x: u8,
    parts: [bool; 3],
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1usize..most(12), 1usize..most(12), 2usize..most(150), 1usize..3);
    let window = ([1usize..most(7), 1usize..most(7)], [1usize..4, 1usize..4], [1usize..3, 1usize..3]);
    let more = || [0usize..3, 0usize..3, 0usize..3, 0usize..3];
    (
        sizes,
        window,
        more(),
        (more(), more(), more()),
        [0usize..2, 0usize..2, 0usize..2],
        any::<(u8, [bool; 3])>(),
    )
        .prop_filter_map(
            "kernel fits",
            |((in_h, in_w, c, images), (kernel, stride, dilation), pads, borders, wider, (zero_x, parts))| {
                let shape =
                    Conv2d { in_h, in_w, in_c: c, out_c: c, kernel, stride, dilation, pads, groups: c };
                shape.check().ok()?;
                let plane = |h, w, border, wider| Plane::new(h, w, c + 4 * wider).with_border(border);
                let border = std::array::from_fn(|i| pads[i] + borders.0[i]);
                let (out_h, out_w) = (shape.out_h(), shape.out_w());
                Some(Case {
                    shape,
                    input: plane(in_h, in_w, border, wider[0]),
                    output: plane(out_h, out_w, borders.1, wider[1]),
                    residual: plane(out_h, out_w, borders.2, wider[1] + wider[2]),
                    images,
                    zero_x,
                    parts,
                })
            },
        )
}

fn requantize(case: &Case) -> Requantize {
    let scale: Vec<f32> = (0..case.shape.out_c).map(|c| 1e-3 + 1e-5 * c as f32).collect();
    let mut requantize = Requantize::new(&scale, Code { zero: 100, lo: 3, hi: 250 });
    if case.parts[0] {
        requantize.inner = Some(Inner { code: Code { zero: 7, lo: 0, hi: 15 }, scale: 9.5 });
    }
    if case.parts[1] {
        requantize.residual = Some(Residual { plane: case.residual, zero: 128, scale: 0.75 });
    }
    if case.parts[2] {
        let bounds: Vec<u8> = (0..15).map(|i| 20 + 14 * i).collect();
        requantize.steps = Some(Steps::new(&bounds, &bytes(16, 9)));
    }
    requantize
}

fn assert_agrees(case: &Case) {
    let Case { shape, input: plane, output, images, .. } = case;
    let codes: Vec<i8> = bytes(shape.weight_len(), 1).iter().map(|&w| w.cast_signed()).collect();
    let bias: Vec<i32> = bytes(shape.out_c, 2).iter().map(|&b| (i32::from(b) - 128) * 100).collect();
    let weights =
        Weights { codes: &codes, bits: WeightBits::Eight, bias: &bias, zero_x: case.zero_x, max_x: 255 };
    let input = bytes(images * plane.len(), 3);
    let requantize = requantize(case);
    let residual = requantize.residual.map(|residual| bytes(images * residual.plane.len(), 4));
    let residual = residual.as_deref();
    let sums = reference::conv2d(shape, plane, &input, &weights);
    let mut want = vec![77; images * output.len()];
    reference::requantize(&requantize, &sums, residual, output, &mut want);
    let scale: Vec<f32> = (0..shape.out_c).map(|c| 0.1 + c as f32).collect();
    for isa in Isa::supported() {
        let conv = IntConv2d::new(isa, shape, *plane, *output, &weights).unwrap();
        // What is not the interior keeps its 77.
        let mut got = vec![77; want.len()];
        conv.run(&input, &requantize, residual, &mut [], &mut got);
        assert_eq!(got, want, "{isa} {case:?}");

        let mut banded = vec![77; want.len()];
        for (n, image) in banded.chunks_exact_mut(output.len()).enumerate() {
            let middle = output.h / 2;
            let input = &input[n * plane.len()..][..plane.len()];
            let of_image =
                requantize.residual.map(|of| &residual.unwrap()[n * of.plane.len()..][..of.plane.len()]);
            for rows in [0..middle, middle..output.h] {
                let from = (output.border[0] + rows.start) * output.row_len();
                let to = &mut image[from..][..rows.len() * output.row_len()];
                conv.run_band(input, rows, &requantize, of_image, &mut [], to);
            }
        }
        assert_eq!(banded, want, "{isa} in bands {case:?}");

        let mut reals = vec![f32::NAN; images * shape.out_len()];
        conv.run_f32(&input, &scale, &mut [], &mut reals);
        assert_eq!(reals, reference::scale(&sums, &scale), "{isa} {case:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 300 }))]

    #[test]
    fn every_instruction_set_equals_the_reference(case in cases()) {
        assert_agrees(&case);
    }

    #[test]
    fn common_layers_equal_the_reference(
        mut case in cases(), kernel in 0usize..3, stride in 1usize..3, plain: bool,
    ) {
        let kernel = [3, 5, 7][kernel];
        let c = case.shape.in_c;
        let pads = [kernel / 2; 4];
        let shape = Conv2d { groups: c, ..Conv2d::square([most(9), most(8), c], c, kernel, stride, kernel / 2) };
        let output = Plane { h: shape.out_h(), w: shape.out_w(), ..case.output };
        let input = Plane { h: most(9), w: most(8), border: pads, ..case.input };
        case = Case { shape, input, output, residual: Plane { h: output.h, w: output.w, ..case.residual }, ..case };
        if plain {
            case.parts = [false; 3];
        }
        assert_agrees(&case);
    }
}
