//! What a target's file must not say: names that nobody knows, numbers that cannot be, keys that contradict each other.

use super::{Cost, Descriptor, Rescale, Target};
use crate::lower::Flavour;
use crate::strict::{self, ConfigError};
use lowbit_graph::Op;

/// Refuses what cannot be used.
pub(super) fn check(target: &Target) -> Result<(), ConfigError> {
    let listed = target.integer_ops.iter().chain(&target.pass_through);
    listed.map(String::as_str).try_for_each(known)?;
    Flavour::named(&target.flavour)?;
    latency(target)?;
    if let Some(both) = target.integer_ops.intersection(&target.pass_through).next() {
        let message = format!("{both} is among the integer_ops too: it computes, or it only rearranges");
        return Err(invalid(target, "pass_through", message));
    }
    for fusion in &target.fusions {
        fusion.split('+').try_for_each(known)?;
    }
    let residual = |fusion: &String| fusion.split('+').skip(1).any(|op| op == "Add");
    if target.fused_residual && !target.fusions.is_empty() && !target.fusions.iter().any(residual) {
        let message = "is true, and no entry of fusions adds behind a layer, as \"Conv+Add\" does".into();
        return Err(invalid(target, "fused_residual", message));
    }
    for (i, d) in target.ops.iter().enumerate() {
        descriptor(target, i, d)?;
    }
    // A file without descriptors says nothing of types; one with them says it of every operator that computes on codes.
    let described = |op: &String| target.descriptors(op).any(|d| d.is_integer() && d.input(0).bits() <= 8);
    if !target.ops.is_empty()
        && let Some(op) = target.integer_ops.iter().find(|op| !described(op))
    {
        let message = format!("{op} runs on codes, and no [[op]] says in what types of 8 bits or fewer");
        return Err(invalid(target, "integer_ops", message));
    }
    target.cost.as_ref().map_or(Ok(()), |cost| costs(target, cost))
}

fn invalid(target: &Target, place: &str, message: String) -> ConfigError {
    ConfigError::Invalid { place: format!("{}: {place}", target.name), message }
}

fn known(op: &str) -> Result<(), ConfigError> {
    let names = || Op::ALL.iter().map(|(_, name)| *name);
    if names().any(|name| name == op) { Ok(()) } else { Err(strict::unknown("operator", op, names())) }
}

fn latency(target: &Target) -> Result<(), ConfigError> {
    let possible = |ns: f64| ns.is_finite() && ns >= 0.0;
    if let Some(odd) = target.latency.iter().find(|l| !possible(l.ns_per_mac)) {
        let message = format!("ns_per_mac is {}; accepted: finite numbers from 0", odd.ns_per_mac);
        return Err(invalid(target, &format!("latency of {} bits", odd.bits), message));
    }
    let mut bits: Vec<u8> = target.latency.iter().map(|l| l.bits).collect();
    bits.sort_unstable();
    match bits.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(invalid(target, &format!("latency of {} bits", pair[0]), "is given twice".into())),
        None => Ok(()),
    }
}

fn descriptor(target: &Target, i: usize, d: &Descriptor) -> Result<(), ConfigError> {
    known(&d.op)?;
    let no = |message: String| Err(invalid(target, &format!("op {} ({})", i + 1, d.op), message));
    if d.inputs.is_empty() {
        return no("`in` has no type".into());
    }
    if !d.is_integer() && !d.is_float() {
        return no("it mixes integers and floats; conversions are operations of their own".into());
    }
    if d.is_float() && (d.accumulator.is_some() || !d.requantized.is_empty()) {
        return no("it computes in float, where nothing accumulates in integers".into());
    }
    if let Some(odd) = d.requantized.iter().find(|t| !t.is_integer()) {
        return no(format!("requantized has {odd}; accepted: integers"));
    }
    if !d.requantized.is_empty() && target.requantize.is_none() {
        return no("its results are requantized, and there is no [requantize] that says how".into());
    }
    if let Some(bits) = d.weight_bits
        && !(1..=d.input(1).bits()).contains(&bits)
    {
        return no(format!("weight_bits is {bits}, and the weight has type {}", d.input(1)));
    }
    let Some(a) = d.accumulator else {
        return match d.max_reduction {
            Some(_) => no("max_reduction limits sums, and there is no accumulator".into()),
            None => Ok(()),
        };
    };
    if !a.element.is_integer() || a.pairs.is_some_and(|p| !p.is_integer()) {
        return no("its accumulator is no integer".into());
    }
    if d.out.bits() > a.element.bits() {
        return no(format!(
            "its results are {}, wider than the {} that they are summed in",
            d.out, a.element
        ));
    }
    if a.pairs.is_some_and(|p| p.bits() > a.element.bits()) {
        return no("pairs of products meet in a wider type than their sum".into());
    }
    match (d.max_reduction, d.bearable_reduction()) {
        (_, Some(0)) if a.overflow == super::Overflow::Saturate => {
            no(format!("one product of {} and {} leaves {} already", d.input(0), d.input(1), a.element))
        }
        // An accumulator that wraps at a single sum is for the search to keep clear of.
        (Some(said), Some(most)) if said > most => {
            no(format!("max_reduction is {said}; sums of more than {most} products can leave {}", a.element))
        }
        _ => Ok(()),
    }
}

fn costs(target: &Target, cost: &Cost) -> Result<(), ConfigError> {
    let formula = [
        ("float_ns_per_mac", cost.float_ns_per_mac),
        ("ns_per_element", cost.ns_per_element),
        ("ns_per_conversion", cost.ns_per_conversion),
    ];
    for (key, value) in formula {
        if let Some(ns) = value.filter(|ns| !(ns.is_finite() && *ns >= 0.0)) {
            return Err(invalid(
                target,
                &format!("cost.{key}"),
                format!("{ns}; accepted: finite numbers from 0"),
            ));
        }
    }
    let given = formula.iter().filter(|(_, value)| value.is_some()).count();
    if let (1.., Some((key, _))) = (given, formula.iter().find(|(_, value)| value.is_none())) {
        let message =
            "is missing; a formula has float_ns_per_mac, ns_per_element and ns_per_conversion".into();
        return Err(invalid(target, &format!("cost.{key}"), message));
    }
    if given > 0 && !target.integer_ops.is_empty() && target.ns_per_mac(8).is_none() {
        let message = "has no entry for weights of 8 bits, which the formula of [cost] needs".into();
        return Err(invalid(target, "latency", message));
    }
    if given == 0 && cost.measured.is_empty() {
        return Err(invalid(target, "cost", "has neither a formula nor a measurement".into()));
    }
    for (i, m) in cost.measured.iter().enumerate() {
        let place = format!("cost.measured {} ({} {} {})", i + 1, m.op, m.shape, m.form);
        if !matches!(m.op.as_str(), "Quantize" | "Dequantize") {
            m.op.split('+').try_for_each(known)?;
        }
        if !(m.ns.is_finite() && m.ns >= 0.0) {
            return Err(invalid(target, &place, format!("ns is {}; accepted: finite numbers from 0", m.ns)));
        }
        let same =
            |other: &&super::Measured| (&other.op, &other.shape, other.form) == (&m.op, &m.shape, m.form);
        if cost.measured[..i].iter().any(|other| same(&other)) {
            return Err(invalid(target, &place, "is given twice".into()));
        }
    }
    Ok(())
}

/// What a file allows and a careful author may not have meant: not wrong, worth saying.
pub fn remarks(target: &Target) -> Vec<String> {
    let mut remarks = Vec::new();
    for d in &target.ops {
        if let (Some(a), Some(most)) = (d.accumulator, d.bearable_reduction()) {
            let reached = d.max_reduction.unwrap_or(u64::MAX).min(most);
            if most < 4096 {
                remarks.push(format!(
                    "{} of {} and {}: sums of more than {reached} products of full codes leave {}",
                    d.op,
                    d.input(0),
                    d.input(1),
                    a.element
                ));
            }
        }
    }
    if target.requantize.is_some_and(|r| r.kind == Rescale::Shift) {
        remarks.push("scales are powers of two: requantization only shifts".into());
    }
    if target.cost.is_none() && !target.integer_ops.is_empty() {
        remarks.push("no costs: a search for it can limit size and accuracy, not time".into());
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_and_gaps_are_refused_with_the_place() {
        let op = |rest: &str| format!("[[op]]\nop = \"Conv\"\n{rest}\n");
        let latency = "[[latency]]\nbits = 8\nns_per_mac = 1.0\n";
        let formula = "[cost]\nfloat_ns_per_mac = 1.0\nns_per_element = 1.0\n";
        let measured = "[[cost.measured]]\nop = \"Conv\"\nshape = \"s\"\nform = \"float\"\nns = 1.0\n";
        for (text, words) in [
            ("pass_through = [\"Conv\"]".to_owned(), "mine: pass_through: Conv is among the integer_ops"),
            ("flavour = \"packd\"".to_owned(), "did you mean `packed`"),
            ("fusions = [\"Conv+Reluu\"]".to_owned(), "did you mean `Relu`"),
            ("fused_residual = true\nfusions = [\"Conv+Relu\"]".to_owned(), "mine: fused_residual"),
            (op("in = []\nout = \"i32\""), "`in` has no type"),
            (op("in = [\"u8\", \"f32\"]\nout = \"i32\""), "mixes integers and floats"),
            (op("in = [\"u9\"]\nout = \"i32\""), "u9"),
            (op("in = [\"f32\"]\nout = \"f32\""), "Conv runs on codes, and no [[op]]"),
            (op("in = [\"u8\", \"i8\"]\nout = \"i32\"\nmax_reduction = 9"), "there is no accumulator"),
            (
                op(
                    "in = [\"u8\", \"i8\"]\nout = \"i32\"\naccumulator = { type = \"i16\", overflow = \"wrap\" }",
                ),
                "wider than the i16",
            ),
            (
                op(
                    "in = [\"u8\", \"i8\"]\nout = \"i32\"\nmax_reduction = 70000\naccumulator = { type = \"i32\", overflow = \"wrap\" }",
                ),
                "more than 65793 products can leave i32",
            ),
            (op("in = [\"u8\", \"i4\"]\nout = \"i32\"\nweight_bits = 8"), "weight_bits is 8"),
            (op("in = [\"u8\", \"i8\"]\nout = \"i32\"\nzeropoint = true"), "zeropoint"),
            (format!("{latency}{latency}"), "latency of 8 bits: is given twice"),
            (formula.to_owned(), "cost.ns_per_conversion: is missing"),
            (
                format!("{formula}ns_per_conversion = 1.0\n"),
                "mine: latency: has no entry for weights of 8 bits",
            ),
            ("[cost]\nsource = \"nowhere\"\n".to_owned(), "neither a formula nor a measurement"),
            (format!("{measured}{measured}"), "cost.measured 2 (Conv s float): is given twice"),
            (measured.replace("1.0", "-1.0"), "ns is -1"),
            (measured.replace("float", "w8"), "accepted: float, a8, w4a8"),
        ] {
            let error = Target::parse("mine", &format!("extends = \"generic-int8\"\n{text}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{text}\n→ {error}");
        }
    }

    #[test]
    fn narrow_sums_are_remarked_on() {
        let remarks = remarks(&Target::named("int8-acc16").unwrap()).join("\n");
        assert!(remarks.contains("leave i16"), "{remarks}");
    }
}
