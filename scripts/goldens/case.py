"""One golden case: a tiny ONNX model, its input values and the outputs another implementation gave.

A case is one `.onnx` file. The test values are stored in it as initializers that no node reads,
`test.input.NAME` and `test.output.NAME` (legal ONNX, ignored by every runtime), so that a test needs
nothing but an ONNX reader. `metadata_props` say which implementation answered (`test.oracle`), how far
an answer may be from it (`test.tolerance`: 0 means equal, otherwise |a - b| <= tol * (1 + |b|)) and,
where two oracles disagree, why this one was kept (`test.note`).

ONNX Runtime answers, with all graph optimisations off; onnx.reference is run beside it and must agree,
unless it cannot run the case or the case says why it is wrong (or the other way round). Values are
multiples of 1/8 wherever the operator allows it: sums and products are then exact in float32, so the
answers depend neither on the machine nor on the order of summation.
"""

import warnings
import zlib
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime as ort
from ml_dtypes import bfloat16, int4, uint4
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

# Types that ONNX Runtime computes with but cannot hand to numpy, and a wider type to read them through.
CARRIERS = {np.dtype(int4): np.int8, np.dtype(uint4): np.uint8, np.dtype(bfloat16): np.float32}
ORT = f"onnxruntime {ort.__version__}"
REFERENCE = f"onnx.reference {onnx.__version__}"


@dataclass
class Const:
    """An input whose value belongs to the model: stored as a real initializer."""

    value: np.ndarray


@dataclass
class Case:
    """A model with its test inputs; `expect` fills the outputs."""

    name: str
    model: onnx.ModelProto
    inputs: dict
    tolerance: float = 0.0
    oracle: str = ORT  # ORT or REFERENCE: whose answer is stored
    note: str = ""  # why the oracles differ; empty claims that they agree, or that one cannot run the case
    outputs: dict = field(default_factory=dict)


def grid(*shape, key=0, dtype=np.float32):
    """Multiples of 1/8 in [-2, 2] of the given shape; `key` tells apart tensors of equal shape."""
    rng = np.random.default_rng(zlib.crc32(repr((shape, key)).encode()))
    return np.asarray(rng.integers(-16, 17, shape) / 8, dtype)


def ints(*shape, lo=-5, hi=6, key=0, dtype=np.int32):
    """Integers in [lo, hi) of the given shape and type."""
    rng = np.random.default_rng(zlib.crc32(repr((shape, key, lo, hi)).encode()))
    return np.asarray(rng.integers(lo, hi, shape)).astype(dtype)


def i64(*values):
    """A rank-1 int64 initializer, the form in which ONNX passes shapes, axes and pads."""
    return Const(np.array(values, np.int64))


def model(nodes, inputs, outputs, constants, opset, domains=()):
    """A ModelProto in the oldest file version that its operator set allows (but not older than IR 7)."""

    def infos(triples):
        return [helper.make_tensor_value_info(*triple) for triple in triples]

    graph = helper.make_graph(
        nodes,
        "case",
        infos(inputs),
        infos(outputs),
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(*d) for d in domains)]
    ir_version = max(7, helper.find_min_ir_version_for(imports, ignore_unknown=True))
    return helper.make_model(
        graph, opset_imports=imports, ir_version=ir_version, producer_name="op_goldens.py"
    )


def onnx_type(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def op(name, kind, *inputs, opset=17, out=None, tolerance=0.0, oracle=ORT, note="", **attributes):
    """A case of one node.

    `inputs` are arrays (graph inputs `in0`, `in1`, ...), `Const` (initializers) or None (omitted).
    `out` gives the type of each output, by default one output of the type of the first input.
    """
    names, constants, fed = [], {}, {}
    for i, value in enumerate(inputs):
        names.append("" if value is None else f"in{i}")
        if isinstance(value, Const):
            constants[f"in{i}"] = value.value
        elif value is not None:
            fed[f"in{i}"] = value
    if out is None:
        first = inputs[0]
        out = [(first.value if isinstance(first, Const) else first).dtype]
    node = helper.make_node(kind, names, [f"out{i}" for i in range(len(out))], name="node", **attributes)
    graph_inputs = [(k, onnx_type(v.dtype), list(v.shape)) for k, v in fed.items()]
    # Outputs get their shape from `expect`, once they are known.
    graph_outputs = [(f"out{i}", onnx_type(dtype), None) for i, dtype in enumerate(out)]
    built = model([node], graph_inputs, graph_outputs, constants, opset)
    return Case(name, built, fed, tolerance, oracle, note)


def run_ort(case):
    """Outputs by name from ONNX Runtime, graph optimisations off, one thread."""
    runnable = onnx.ModelProto()
    runnable.CopyFrom(case.model)
    carried = {}
    for output in runnable.graph.output:
        dtype = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
        if np.dtype(dtype) in CARRIERS:
            carried[output.name] = dtype
            carrier = onnx_type(CARRIERS[np.dtype(dtype)])
            runnable.graph.node.append(
                helper.make_node("Cast", [output.name], [output.name + ".c"], to=carrier)
            )
            output.name += ".c"
            output.type.tensor_type.elem_type = carrier
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(runnable.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in case.model.graph.output]
    values = session.run(None, case.inputs)
    return {n: v.astype(carried[n]) if n in carried else v for n, v in zip(names, values, strict=True)}


def run_reference(case):
    """Outputs by name from onnx.reference."""
    names = [o.name for o in case.model.graph.output]
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        values = ReferenceEvaluator(case.model).run(None, case.inputs)
    return {n: np.asarray(v) for n, v in zip(names, values, strict=True)}


def disagreement(a, b, tolerance):
    """What differs between two outputs, as text; empty if nothing does."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype}{list(a.shape)} against {b.dtype}{list(b.shape)}"
    if a.dtype == bool or a.dtype.kind in "iu":
        return "" if np.array_equal(a, b) else "integers differ"
    x, y = a.astype(np.float64), b.astype(np.float64)
    # The reference does not always compute in float32: allow it rounding, whatever the case demands of us.
    bad = ~np.isclose(x, y, rtol=max(tolerance, 1e-5), atol=max(tolerance, 1e-5), equal_nan=True)
    return (
        f"{bad.sum()} of {bad.size} values differ, e.g. {x[bad][0]} against {y[bad][0]}" if bad.any() else ""
    )


def expect(case):
    """Runs the oracles, stores the answer in the case; returns a complaint or an empty string."""
    answers, failures = {}, {}
    for oracle, run in ((ORT, run_ort), (REFERENCE, run_reference)):
        try:
            answers[oracle] = run(case)
        except Exception as error:  # any refusal of an oracle is a finding, not a crash
            failures[oracle] = str(error).replace("\n", " ")[:300]
    if case.oracle not in answers:
        return f"{case.name}: {case.oracle} failed: {failures[case.oracle]}"
    case.outputs = answers[case.oracle]
    for output in case.model.graph.output:
        value = case.outputs[output.name]
        declared = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
        if value.dtype != declared:
            return f"{case.name}: {output.name} declared {declared}, found {value.dtype}"
        if not output.type.tensor_type.HasField("shape"):
            info = helper.make_tensor_value_info(output.name, onnx_type(value.dtype), value.shape)
            output.CopyFrom(info)
    differs = ""
    if not failures:
        pairs = (
            (n, disagreement(answers[ORT][n], answers[REFERENCE][n], case.tolerance)) for n in case.outputs
        )
        differs = "; ".join(f"{n}: {why}" for n, why in pairs if why)
    if bool(differs) != bool(case.note):
        return f"{case.name}: the note is {case.note!r}, but what differs is {differs!r}"
    case.note = case.note or "".join(f"{oracle} cannot run this" for oracle in failures)
    return ""


def save(case, path):
    """Writes model, test values and notes as one file, the same bytes each time."""
    stored = onnx.ModelProto()
    stored.CopyFrom(case.model)
    for kind, values in (("input", case.inputs), ("output", case.outputs)):
        for name, value in values.items():
            stored.graph.initializer.append(numpy_helper.from_array(value, f"test.{kind}.{name}"))
    properties = {"test.oracle": case.oracle, "test.tolerance": f"{case.tolerance:g}", "test.note": case.note}
    helper.set_model_props(stored, {k: v for k, v in properties.items() if v})
    onnx.checker.check_model(stored)
    path.write_bytes(stored.SerializeToString(deterministic=True))
