#!/usr/bin/env python3
"""Runs models in ONNX Runtime on the same samples and prints how they compare, as JSON.

    python scripts/compare_ort.py MODEL... --data FILE.npz [--count-fused] [--divide 16] [--batch 64]

FILE.npz holds `x` [N, ...], as the network takes it (or times `--divide`), and, for accuracy, `y` [N].
One object per model: `samples`, `top1` and `agreement` with the first model in percent,
`cpu_seconds_per_image` on one thread, `size_bytes`, and with `--count-fused` `ops`: how many nodes of each
type are left after ONNX Runtime's own optimisations. QLinearConv there means integer arithmetic; Conv
between DequantizeLinear nodes means that fusion was lost. `cargo xtask test` calls this.
"""

import argparse
import collections
import json
import os
import pathlib
import tempfile
import time

import numpy as np
import onnx
import onnxruntime as ort


def session(path, threads=1, **settings):
    """An ONNX Runtime session on the CPU; `settings` are attributes of SessionOptions."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    for key, value in settings.items():
        setattr(options, key, value)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def outputs(model, x, batch):
    """The first output for all of `x`, run in batches (of the model's own size where it is fixed)."""
    entry = model.get_inputs()[0]
    if isinstance(entry.shape[0], int):
        batch = entry.shape[0]
        x = x[: len(x) // batch * batch]
    chunks = (x[i : i + batch] for i in range(0, len(x), batch))
    return np.concatenate([model.run(None, {entry.name: chunk})[0] for chunk in chunks])


def fused_ops(path):
    """Number of nodes of each type in the graph that ONNX Runtime makes of the model."""
    with tempfile.TemporaryDirectory() as folder:
        optimised = os.path.join(folder, "optimised.onnx")
        # EXTENDED has all fusions; ALL adds layouts that belong to this machine.
        extended = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        session(path, graph_optimization_level=extended, optimized_model_filepath=optimised)
        nodes = onnx.load(optimised, load_external_data=False).graph.node
    return dict(sorted(collections.Counter(node.op_type for node in nodes).items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--data", required=True, help=".npz with x and, for accuracy, y")
    parser.add_argument(
        "--divide", type=float, default=1, help="divide x by this (16 for the embedded digits)"
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--count-fused", action="store_true", help="count the nodes left after optimisation")
    arguments = parser.parse_args()
    with np.load(arguments.data) as file:
        x = (file["x"] / arguments.divide).astype(np.float32)
        y = file["y"] if "y" in file else None

    report, first = [], None
    for path in arguments.models:
        model = session(path)
        start = time.process_time()
        answers = outputs(model, x, arguments.batch).argmax(1)
        seconds = time.process_time() - start
        first = answers if first is None else first
        count = min(len(answers), len(first))
        report.append(
            {
                "model": path,
                "samples": len(answers),
                "top1": None if y is None else round(100 * float((answers == y[: len(answers)]).mean()), 4),
                "agreement": round(100 * float((answers[:count] == first[:count]).mean()), 4),
                "cpu_seconds_per_image": seconds / len(answers),
                "size_bytes": pathlib.Path(path).stat().st_size,
                **({"ops": fused_ops(path)} if arguments.count_fused else {}),
            }
        )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
