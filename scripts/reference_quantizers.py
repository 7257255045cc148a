#!/usr/bin/env python3
"""Measures what other tools make of a network in 8 bits: time, memory, accuracy. Not part of the tests.

    python scripts/reference_quantizers.py MODEL... --train TRAIN.tar.gz --test TEST.tar.gz --out DIR
        [--tool ort|nncf]... [--calibration 512]

`ort`: onnxruntime.quantization.quantize_static, QDQ, weights int8 per channel, activations uint8 min-max.
`nncf`: nncf.quantize on an OpenVINO model, default preset (nncf 3.4.0, openvino 2026.4.1, not in
requirements.txt).
Each run has a process of its own, so that peak memory is that tool's; one thread. Writes DIR/NAME-TOOL.onnx
(or .xml) and DIR/test.npz, prints one JSON object per line: seconds and CPU seconds of the quantization
call alone, peak resident memory after and before it, top-1 in percent of the float and the quantized model.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import time

import numpy as np


def quantize_ort(model, x, target):
    """Writes the quantized ONNX file."""
    import onnxruntime
    from onnxruntime import quantization as q

    class OneThread(onnxruntime.SessionOptions):
        """The calibrator takes no thread count, and its default pool leaves the core we are bound to."""

        def __init__(self):
            super().__init__()
            self.intra_op_num_threads = 1

    onnxruntime.SessionOptions = OneThread

    class Reader(q.CalibrationDataReader):
        def __init__(self):
            self.samples = iter(x[:, None])

        def get_next(self):
            sample = next(self.samples, None)
            return None if sample is None else {"image": sample}

    q.quantize_static(
        model,
        target,
        Reader(),
        quant_format=q.QuantFormat.QDQ,
        per_channel=True,
        activation_type=q.QuantType.QUInt8,
        weight_type=q.QuantType.QInt8,
        calibrate_method=q.CalibrationMethod.MinMax,
    )


def quantize_nncf(model, x, target):
    """Writes the quantized OpenVINO model."""
    import nncf
    import openvino

    dataset = nncf.Dataset(list(x[:, None]))
    quantized = nncf.quantize(openvino.Core().read_model(model), dataset, subset_size=len(x))
    openvino.save_model(quantized, target, compress_to_fp16=False)


def answers_ort(model, x):
    """Class of each image according to an ONNX file."""
    from compare_ort import outputs, session

    return outputs(session(model), x, 250).argmax(1)


def answers_nncf(model, x):
    """Class of each image according to an OpenVINO model."""
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1})
    return np.concatenate([compiled(x[i : i + 250])[0] for i in range(0, len(x), 250)]).argmax(1)


TOOLS = {"ort": (quantize_ort, answers_ort, ".onnx"), "nncf": (quantize_nncf, answers_nncf, ".xml")}


def measure(tool, model, calibration, target, results):
    """Child process: imports, loads, then quantizes under the clock."""
    os.sched_setaffinity(
        0, sorted(os.sched_getaffinity(0))[:1]
    )  # one core; inherited by threads made from here on
    __import__({"ort": "onnxruntime.quantization", "nncf": "nncf"}[tool])
    x = np.load(calibration)
    before, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
    TOOLS[tool][0](model, x, target)
    results.put(
        {
            "seconds": round(time.perf_counter() - wall, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "peak_mb": round(peak_mb()),
            "peak_mb_before": round(before),
        }
    )


def peak_mb():
    """Peak resident memory of this process; getrusage would count the parent's, inherited at its start."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main():
    # Pillow is needed here only: a child imports this file again.
    import image_archive

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--train", required=True, help="archive to calibrate on")
    parser.add_argument("--test", required=True, help="archive to measure accuracy on")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--tool", action="append", choices=TOOLS, help="default: ort")
    parser.add_argument("--calibration", type=int, default=512, metavar="IMAGES")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    calibration = arguments.out / "calibration.npy"
    np.save(calibration, image_archive.read(arguments.train, arguments.calibration)[0])
    x, y = image_archive.read(arguments.test)
    np.savez(arguments.out / "test.npz", x=x, y=y)
    spawn = multiprocessing.get_context("spawn")
    for model in arguments.models:
        float_top1 = 100 * (answers_ort(model, x) == y).mean()
        for tool in arguments.tool or ["ort"]:
            target = arguments.out / f"{pathlib.Path(model).stem}-{tool}{TOOLS[tool][2]}"
            results = spawn.Queue()
            child = spawn.Process(target=measure, args=(tool, model, calibration, str(target), results))
            child.start()
            child.join()
            if child.exitcode:
                raise SystemExit(f"{tool} failed on {model}")
            top1 = 100 * (TOOLS[tool][1](str(target), x) == y).mean()
            accuracy = {"float_top1": round(float_top1, 2), "top1": round(top1, 2)}
            print(json.dumps({"model": model, "tool": tool, **results.get(), **accuracy}), flush=True)


if __name__ == "__main__":
    main()
