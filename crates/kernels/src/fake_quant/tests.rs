//! Every instruction set of this machine gives the codes of the plain twin, bit for bit.

use proptest::prelude::*;

use super::*;
use crate::testing::noise;

fn quants() -> impl Strategy<Value = FakeQuant> {
    (1e-6f32..10.0, -200i32..200, 0i32..300, 0i32..300).prop_map(|(scale, zero_point, below, above)| {
        FakeQuant { scale, zero_point, lo: zero_point - below, hi: zero_point + above }
    })
}

proptest! {
    #[test]
    fn values_equal_the_reference(quant in quants(), len in 0usize..70, seed: u64, spread in 0.1f32..400.0) {
        // Ties, the specials, and values on both sides of the range.
        let mut x: Vec<f32> = noise(len, seed).iter().map(|x| x * spread * quant.scale).collect();
        x.extend((-9..9).map(|i| (i as f32 + 0.5) * quant.scale));
        x.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, -1e-30]);
        let want: Vec<u32> = x.iter().map(|&x| reference::fake_quant(&quant, x).to_bits()).collect();
        for isa in Isa::supported() {
            let mut y = vec![0.0; x.len()];
            fake_quant(isa, &quant, &x, &mut y);
            let got: Vec<u32> = y.iter().map(|y| y.to_bits()).collect();
            prop_assert_eq!(&got, &want);
        }
    }

    #[test]
    fn each_channel_equals_its_own_quantizer(rows in 0usize..4, quants in proptest::collection::vec(quants(), 1..40)) {
        let scales: Vec<f32> = quants.iter().map(|quant| quant.scale).collect();
        let zero_points: Vec<i32> = quants.iter().map(|quant| quant.zero_point).collect();
        let codes = [-250, 270];
        let x: Vec<f32> = noise(rows * quants.len(), 7).iter().map(|x| x * 50.0).collect();
        for isa in Isa::supported() {
            let mut y = x.clone();
            fake_quant_channel_in_place(isa, &scales, &zero_points, codes, &mut y);
            for (i, (&x, y)) in x.iter().zip(y).enumerate() {
                let quant = FakeQuant { lo: codes[0], hi: codes[1], ..quants[i % quants.len()] };
                prop_assert_eq!(y.to_bits(), reference::fake_quant(&quant, x).to_bits());
            }
        }
    }
}

#[test]
fn the_quotient_decides_ties_not_the_product_with_the_reciprocal() {
    // 4.5 / 0.6 is exactly 7.5 in f32 and goes to the even 8; 4.5 · (1 / 0.6) is not a tie.
    let quant = FakeQuant { scale: 0.6, zero_point: 0, lo: -128, hi: 127 };
    assert_eq!(reference::encode(&quant, 4.5), (4.5f32 / 0.6).round_ties_even() as i32);
    assert_eq!(reference::encode(&quant, f32::NAN), 0);
}
