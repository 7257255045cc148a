//! Sizes as people write them.

/// Bytes of `512MiB`, `2G`, `500MB` or `1000000`. `K`, `KiB`, … count in 1024s, `kB`, `MB`, … in 1000s, as in other tools;
/// upper and lower case are alike.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let unit: u64 = match unit.trim_start() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err("not a size; examples: 512MiB, 2G, 1000000".to_owned()),
    };
    let number: u64 = match number.parse() {
        Ok(number) => number,
        Err(_) if number.is_empty() => return Err("a size begins with a whole number, as in 2G".to_owned()),
        Err(_) => return Err("too large".to_owned()),
    };
    number.checked_mul(unit).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1000000", 1_000_000),
            ("512MiB", 512 << 20),
            ("2G", 2 << 30),
            ("2 gib", 2 << 30),
            ("500MB", 500_000_000),
            ("1k", 1024),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "1.5G", "-1", "2GX", "99999999T", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
