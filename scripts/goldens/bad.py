"""Files that a reader must refuse with a typed error (and two that it must accept), for tests/golden/bad.

`expect.tsv` beside the files says, for each, what the refusal is about. None of them may panic, allocate
what the file merely claims, or open a path outside its own folder.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .case import model


def relu_net():
    """A valid network to damage: y = relu(x) @ w."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="act"),
        helper.make_node("MatMul", ["r", "w"], ["y"], name="fc"),
    ]
    w = np.arange(12, dtype=np.float32).reshape(3, 4)
    return model(
        nodes, [("x", TensorProto.FLOAT, ["N", 3])], [("y", TensorProto.FLOAT, ["N", 4])], {"w": w}, 17
    )


def edited(change):
    """The bytes of the valid network after `change(model)`."""
    net = relu_net()
    change(net)
    return net.SerializeToString(deterministic=True)


def replace_weight(net, **fields):
    """Replaces the weight's TensorProto by one with exactly these fields."""
    net.graph.initializer[0].CopyFrom(TensorProto(name="w", **fields))


def external(net, location, offset=0, length=48):
    """Moves the weight to a file beside the model, without writing that file."""
    weight = net.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        weight.external_data.add(key=key, value=value)


def node(net, kind, inputs, outputs, **attributes):
    net.graph.node.append(helper.make_node(kind, inputs, outputs, **attributes))


def damaged():
    """Name, bytes, what the refusal is about."""
    whole = relu_net().SerializeToString(deterministic=True)
    yield "empty", b"", "not an ONNX model"
    yield "truncated", whole[: len(whole) // 2], "protobuf ends early"
    yield "random-bytes", np.random.default_rng(7).bytes(512), "not protobuf"
    yield "text", b"This is not a model.\n" * 8, "not protobuf"
    yield "length-beyond-file", b"\x3a\xff\xff\xff\xff\x0f" + whole, "a field claims 4 GiB"
    nested = b""
    for _ in range(2000):  # graph -> node -> attribute -> graph -> ...
        for tag in (0x32, 0x2A, 0x0A):
            nested = bytes([tag]) + varint(len(nested)) + nested
    yield "deeply-nested", b"\x08\x08\x3a" + varint(len(nested)) + nested, "protobuf nested 6,000 deep"

    def claim(dims, **fields):
        return edited(lambda n: replace_weight(n, dims=dims, data_type=TensorProto.FLOAT, **fields))

    yield "no-graph", edited(lambda n: n.ClearField("graph")), "the model has no graph"
    yield "huge-dims", claim([2**20, 2**20], raw_data=b"\0" * 16), "claims 2^40 elements, holds 4"
    yield (
        "huge-dims-overflow",
        claim([2**33, 2**33], raw_data=b"\0" * 16),
        "the element count overflows 64 bits",
    )
    yield "negative-dims", claim([-3, 4], raw_data=b"\0" * 48), "a dimension is negative"
    yield "raw-data-length", claim([3, 4], raw_data=b"\0" * 47), "47 bytes for 12 float32"
    yield "no-data", claim([3, 4]), "the tensor has no values"
    yield "float-data-count", claim([3, 4], float_data=[1.0] * 11), "11 values for 12 elements"
    int4_dims = {"dims": [3, 3], "data_type": TensorProto.INT4}
    yield (
        "int4-length",
        edited(lambda n: replace_weight(n, raw_data=b"\0" * 4, **int4_dims)),
        "9 int4 need 5 bytes, found 4",
    )
    yield (
        "unknown-dtype",
        edited(lambda n: replace_weight(n, dims=[1], data_type=99, raw_data=b"\0")),
        "data type 99",
    )
    yield (
        "string-tensor",
        edited(lambda n: replace_weight(n, dims=[1], data_type=8, string_data=[b"a"])),
        "string tensor",
    )

    def cyclic(n):
        n.graph.node[0].input[0] = "y"

    def missing_input(n):
        n.graph.node[1].input[1] = "nowhere"

    def duplicate_outputs(n):
        n.graph.node[1].output[0] = "r"
        n.graph.output[0].name = "r"

    def unknown_ops(n):
        n.graph.node[0].op_type = "Frobnicate"
        node(n, "NonMaxSuppressionXL", ["y"], ["z1"], name="boxes")
        node(n, "Frobnicate", ["y"], ["z2"], name="again")

    def unknown_domain(n):
        n.graph.node[0].domain = "com.example.custom"
        n.opset_import.append(helper.make_opsetid("com.example.custom", 1))

    def wrong_dtype(n):
        n.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((3, 4), np.int32), "w"))

    def wrong_attribute(n):
        node(n, "Softmax", ["y"], ["z"], name="soft", axis="one")

    def unknown_attribute(n):
        node(n, "Softmax", ["y"], ["z"], name="soft", axes=1)

    def wrong_shape(n):
        n.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((5, 4), np.float32), "w"))

    def duplicate_initializer(n):
        n.graph.initializer.append(n.graph.initializer[0])

    def sparse_constant(n):
        sparse = helper.make_sparse_tensor(
            helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor("i", TensorProto.INT64, [1], [2]),
            [4],
        )
        node(n, "Constant", [], ["z"], name="sparse", sparse_value=sparse)

    yield "cyclic", edited(cyclic), "act and fc need each other"
    yield "missing-input", edited(missing_input), "fc reads `nowhere`"
    yield (
        "missing-output",
        edited(lambda n: setattr(n.graph.output[0], "name", "nowhere")),
        "no node makes output `nowhere`",
    )
    yield "duplicate-outputs", edited(duplicate_outputs), "two nodes make `r`"
    yield "duplicate-initializer", edited(duplicate_initializer), "two initializers are named `w`"
    yield "unknown-ops", edited(unknown_ops), "Frobnicate (twice) and NonMaxSuppressionXL, all named at once"
    yield "unknown-domain", edited(unknown_domain), "domain com.example.custom"
    yield "wrong-dtype", edited(wrong_dtype), "fc multiplies float32 by int32"
    yield "wrong-shape", edited(wrong_shape), "fc multiplies [N,3] by [5,4]"
    yield "wrong-attribute-type", edited(wrong_attribute), "Softmax axis is a string"
    yield "unknown-attribute", edited(unknown_attribute), "Softmax has no attribute axes"
    yield (
        "string-constant",
        edited(lambda n: node(n, "Constant", [], ["z"], name="text", value_string="a")),
        "string constant: valid ONNX, but no number",
    )
    yield "sparse-constant", edited(sparse_constant), "sparse constant: valid ONNX, but not supported"
    yield "opset-too-new", edited(lambda n: setattr(n.opset_import[0], "version", 999)), "opset 999"
    yield "opset-too-old", edited(lambda n: setattr(n.opset_import[0], "version", 1)), "opset 1"
    yield "no-opset", edited(lambda n: n.ClearField("opset_import")), "no operator set is imported"
    yield "ir-too-new", edited(lambda n: setattr(n, "ir_version", 999)), "IR version 999"

    yield (
        "external-escapes",
        edited(lambda n: external(n, "../../etc/passwd")),
        "the path leaves the model's folder",
    )
    yield "external-absolute", edited(lambda n: external(n, "/etc/passwd")), "the path is absolute"
    yield "external-missing", edited(lambda n: external(n, "nowhere.bin")), "the file is not there"
    yield (
        "external-short",
        edited(lambda n: external(n, "valid-external.bin", offset=16)),
        "the file ends before the tensor",
    )
    yield (
        "external-length",
        edited(lambda n: external(n, "valid-external.bin", length=40)),
        "40 bytes for 12 float32",
    )


def varint(value):
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def write(folder):
    """Writes the damaged files, their list, and the two valid ones."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, content, about in damaged():
        (folder / f"{name}.onnx").write_bytes(content)
        lines.append(f"{name}.onnx\t{about}\n")
    net = relu_net()
    weights = net.graph.initializer[0].raw_data
    (folder / "valid.onnx").write_bytes(net.SerializeToString(deterministic=True))
    (folder / "valid-external.bin").write_bytes(weights)
    (folder / "valid-external.onnx").write_bytes(edited(lambda n: external(n, "valid-external.bin")))
    lines += ["valid.onnx\tvalid\n", "valid-external.onnx\tvalid\n"]
    (folder / "expect.tsv").write_text("".join(lines))
    print(
        f"{folder.name}: {len(lines)} files, {sum(p.stat().st_size for p in folder.iterdir()) / 1e3:.0f} kB"
    )
