//! Every instruction set of this machine against the plain twin.

use proptest::prelude::*;

use super::*;
use crate::testing::{assert_close, noise};

fn pools() -> impl Strategy<Value = Pool2d> {
    let sizes = (1usize..12, 1usize..12, 1usize..40, any::<bool>());
    let window = ([1usize..5, 1usize..5], [1usize..4, 1usize..4], [1usize..3, 1usize..3]);
    (sizes, window, [0usize..3, 0usize..3, 0usize..3, 0usize..3])
        .prop_map(|((in_h, in_w, channels, ceil), (kernel, stride, dilation), pads)| Pool2d {
            in_h,
            in_w,
            channels,
            kernel,
            stride,
            dilation,
            pads,
            ceil,
        })
        .prop_filter("window fits", |pool| pool.check().is_ok())
}

proptest! {
    #[test]
    fn pooling_agrees_with_the_reference(pool in pools(), images in 0usize..3, count_pad: bool) {
        let input = noise(images * pool.in_len(), 5);
        for isa in Isa::supported() {
            let mut output = vec![f32::NAN; images * pool.out_len()];
            max_pool(isa, &pool, &input, &mut output);
            prop_assert_eq!(&output, &reference::max_pool(&pool, &input));
            average_pool(isa, &pool, count_pad, &input, &mut output);
            let want = reference::average_pool(&pool, count_pad, &input);
            assert_close(&output, &want, |_| 1e-6, (isa, pool));
        }
    }
}

#[test]
fn rounding_up_adds_a_window_only_if_it_starts_inside() {
    let pool = Pool2d {
        in_h: 4,
        in_w: 5,
        channels: 1,
        kernel: [2, 2],
        stride: [3, 2],
        dilation: [1; 2],
        pads: [0, 0, 1, 0],
        ceil: true,
    };
    assert_eq!([pool.out_h(), pool.out_w()], [2, 3]);
    assert_eq!(Pool2d { in_h: 3, pads: [0, 0, 2, 0], ..pool }.out_h(), 2);
    assert_eq!(Pool2d { in_h: 3, stride: [4, 2], pads: [0, 0, 2, 0], ..pool }.out_h(), 1);
}

#[test]
fn the_global_average_is_the_mean_of_each_channel() {
    for isa in Isa::supported() {
        let mut output = [0.0; 2];
        global_average_pool(isa, 3, 2, &[1.0, 10.0, 2.0, 20.0, 6.0, 60.0], &mut output);
        assert_eq!(output, [3.0, 30.0]);
    }
}

#[test]
fn nan_wins_over_numbers() {
    let pool = Pool2d {
        in_h: 1,
        in_w: 3,
        channels: 1,
        kernel: [1, 3],
        stride: [1; 2],
        dilation: [1; 2],
        pads: [0; 4],
        ceil: false,
    };
    for (isa, at) in Isa::supported().flat_map(|isa| [0, 1, 2].map(|at| (isa, at))) {
        let mut input = [1.0, 2.0, 3.0];
        input[at] = f32::NAN;
        let mut output = [0.0];
        max_pool(isa, &pool, &input, &mut output);
        assert!(output[0].is_nan(), "{isa} {at}");
    }
}
