//! `extends`: a file says only what differs from another.
//!
//! Tables are merged key by key; other values replace. Of `[[op]]`, the entries of an operator that the file has replace
//! all those that it had; of other lists, the file's own replaces the whole.

use crate::strict::{ConfigError, from_toml, nearest};
use toml::{Table, Value};

/// Longest chain of files: beyond it, they go in a circle.
const DEPTH: usize = 16;

/// The table of a file with all that it extends.
pub(super) fn resolve(
    name: &str,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Table, ConfigError> {
    let mut chain: Vec<(String, Table)> = vec![(name.to_owned(), from_toml(name, text)?)];
    while let Some(base) = chain.last_mut().and_then(|(_, table)| table.remove("extends")) {
        let place = format!("{}: extends", chain.last().map_or(name, |(n, _)| n));
        let invalid = |message: String| ConfigError::Invalid { place: place.clone(), message };
        let Value::String(base) = base else {
            return Err(invalid("it is the name of one target, such as \"generic-int8\"".into()));
        };
        let names: Vec<&str> = chain.iter().map(|(n, _)| n.as_str()).collect();
        if names.contains(&base.as_str()) || chain.len() == DEPTH {
            return Err(invalid(format!("{} → {base} goes in a circle", names.join(" → "))));
        }
        let text = super::Target::built_in_text(&base).map(str::to_owned).or_else(|| lookup(&base));
        let text = text.ok_or_else(|| {
            let known: Vec<&str> = super::BUILT_IN.iter().map(|(n, _)| *n).collect();
            let near = nearest(&base, known.iter().copied());
            let near = near.map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            invalid(format!("there is no target `{base}`{near} (known: {})", known.join(", ")))
        })?;
        let table = from_toml(&base, &text)?;
        chain.push((base, table));
    }
    let mut merged = Table::new();
    for (_, table) in chain.into_iter().rev() {
        merge(&mut merged, table);
    }
    Ok(merged)
}

fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (Some(Value::Array(base)), Value::Array(over)) if key == "op" => {
                let names: Vec<Option<Value>> = over.iter().map(|d| d.get("op").cloned()).collect();
                base.retain(|d| !names.contains(&d.get("op").cloned()));
                base.extend(over);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Target;

    #[test]
    fn a_file_says_only_what_differs() {
        let text = "extends = \"generic-int8\"\nsummary = \"mine\"\nfused_residual = true\n\
            fusions = [\"Conv+Add+Relu\"]\n[requantize]\nrounding = \"up\"\n\
            [[op]]\nop = \"Conv\"\nin = [\"u8\", \"i4\"]\nout = \"i32\"\n";
        let (mine, base) = (Target::parse("mine", text).unwrap(), Target::named("generic-int8").unwrap());
        assert_eq!((mine.summary.as_str(), mine.fused_residual), ("mine", true));
        assert_eq!(mine.integer_ops, base.integer_ops);
        assert_eq!(mine.requantize.unwrap().kind, base.requantize.unwrap().kind);
        assert_ne!(mine.requantize.unwrap().rounding, base.requantize.unwrap().rounding);
        assert_eq!(mine.descriptors("Conv").count(), 1);
        assert_eq!(mine.descriptors("Gemm").count(), base.descriptors("Gemm").count());
    }

    #[test]
    fn unknown_bases_and_circles_are_refused_with_the_place() {
        let error = Target::parse("mine", "extends = \"generic-int88\"").unwrap_err().to_string();
        assert!(
            error.starts_with("mine: extends") && error.contains("did you mean `generic-int8`"),
            "{error}"
        );
        let lookup = |name: &str| match name {
            "a" => Some("extends = \"b\"".to_owned()),
            "b" => Some("extends = \"a\"".to_owned()),
            _ => None,
        };
        let error = Target::parse_with("a", "extends = \"b\"", &lookup).unwrap_err().to_string();
        assert!(error.contains("b: extends") && error.contains("a → b → a goes in a circle"), "{error}");
    }
}
