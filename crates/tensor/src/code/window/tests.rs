//! The tables of the paper's arithmetic, computed apart from this code and compared with the authors'.

use super::*;

fn windows() -> impl Iterator<Item = Window> {
    ALL.into_iter().flatten()
}

fn named(name: &str, rounding: Rounding) -> Window {
    Window::named(name, rounding).unwrap()
}

#[test]
fn errors_over_all_codes_are_those_of_the_authors_kernels() {
    // Per window: sums of |error| and error² when trimming, then when rounding, the largest |error|, how many levels,
    // and the sum of signed errors when rounding.
    let expected: [[i32; 7]; 6] = [
        [1240, 11160, 750, 4160, 15, 48, -170],
        [1512, 15048, 874, 5104, 15, 40, -136],
        [1800, 18600, 1016, 6056, 15, 31, -120],
        [2604, 47244, 1674, 21204, 31, 28, -682],
        [5334, 194_310, 4032, 122_142, 63, 16, -2730],
        [224, 480, 162, 232, 3, 128, -10],
    ];
    for ([trim, round], [trim_abs, trim_sq, round_abs, round_sq, largest, levels, signed]) in
        ALL.into_iter().zip(expected)
    {
        for (window, abs, sq, signed) in
            [(trim, trim_abs, trim_sq, -trim_abs), (round, round_abs, round_sq, signed)]
        {
            let errors: Vec<i32> = (0..=255).map(|a| i32::from(window.value(a)) - i32::from(a)).collect();
            let sums = [
                errors.iter().map(|e| e.abs()).sum::<i32>(),
                errors.iter().map(|e| e * e).sum(),
                errors.iter().sum(),
                errors.iter().map(|e| e.abs()).max().unwrap(),
            ];
            assert_eq!(sums, [abs, sq, signed, largest], "{window:?}");
            let fixed = (0..=255).filter(|&a| window.value(a) == a).count();
            let mut values: Vec<u8> = (0..=255).map(|a| window.value(a)).collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!([fixed, values.len()], [levels as usize; 2], "{window:?}");
        }
    }
}

#[test]
fn a_window_applied_twice_is_applied_once() {
    for window in windows() {
        let [values, wide] = window.tables();
        for a in 0..=255usize {
            assert_eq!(values[usize::from(values[a])], values[a], "{window:?} {a}");
            assert_eq!(wide[usize::from(wide[a])], wide[a], "{window:?} {a}");
        }
    }
}

#[test]
fn single_codes_are_those_of_the_worked_examples() {
    let examples: [(u8, [[u8; 2]; 6]); 10] = [
        (15, [[15, 15], [15, 15], [15, 15], [14, 14], [12, 12], [15, 15]]),
        (27, [[26, 28], [24, 28], [16, 32], [24, 28], [24, 24], [27, 27]]),
        (39, [[36, 40], [36, 40], [32, 32], [32, 40], [32, 32], [39, 39]]),
        (45, [[44, 44], [44, 44], [32, 48], [40, 48], [32, 48], [45, 45]]),
        (63, [[60, 60], [60, 60], [48, 64], [56, 56], [48, 48], [63, 63]]),
        (77, [[72, 80], [64, 80], [64, 80], [64, 80], [64, 64], [76, 76]]),
        (124, [[120, 120], [112, 128], [112, 128], [112, 112], [96, 96], [124, 124]]),
        (171, [[160, 176], [160, 176], [160, 176], [160, 160], [128, 192], [168, 172]]),
        (215, [[208, 208], [208, 208], [208, 208], [192, 224], [192, 192], [212, 216]]),
        (255, [[240, 240], [240, 240], [240, 240], [224, 224], [192, 192], [252, 252]]),
    ];
    for (code, expected) in examples {
        assert_eq!(ALL.map(|windows| windows.map(|window| window.value(code))), expected, "{code}");
    }
}

#[test]
fn three_and_two_bits_are_windowed_beside_a_zero_and_four_are_not() {
    for [narrow, wide] in [["6opt", "6bit-3opt"], ["7opt", "5opt"]] {
        for rounding in [Rounding::Trim, Rounding::Round] {
            let [_, beside_zero] = named(narrow, rounding).tables();
            assert_eq!(beside_zero, named(wide, rounding).tables()[0]);
        }
    }
    for window in windows().filter(|window| window.bits >= 4) {
        assert!((0..=255).all(|a| window.pair([a, 0]) == [a, 0] && window.pair([0, a]) == [0, a]));
    }
}

/// Pairs along the reduction, an odd end beside an imaginary zero.
fn effective(window: &Window, codes: &[u8]) -> Vec<u8> {
    let pairs = codes.chunks(2).map(|pair| [pair[0], pair.get(1).copied().unwrap_or(0)]);
    pairs.flat_map(|pair| window.pair(pair)).take(codes.len()).collect()
}

fn dot(codes: &[u8], weights: &[i32]) -> i32 {
    codes.iter().zip(weights).map(|(&a, b)| i32::from(a) * b).sum()
}

#[test]
fn a_dot_product_is_that_of_the_worked_example() {
    let codes = [27, 0, 0, 215, 100, 33, 0, 0, 247];
    let weights = [-5, 7, 3, -128, 12, -9, 77, 1, 127];
    assert_eq!(dot(&codes, &weights), 4617);
    let expected = [
        ("5opt", [4578, 4578], [4590, 4580]),
        ("3opt", [4578, 4578], [4600, 4580]),
        ("2opt", [4578, 4578], [4640, 4560]),
        ("6opt", [4581, 4577], [4616, 500]),
        ("7opt", [4590, 4580], [552, 552]),
    ];
    for (name, paired, alone) in expected {
        let windows = [Rounding::Trim, Rounding::Round].map(|rounding| named(name, rounding));
        assert_eq!(windows.map(|window| dot(&effective(&window, &codes), &weights)), paired, "{name}");
        assert_eq!(windows.map(|window| dot(&codes.map(|a| window.value(a)), &weights)), alone, "{name}");
    }
    let trimmed = |name| effective(&named(name, Rounding::Trim), &codes);
    assert_eq!(trimmed("5opt"), [27, 0, 0, 215, 96, 32, 0, 0, 247]);
    assert_eq!(trimmed("6opt"), [27, 0, 0, 212, 96, 32, 0, 0, 244]);
    assert_eq!(trimmed("7opt"), [26, 0, 0, 208, 96, 32, 0, 0, 240]);
}

#[test]
fn pairs_that_structured_weights_select_are_those_of_the_worked_example() {
    let (codes, weights) = ([27, 141, 0, 63, 200, 5, 77, 31], [0, 11, -4, 0, 9, 0, 0, -20]);
    // Of each four codes, those that face weights other than zero.
    let (selected, facing) = ([141, 0, 200, 31], [11, -4, 9, -20]);
    assert_eq!(dot(&codes, &weights), 2731);
    let expected = [
        ("5opt", [2679, 2679], [2536, 2712]),
        ("3opt", [2719, 2639], [2576, 2672]),
        ("2opt", [2959, 2639], [2816, 2672]),
        ("6opt", [2708, 2708], [2576, 2576]),
        ("7opt", [2656, 2832], [2656, 2656]),
    ];
    for (name, structured, dense) in expected {
        let windows = [Rounding::Trim, Rounding::Round].map(|rounding| named(name, rounding));
        assert_eq!(windows.map(|w| dot(&effective(&w, &selected), &facing)), structured, "{name}");
        assert_eq!(windows.map(|w| dot(&effective(&w, &codes), &weights)), dense, "{name}");
    }
}

#[test]
fn tables_and_an_ordinary_product_equal_the_formula_of_pairs() {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    for (length, window) in (0..40).flat_map(|length| windows().map(move |window| (length, window))) {
        let codes: Vec<u8> = (0..length).map(|_| if next() % 2 == 0 { 0 } else { next() as u8 }).collect();
        let weights: Vec<i32> = (0..length).map(|_| i32::from(next() as i8)).collect();
        let [values, wide] = window.tables();
        let mut formula = 0;
        for (a, b) in codes.chunks(2).zip(weights.chunks(2)) {
            let second = a.get(1).copied().unwrap_or(0);
            let contribution = |table: &[u8; 256], i: usize| i32::from(table[usize::from(a[i])]) * b[i];
            formula += match (a[0], second) {
                (0, 0) => 0,
                (0, _) => contribution(&wide, 1),
                (_, 0) => contribution(&wide, 0),
                _ => contribution(&values, 0) + contribution(&values, 1),
            };
        }
        assert_eq!(dot(&effective(&window, &codes), &weights), formula, "{window:?}");
    }
}

#[test]
fn mean_squared_errors_of_codes_that_are_not_zero_are_the_papers_m() {
    for (name, m) in [("5opt", 16.3137), ("3opt", 20.0157), ("2opt", 23.7490)] {
        let window = named(name, Rounding::Round);
        // Beside a partner that is not zero: the factor of (1 - p)².
        let error = |a: u8| f64::from(i32::from(window.pair([a, 255])[0]) - i32::from(a));
        let mean = (1..=255).map(|a| error(a).powi(2)).sum::<f64>() / 255.0;
        assert!((mean - m).abs() < 5e-5, "{name}: {mean}");
    }
}

#[test]
fn the_window_sits_where_the_highest_bit_is_and_stays_there_when_it_rounds() {
    let window = named("5opt", Rounding::Round);
    assert_eq!([15, 16, 31, 32, 124, 255].map(|a| window.shift(a)), [0, 1, 1, 2, 3, 4]);
    assert_eq!([window.value(124), window.value(255)], [120, 240]);
    assert_eq!(named("2opt", Rounding::Round).shift(16), 4);
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    let named = Named { window: "4opt".to_owned(), rounding: Rounding::Trim };
    let refusal = Window::try_from(named).unwrap_err();
    assert_eq!(refusal, "window `4opt` is not one of 5opt, 3opt, 2opt, 6opt, 7opt, 6bit-3opt");
}
