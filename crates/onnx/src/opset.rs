//! Versions and domains: which are accepted, and what domains are called here.

use crate::error::ReadProblem;
use crate::proto::ModelProto;

/// Oldest and newest file version accepted. The newest is one ahead of the newest opset's, since exporters write the
/// version of their library around an older opset.
pub(crate) const IR_VERSIONS: [i64; 2] = [3, 14];

/// Oldest and newest version of the default operator set accepted.
pub(crate) const OPSETS: [i64; 2] = [7, 25];

/// Domain of the QONNX operators.
pub(crate) const QONNX: &str = "qonnx.custom_op.general";

/// Domain of ONNX Runtime's additions.
pub(crate) const MICROSOFT: &str = "com.microsoft";

/// The name used here for a domain: empty for the default one, the newest for one that was renamed.
pub(crate) fn domain(name: &str) -> &str {
    match name {
        "ai.onnx" => "",
        "onnx.brevitas" | "finn.custom_op.general" => QONNX,
        other => other,
    }
}

/// The imported version of a domain, if any.
pub(crate) fn imported(model: &ModelProto, wanted: &str) -> Option<i64> {
    let import =
        model.opset_import.iter().find(|i| domain(i.domain.as_deref().unwrap_or("")) == domain(wanted))?;
    Some(import.version.unwrap_or(0))
}

/// The version of the default operator set, after checking it and the file version.
pub(crate) fn check(model: &ModelProto) -> Result<u64, ReadProblem> {
    let ir = model.ir_version.unwrap_or(0);
    if !(IR_VERSIONS[0]..=IR_VERSIONS[1]).contains(&ir) {
        return Err(ReadProblem::IrVersion { found: ir, accepted: IR_VERSIONS });
    }
    let opset = imported(model, "").ok_or(ReadProblem::NoOpset)?;
    if !(OPSETS[0]..=OPSETS[1]).contains(&opset) {
        return Err(ReadProblem::Opset { found: opset, accepted: OPSETS });
    }
    Ok(opset as u64)
}

/// The oldest file version, but at least 8, that may import `opset`.
pub(crate) fn ir_version(opset: u64) -> i64 {
    match opset {
        ..=18 => 8,
        19 | 20 => 9,
        21 | 22 => 10,
        23 => 11,
        24 => 12,
        _ => 13,
    }
}
