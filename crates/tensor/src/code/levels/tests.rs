use super::*;

fn grid(signed: bool, scale: f32, zero_point: i32) -> Uniform {
    Uniform::per_tensor(8, signed, scale, zero_point)
}

/// Levels and bounds drawn from a seed, with the grid that they are of.
fn drawn(seed: u64) -> Levels {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |n: i32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i32 % n
    };
    let signed = below(2) == 1;
    let zero_point = if signed { 0 } else { below(256) };
    let grid = grid(signed, [0.1, 0.02745098, 3.7e-5, 1e38][below(4) as usize], zero_point);
    let [lo, _] = grid.range(0);
    let mut levels: Vec<i32> = (0..2 + below(15)).map(|_| lo + below(256)).collect();
    levels.extend([lo + below(128), lo + 128 + below(128)]);
    levels.sort_unstable();
    levels.dedup();
    let bounds = levels.windows(2).map(|pair| pair[0] + 1 + below(pair[1] - pair[0])).collect();
    Levels::new(grid, levels, bounds).unwrap()
}

/// Numbers on and next to every boundary of a grid, and absurd ones.
fn probes(code: &Levels) -> Vec<f32> {
    let scale = code.grid.scale[0];
    let near = |x: f32| [x.next_down().next_down(), x.next_down(), x, x.next_up(), x.next_up().next_up()];
    let steps = (-600..=600).flat_map(|halves| near(halves as f32 / 2.0 * scale));
    let mut probes: Vec<f32> = steps.filter(|x| !x.is_nan()).collect();
    probes.extend([f32::NEG_INFINITY, -3e38, 3e38, f32::INFINITY]);
    probes.sort_by(f32::total_cmp);
    probes
}

#[test]
fn a_level_stays_what_it_is_and_order_is_kept() {
    for seed in 0..200 {
        let code = drawn(seed);
        for &level in &code.levels {
            assert_eq!(code.levels[code.index(level)], level);
        }
        let mut once = probes(&code);
        let shape = [once.len()];
        code.fake_quantize(&mut once, &shape);
        assert!(once.is_sorted(), "{code:?}");
        let mut twice = once.clone();
        code.fake_quantize(&mut twice, &shape);
        assert_eq!(once, twice, "{code:?}");
    }
}

#[test]
fn table_bounds_and_thresholds_say_the_same() {
    for seed in 0..100 {
        let code = drawn(seed);
        let ([lo, _], table, thresholds) = (code.grid.range(0), code.table(), code.thresholds(0));
        assert!(thresholds.is_sorted());
        assert_eq!(Levels::of_table(code.grid.clone(), &table), Ok(code.clone()));
        for x in probes(&code).into_iter().chain([f32::NAN]) {
            let level = code.encode(x, 0);
            assert_eq!(table[(code.grid.encode(x, 0) - lo) as usize], level);
            let x = if x.is_nan() { 0.0 } else { x };
            let passed = thresholds.iter().filter(|&&t| t <= x).count();
            assert_eq!(code.levels[passed], level, "{x} of {code:?}");
        }
    }
}

/// The worked example of LCQ's outer quantization: s = 3, clip 2, unsigned.
#[test]
fn a_companded_activation_has_the_levels_of_the_worked_example() {
    let scale = 2.0 / 255.0;
    let bounds = [0.089879, 0.282375, 0.629830].map(|t: f32| (255.0 * t).ceil() as i32);
    let code = Levels::new(grid(false, scale, 0), vec![0, 46, 110, 255], bounds.to_vec()).unwrap();
    assert_eq!((code.bits(), code.uniform()), (2, None));
    let indices = code.indices(&[-0.4, 0.1, 0.35, 0.7, 1.1, 1.6, 1.95, 2.5], &[8]);
    assert_eq!(indices, [0, 0, 1, 2, 2, 3, 3, 3]);
    assert_eq!(code.decode(code.encode(0.35, 0), 0), 46.0 * scale);
    assert_eq!(code.stored_bytes(&[2, 3, 3]), 5 + 4 + 4);
}

#[test]
fn binary_and_ternary_filters_have_a_scale_each() {
    let filters = Uniform {
        axis: Some(0),
        bits: vec![8; 2],
        scale: vec![0.5, 2.0],
        zero_point: vec![0; 2],
        ..grid(true, 1.0, 0)
    };
    let binary = Levels::nearest(filters.clone(), vec![-1, 1]).unwrap();
    let ternary = Levels::nearest(filters, vec![-1, 0, 1]).unwrap();
    assert_eq!((binary.bits(), ternary.bits()), (1, 2));
    let mut weights = [0.5, -0.5, -2.0, 2.0];
    binary.fake_quantize(&mut weights, &[2, 2]);
    assert_eq!(weights, [0.5, -0.5, -2.0, 2.0]);
    assert_eq!(ternary.codes(&[0.5, 0.0, -2.0, 0.1], &[2, 2]), [1, 0, -1, 0]);
    assert_eq!(ternary.indices(&[0.5, 0.0, -2.0, 0.1], &[2, 2]), [2, 1, 0, 1]);
}

#[test]
fn nearest_levels_take_ties_upwards() {
    let code = Levels::nearest(grid(true, 1.0, 0), vec![-5, -2, 0, 4]).unwrap();
    assert_eq!(code.bounds, [-3, -1, 2]);
}

#[test]
fn all_codes_of_a_width_are_a_uniform_code() {
    let code = Levels::nearest(grid(false, 0.5, 3), (0..16).collect()).unwrap();
    assert_eq!(code.uniform(), Some(Uniform::per_tensor(4, false, 0.5, 3)));
    let signed = Levels::nearest(grid(true, 0.5, 0), vec![-2, -1, 0, 1]).unwrap();
    assert_eq!(signed.uniform(), Some(Uniform::per_tensor(2, true, 0.5, 0)));
    assert_eq!(Levels::nearest(grid(true, 0.5, 0), vec![-1, 0, 1]).unwrap().uniform(), None);
}

#[test]
fn what_is_no_code_of_levels_is_refused_with_the_place() {
    let of = |grid: Uniform, levels: &[i32], bounds: &[i32]| {
        Levels::new(grid, levels.to_vec(), bounds.to_vec()).unwrap_err().to_string()
    };
    let u8s = || grid(false, 1.0, 0);
    let narrow = Uniform::per_tensor(4, false, 1.0, 0);
    assert_eq!(
        of(narrow, &[0, 1], &[1]),
        "the grid of levels has channels of 4 bits; expected 8 bits without a shift"
    );
    let count = "expected 2 to 256 levels and a bound between each two";
    assert_eq!(of(u8s(), &[3], &[]), format!("1 levels with 0 bounds; {count}"));
    assert_eq!(of(u8s(), &[3, 4], &[]), format!("2 levels with 0 bounds; {count}"));
    assert_eq!(of(u8s(), &[3, 256], &[9]), "level 256 is no code of the grid, which has 0 to 255");
    let between = "expected above the first and at most the second";
    assert_eq!(of(u8s(), &[3, 7], &[3]), format!("bound 3 between levels 3 and 7; {between}"));
    let falling = Levels::of_table(u8s(), &std::array::from_fn(|i| 255 - i as i32)).unwrap_err();
    assert_eq!(falling.to_string(), format!("bound 1 between levels 255 and 254; {between}"));
    assert_eq!(of(u8s(), &[3, 7, 5], &[4, 6]), format!("bound 6 between levels 7 and 5; {between}"));
}
