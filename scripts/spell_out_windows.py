#!/usr/bin/env python3
"""Writes the windows of a network's operands out as nodes, so that any runtime computes them.

    python scripts/spell_out_windows.py IN.onnx OUT.onnx

lowbit leaves such a window as a note (`lowbit.window`) on the layer that reads through it, which other runtimes pass over
and multiply all 8 bits. Here each note becomes two tables of 256 codes and a choice between them by the neighbour, worked
out from the note's numbers alone: slow, but the word of a second implementation on what the first one computes.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def window(code, bits, shifts, rounding):
    """`code` with `bits` bits left, from the lowest of `shifts` at which they cover it."""
    shift = min(s for s in shifts if code < 1 << (s + bits))
    kept, rest, half = code >> shift, code % (1 << shift), (1 << shift) / 2
    if rounding and shift and (rest > half or (rest == half and kept % 2)):
        kept += 1
    return min(kept, (1 << bits) - 1) << shift


def tables(text):
    """What each code becomes, and what it becomes beside a zero."""
    parts = [part.strip() for part in text.split(",")]
    bits, rounding, pairs = int(parts[0].split()[0]), parts[2] == "round", "pairs" in parts
    shifts = [int(s) for s in parts[1].split()[1:]]
    wide = min(2 * bits, 8)
    alone = [window(code, bits, shifts, rounding) for code in range(256)]
    beside_zero = [window(code, wide, range(9 - wide), rounding) for code in range(256)]
    return np.uint8(alone), np.uint8(beside_zero if pairs else alone)


def spell_out(model):
    """Replaces each note by the nodes that it stands for; how many there were."""
    if not any(entry.key == "lowbit.window" for node in model.graph.node for entry in node.metadata_props):
        return 0
    shapes = {v.name: v for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    made_by = {output: node for node in model.graph.node for output in node.output}
    nodes, found = [], 0
    for layer in model.graph.node:
        note = next((p for p in layer.metadata_props if p.key == "lowbit.window"), None)
        if note:
            decode = made_by[layer.input[0]]
            codes, scale, zero = decode.input
            dims = shapes[layer.input[0]].type.tensor_type.shape.dim
            axis = 1 if layer.op_type == "Conv" else len(dims) - 1
            count, name = dims[axis].dim_value, f"{layer.name}.spelt"
            partner = [i ^ 1 if i ^ 1 < count else i for i in range(count)]
            unpaired = np.zeros([count] + [1] * (len(dims) - 1 - axis), bool)
            unpaired[-1] = count % 2 == 1

            def add(kind, inputs, output, name=name, **attributes):
                output = f"{name}.{output}"
                nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
                return output

            def constant(what, array, name=name):
                model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), f"{name}.{what}"))
                return f"{name}.{what}"

            alone, beside_zero = tables(note.value)
            index = add("Cast", [codes], "index", to=TensorProto.INT32)
            beside = add("Gather", [index, constant("partner", np.int64(partner))], "beside", axis=axis)
            is_zero = add("Equal", [beside, constant("zero", np.int32(0))], "is_zero")
            is_zero = add("Or", [is_zero, constant("unpaired", unpaired)], "is_alone")
            wide = add("Gather", [constant("wide", beside_zero), index], "wide_codes")
            narrow = add("Gather", [constant("narrow", alone), index], "narrow_codes")
            kept = add("Where", [is_zero, wide, narrow], "codes")
            layer.input[0] = add("DequantizeLinear", [kept, scale, zero], "values")
            layer.metadata_props.remove(note)
            found += 1
        nodes.append(layer)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return found


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model = onnx.load(sys.argv[1])
    print(f"{spell_out(model)} windows")
    onnx.save(model, sys.argv[2])


if __name__ == "__main__":
    main()
