"""Cases of the operators that move, cut, join or describe tensors without computing with their values."""

import numpy as np
from ml_dtypes import int4, uint4
from onnx import TensorProto, helper, numpy_helper

from .case import REFERENCE, Case, Const, grid, i64, ints, model, onnx_type, op

I64_MIN, I64_MAX = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def concat():
    a, b, c = grid(2, 3, 4), grid(2, 1, 4), grid(2, 2, 4)
    yield op("concat-axis-1", "Concat", a, b, c, axis=1)
    yield op("concat-axis-negative", "Concat", grid(2, 3), grid(2, 5), axis=-1, opset=11)
    yield op("concat-axis-0", "Concat", grid(1, 3), grid(2, 3), axis=0, opset=7)
    yield op("concat-single", "Concat", a, axis=1)
    yield op("concat-constant", "Concat", grid(2, 3), Const(grid(2, 2)), axis=1)
    yield op("concat-int64", "Concat", ints(2, dtype=np.int64), i64(-1), axis=0)
    yield op("concat-empty-part", "Concat", grid(2, 3), grid(2, 0), axis=1)


def split():
    x, two, three = grid(2, 6), [np.float32] * 2, [np.float32] * 3
    yield op("split-equal", "Split", x, axis=1, out=two, opset=7)
    yield op("split-attribute", "Split", x, axis=1, split=[1, 2, 3], out=three, opset=9)
    yield op("split-axis-negative", "Split", x, axis=-1, split=[4, 2], out=two, opset=11)
    yield op("split-input", "Split", x, i64(1, 5), axis=1, out=two, opset=13)
    yield op("split-input-equal", "Split", x, axis=0, out=two, opset=13)
    yield op("split-num-outputs", "Split", x, axis=1, num_outputs=3, out=three, opset=18)
    yield op("split-num-outputs-uneven", "Split", grid(2, 7), axis=1, num_outputs=3, out=three, opset=18)
    yield op("split-zero-length", "Split", x, i64(0, 6), axis=1, out=two, opset=18)


def slices():
    x = grid(4, 5, 6)
    yield op("slice-attributes", "Slice", x, starts=[1, 0], ends=[3, 4], opset=9)
    yield op("slice-attributes-axes", "Slice", x, starts=[1, -3], ends=[3, 2**31 - 1], axes=[0, 2], opset=7)
    yield op("slice-inputs", "Slice", x, i64(1, 0), i64(3, 4), opset=10)
    yield op("slice-axes", "Slice", x, i64(1), i64(I64_MAX), i64(2), opset=11)
    yield op("slice-axes-negative", "Slice", x, i64(1, 0), i64(-1, -2), i64(-1, 0))
    yield op("slice-steps", "Slice", x, i64(0, 1), i64(4, 6), i64(0, 2), i64(2, 3))
    yield op("slice-reverse", "Slice", x, i64(-1), i64(I64_MIN), i64(1), i64(-1))
    yield op("slice-steps-negative", "Slice", x, i64(4, 100), i64(0, -5), i64(1, 2), i64(-2, -2))
    yield op("slice-out-of-range", "Slice", x, i64(-100), i64(100), i64(0))
    yield op("slice-empty", "Slice", x, i64(3), i64(1), i64(0))
    yield op(
        "slice-int32-indices", "Slice", x, Const(np.int32([1])), Const(np.int32([3])), Const(np.int32([1]))
    )
    yield op("slice-int64", "Slice", ints(6, dtype=np.int64), i64(2), i64(4))


def pad():
    x = grid(1, 2, 3, 4)
    spatial = (0, 0, 1, 2, 0, 0, 0, 1)
    yield op("pad-attributes", "Pad", x, pads=list(spatial), value=1.5, opset=9)
    yield op("pad-attributes-reflect", "Pad", x, pads=list(spatial), mode="reflect", opset=9)
    yield op("pad-attributes-edge", "Pad", x, pads=list(spatial), mode="edge", opset=7)
    for opset in (11, 13):
        yield op(f"pad-constant-opset-{opset}", "Pad", x, i64(*spatial), Const(np.float32(-1)), opset=opset)
    yield op("pad-constant-default", "Pad", x, i64(*spatial))
    yield op("pad-reflect", "Pad", x, i64(0, 0, 2, 3, 0, 0, 1, 2), mode="reflect")
    yield op("pad-edge", "Pad", x, i64(0, 1, 1, 2, 0, 0, 4, 1), mode="edge")
    yield op("pad-axes", "Pad", x, i64(1, 2, 0, 3), None, i64(2, 3), opset=18)
    yield op("pad-axes-negative", "Pad", x, i64(1, 2, 0, 3), Const(np.float32(2)), i64(-1, 1), opset=18)
    yield op("pad-wrap", "Pad", x, i64(1, 2, 0, 3), None, i64(2, 3), mode="wrap", opset=19)
    yield op("pad-crops-when-negative", "Pad", x, i64(0, 0, -1, 2, 0, 0, 0, -1))
    yield op("pad-int8", "Pad", ints(1, 4, dtype=np.int8), i64(0, 1, 0, 1), Const(np.array(3, np.int8)))


def gather():
    x = grid(4, 3, 2)
    yield op("gather-axis-0", "Gather", x, i64(3, 0, 0))
    yield op("gather-axis-1", "Gather", x, i64(2, 0), axis=1, opset=11)
    yield op("gather-axis-negative", "Gather", x, i64(1), axis=-1)
    yield op("gather-indices-negative", "Gather", x, i64(-1, -4), opset=11)
    yield op("gather-indices-2d", "Gather", x, Const(np.int64([[0, 1], [2, 3]])), axis=0)
    yield op("gather-scalar", "Gather", x, Const(np.array(1, np.int64)), axis=1, opset=9)
    yield op("gather-indices-int32", "Gather", x, ints(2, 2, lo=-4, hi=4), opset=13)
    yield op("gather-of-shape", "Gather", ints(4, dtype=np.int64), Const(np.array(0, np.int64)))
    table = Const(np.int8([-127, -90, -60, -30, 0, 25, 70, 127]))
    yield op("gather-int8-table", "Gather", table, ints(3, 4, lo=0, hi=8), out=[np.int8])
    yield op(
        "gather-uint8-rows",
        "Gather",
        Const(ints(5, 4, lo=0, hi=256, dtype=np.uint8)),
        ints(3, lo=0, hi=5),
        out=[np.uint8],
    )


def reshaping():
    x = grid(2, 3, 4)
    yield op("flatten", "Flatten", grid(2, 3, 2, 2))
    yield op("flatten-axis-0", "Flatten", x, axis=0, opset=9)
    yield op("flatten-axis-2", "Flatten", x, axis=2, opset=11)
    yield op("flatten-axis-negative", "Flatten", x, axis=-1, opset=13)
    yield op("flatten-axis-rank", "Flatten", x, axis=3)
    yield op("reshape", "Reshape", x, i64(4, 6), opset=7)
    yield op("reshape-infer", "Reshape", x, i64(2, -1), opset=13)
    yield op("reshape-keep", "Reshape", x, i64(0, -1), opset=13)
    yield op("reshape-keep-infer", "Reshape", x, i64(0, 0, 2, -1), opset=14)
    yield op("reshape-scalar", "Reshape", grid(1, 1), i64())
    yield op("reshape-computed", "Reshape", x, np.int64([6, -1]))
    yield op("reshape-allowzero", "Reshape", grid(0, 3), i64(3, 0), allowzero=1, opset=14)
    yield op(
        "reshape-int4",
        "Reshape",
        Const(np.arange(-3, 3).astype(int4)),
        i64(2, 3),
        out=[int4],
        oracle=REFERENCE,
        opset=21,
    )
    yield op("transpose", "Transpose", x)
    yield op("transpose-perm", "Transpose", grid(2, 3, 4, 5), perm=[0, 2, 3, 1])
    yield op("transpose-perm-opset-7", "Transpose", x, perm=[1, 0, 2], opset=7)
    yield op("transpose-int8", "Transpose", ints(2, 3, dtype=np.int8), perm=[1, 0])
    yield op(
        "transpose-uint4",
        "Transpose",
        Const(np.arange(15).reshape(3, 5).astype(uint4)),
        out=[uint4],
        opset=21,
    )
    ones = grid(1, 3, 1, 2)
    yield op("squeeze-all", "Squeeze", ones, opset=9)
    yield op("squeeze-attribute", "Squeeze", ones, axes=[0], opset=9)
    yield op("squeeze-attribute-negative", "Squeeze", ones, axes=[-2], opset=11)
    yield op("squeeze-input", "Squeeze", ones, i64(0, -2), opset=13)
    yield op("squeeze-input-all", "Squeeze", ones, opset=13)
    yield op("unsqueeze-attribute", "Unsqueeze", x, axes=[0, 4], opset=9)
    yield op("unsqueeze-attribute-negative", "Unsqueeze", x, axes=[-1], opset=11)
    yield op("unsqueeze-input", "Unsqueeze", x, i64(1), opset=13)
    yield op("unsqueeze-input-unsorted", "Unsqueeze", x, i64(3, -5), opset=13)
    yield op("expand", "Expand", grid(3, 1), i64(2, 3, 4))
    yield op("expand-smaller-shape", "Expand", grid(3, 4), i64(1, 1), opset=9)
    yield op("expand-int64", "Expand", ints(1, dtype=np.int64), i64(3))


def sources():
    """Constant, ConstantOfShape, Shape, and the operators that do nothing at inference."""
    array = numpy_helper.from_array(grid(2, 3))
    yield op("constant-value", "Constant", value=array, out=[np.float32])
    yield op("constant-value-float", "Constant", value_float=1.5, out=[np.float32])
    yield op("constant-value-floats", "Constant", value_floats=[1.5, -2.0], out=[np.float32], opset=12)
    yield op("constant-value-int", "Constant", value_int=-7, out=[np.int64])
    yield op("constant-value-ints", "Constant", value_ints=[3, -1, 2**40], out=[np.int64], opset=12)
    packed = numpy_helper.from_array(np.array([-8, 7, 3], int4))
    yield op("constant-value-int4", "Constant", value=packed, out=[int4], opset=21)
    for name, value in {
        "float32": np.float32([2.5]),
        "int64": np.int64([-3]),
        "uint8": np.uint8([9]),
    }.items():
        fill = numpy_helper.from_array(value)
        yield op(
            f"constantofshape-{name}", "ConstantOfShape", i64(2, 3), value=fill, out=[value.dtype], opset=9
        )
    yield op("constantofshape-default", "ConstantOfShape", i64(2), out=[np.float32])
    yield op("constantofshape-scalar", "ConstantOfShape", i64(), out=[np.float32])
    x = grid(2, 3, 4, 5)
    yield op("shape", "Shape", x, out=[np.int64], opset=13)
    yield op("shape-start", "Shape", x, start=2, out=[np.int64], opset=15)
    yield op("shape-start-end-negative", "Shape", x, start=-3, end=-1, out=[np.int64], opset=15)
    yield op("shape-clamped", "Shape", x, start=-9, end=9, out=[np.int64], opset=19)
    yield op("shape-empty", "Shape", x, start=3, end=1, out=[np.int64], opset=15)
    yield op("identity", "Identity", x)
    yield op("identity-int8", "Identity", ints(3, dtype=np.int8), opset=14)
    yield op("dropout-attribute", "Dropout", grid(2, 3), ratio=0.5, opset=7)
    yield op(
        "dropout-inputs", "Dropout", grid(2, 3), Const(np.float32(0.5)), Const(np.array(False)), opset=12
    )
    yield op("dropout-default", "Dropout", grid(2, 3), opset=13)
    yield op("dropout-mask", "Dropout", grid(2, 3), out=[np.float32, bool], opset=13)


def file_forms():
    """Ways in which a file may spell the same network."""
    x, w = grid(1, 3), grid(3, 2)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    io = [("x", TensorProto.FLOAT, [1, 3])], [("y", TensorProto.FLOAT, [1, 2])]

    def stored(name, tensor):
        tensor.name = "w"
        built = model([node], *io, {}, 13)
        built.graph.initializer.append(tensor)
        return Case(f"file-{name}", built, {"x": x})

    yield stored("raw-data", numpy_helper.from_array(w))
    yield stored("float-data", helper.make_tensor("w", TensorProto.FLOAT, w.shape, w.reshape(-1)))
    listed = stored("initializer-listed-as-input", numpy_helper.from_array(w))
    listed.model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, w.shape))
    yield listed
    unsorted_constant = model(
        [helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(w)), node], *io, {}, 13
    )
    yield Case("file-weight-in-constant-node", unsorted_constant, {"x": x})
    # Narrow types live in int32_data when raw_data is not used.
    for dtype in (np.int8, np.uint8, np.float16, int4, bool):
        value = np.array([1, 0, 5, 7, 3]).astype(dtype)
        bits = value.view(np.uint16) if dtype == np.float16 else value
        if dtype == int4:
            bits = np.array([0x01, 0x75, 0x03])
        tensor = TensorProto(
            data_type=onnx_type(dtype), dims=[5], name="w", int32_data=[int(b) for b in bits]
        )
        cast = helper.make_node("Cast", ["w"], ["y"], to=TensorProto.FLOAT)
        built = model([cast], [], [("y", TensorProto.FLOAT, [5])], {}, 21)
        built.graph.initializer.append(tensor)
        yield Case(f"file-int32-data-{np.dtype(dtype)}", built, {})


def cases():
    for group in (concat, split, slices, pad, gather, reshaping, sources, file_forms):
        yield from group()
