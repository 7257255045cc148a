//! Numbers as people read them. Decimal prefixes (kB = 1000 bytes); a true minus sign; `–` for what is not known.

/// Stands for a value that is absent or not a number.
pub const NONE: &str = "–";

/// Three significant digits and a decimal prefix: `1.23 M`, `45.6 k`, `789`.
fn prefixed(value: f64, prefixes: [&str; 5]) -> String {
    let mut scaled = value;
    let mut step = 0;
    // 999.5 would print as a fourth digit, so it already belongs to the next prefix.
    while scaled >= 999.5 && step + 1 < prefixes.len() {
        scaled /= 1000.0;
        step += 1;
    }
    let digits = match (step, scaled) {
        (0, _) => 0,
        (_, s) if s < 9.995 => 2,
        (_, s) if s < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$} {}", prefixes[step]).trim_end().to_owned()
}

/// A size: `273 kB`, `1.10 MB`.
pub fn bytes(n: u64) -> String {
    prefixed(n as f64, ["B", "kB", "MB", "GB", "TB"])
}

/// A count: `40.6 M`, `64`.
pub fn count(n: u64) -> String {
    prefixed(n as f64, ["", "k", "M", "G", "T"])
}

/// `88.21 %`.
pub fn percent(value: impl Into<Option<f64>>) -> String {
    finite(value).map_or_else(|| NONE.to_owned(), |v| format!("{v:.2} %"))
}

/// A small share: `0.04 %`, `12 %`, and `< 0.01 %` rather than a zero that is none.
pub fn share(value: f64) -> String {
    match value {
        v if !v.is_finite() => NONE.to_owned(),
        0.0 => "0 %".to_owned(),
        v if v.abs() < 0.01 => "< 0.01 %".to_owned(),
        v if v.abs() < 10.0 => format!("{v:.2} %"),
        v => format!("{v:.1} %"),
    }
}

/// A change in percentage points, signed: `−2.31`, `+0.04`, `±0`.
pub fn points(value: f64) -> String {
    match value {
        v if !v.is_finite() => NONE.to_owned(),
        v if v.abs() < 0.005 => "±0".to_owned(),
        v => format!("{}{:.2}", if v < 0.0 { "−" } else { "+" }, v.abs()),
    }
}

/// `23.4 dB`.
pub fn decibel(value: impl Into<Option<f64>>) -> String {
    finite(value).map_or_else(|| NONE.to_owned(), |v| format!("{} dB", minus(format!("{v:.1}"))))
}

/// Average bits: `4`, `3.52`.
pub fn bits(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// How many times smaller: `7.2×`.
pub fn ratio(before: u64, after: u64) -> String {
    if before == 0 || after == 0 { NONE.to_owned() } else { format!("{:.1}×", before as f64 / after as f64) }
}

/// Wall time: `0.42 s`, `73 s`, `4 min 12 s`.
pub fn seconds(value: f64) -> String {
    match value {
        v if !v.is_finite() => NONE.to_owned(),
        v if v < 9.995 => format!("{v:.2} s"),
        v if v < 99.95 => format!("{v:.1} s"),
        v => format!("{} min {} s", v.round() as u64 / 60, v.round() as u64 % 60),
    }
}

/// A real value in three or four significant digits: `0.0312`, `−5.03`, `1.2e−7`.
pub fn real(value: f32) -> String {
    let text = match value.abs() {
        _ if !value.is_finite() => return NONE.to_owned(),
        0.0 => "0".to_owned(),
        v if !(1e-4..1e5).contains(&v) => format!("{value:.1e}"),
        v => {
            let digits = (2 - v.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{value:.digits$}")
        }
    };
    minus(text)
}

/// `32×32×16`; `1` for a scalar.
pub fn shape(dims: &[usize]) -> String {
    if dims.is_empty() {
        return "1".to_owned();
    }
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

/// `1 sample`, `512 samples`; thousands are grouped by a thin space.
pub fn plural(n: usize, noun: &str) -> String {
    let ending = match noun.ends_with('s') {
        _ if n == 1 => "",
        true => "es",
        false => "s",
    };
    format!("{} {noun}{ending}", grouped(n as u64))
}

/// `10 000`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn finite(value: impl Into<Option<f64>>) -> Option<f64> {
    value.into().filter(|v| v.is_finite())
}

/// A hyphen is shorter than the digits beside it; the minus sign is as wide.
fn minus(text: String) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_three_digits_and_change_prefix_where_a_fourth_would_appear() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (99_950, "100 kB"),
            (999_500, "1.00 MB"),
            (1_096_000, "1.10 MB"),
        ];
        for (n, text) in cases {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(count(40_551_040), "40.6 M");
        assert_eq!(count(64), "64");
        assert_eq!(bytes(u64::MAX), "18446744 TB");
    }

    #[test]
    fn unknown_values_are_a_dash_and_never_nan() {
        assert_eq!(percent(None), NONE);
        assert_eq!(percent(f64::NAN), NONE);
        assert_eq!(decibel(f64::INFINITY), NONE);
        assert_eq!(real(f32::NAN), NONE);
        assert_eq!(ratio(1, 0), NONE);
    }

    #[test]
    fn reals_keep_three_significant_digits() {
        for (value, text) in
            [(0.031_25, "0.0312"), (-5.034, "−5.03"), (123.4, "123"), (1.2e-7, "1.2e−7"), (0.0, "0")]
        {
            assert_eq!(real(value), text);
        }
    }

    #[test]
    fn changes_carry_their_sign() {
        assert_eq!(points(-2.314), "−2.31");
        assert_eq!(points(0.04), "+0.04");
        assert_eq!(points(0.001), "±0");
    }

    #[test]
    fn times_are_read_at_a_glance() {
        for (value, text) in
            [(0.42, "0.42 s"), (73.04, "73.0 s"), (99.96, "1 min 40 s"), (252.0, "4 min 12 s")]
        {
            assert_eq!(seconds(value), text);
        }
    }

    #[test]
    fn bits_drop_trailing_zeros() {
        assert_eq!(bits(4.0), "4");
        assert_eq!(bits(3.518), "3.52");
        assert_eq!(bits(10.0), "10");
    }
}
