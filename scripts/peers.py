#!/usr/bin/env python3
"""Quantizes one network with lowbit and with other tools on the same images, and prints one table.

    python scripts/peers.py --lowbit PROGRAM [--network FLOAT.onnx --train TRAIN.tar.gz --test TEST.tar.gz]
        [--calibrate 512] [--threads 1] [--only NAME,...] [--json FILE]

Without a network it takes the digits that lowbit has built in. Every tool calibrates on the same first images of a seeded
shuffle of the training images; top-1 is over all test images. Accuracy is what the tool's own way of running gives: ONNX
Runtime for files (with all its optimizations), OpenVINO for NNCF, AIMET's simulation, and for lowbit its runtime too. Size is that of the file (AIMET
writes no few-bit file). Quantizing is wall time. A tool that is not installed, or refuses, says so in the table.
Needs what requirements-peers.txt has, as far as it can be installed.
"""

import argparse
import contextlib
import importlib.metadata
import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime

WIDTHS = ["W8A8", "W4A8", "W4A4"]


class Refused(Exception):
    """The tool says that it does not do this."""


class Task:
    """A network and its samples."""

    def __init__(self, args, folder):
        self.folder = folder
        self.threads = args.threads
        self.lowbit = args.lowbit
        if args.network:
            import image_archive

            self.network, self.preprocess = args.network, "imagenet-no-resize"
            self.data, self.test = args.train, args.test
            self.calibration, _ = image_archive.read(args.train, args.calibrate)
            self.x, self.y = image_archive.read(args.test)
        else:
            call([args.lowbit, "demo", "--out", folder / "demo"])
            self.network = folder / "demo/digits-float.onnx"
            # Bytes, divided by 16 as the network was trained: to be fed and to be given to lowbit alike.
            arrays = {part: np.load(folder / f"demo/digits-{part}.npz") for part in ("train", "test")}
            self.calibration = images(arrays["train"])[: args.calibrate]
            self.x, self.y = images(arrays["test"]), labels(arrays["test"])
            self.preprocess = "digits"
            self.data, self.test = folder / "demo/digits-train.npz", folder / "demo/digits-test.npz"
        self.calibrate = args.calibrate
        self.input = onnx.load(self.network).graph.input[0].name

    def batches(self, size=1):
        return [self.calibration[i : i + size] for i in range(0, len(self.calibration), size)]


def images(arrays):
    x = next(arrays[k] for k in arrays.files if arrays[k].ndim > 1)
    x = x.astype(np.float32) / (16.0 if x.dtype == np.uint8 else 1.0)
    return x if x.ndim == 4 else x[:, None]


def labels(arrays):
    return next(arrays[k] for k in arrays.files if arrays[k].ndim == 1).astype(np.int64)


def call(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused((done.stderr or done.stdout).strip().splitlines()[-1])
    return done.stdout


def top1(run, task, size=100):
    """Right first guesses in percent."""
    if isinstance(run, Own):
        return run.top1()
    guesses = np.concatenate([run(task.x[i : i + size]).argmax(1) for i in range(0, len(task.x), size)])
    return 100.0 * float((guesses == task.y).mean())


def ort(path, task):
    """An ONNX file in ONNX Runtime, as a function of a batch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name, batch = session.get_inputs()[0].name, session.get_inputs()[0].shape[0]
    if isinstance(batch, int):
        return lambda x: np.concatenate([session.run(None, {name: x[i : i + batch]})[0] for i in range(0, len(x), batch)])
    return lambda x: session.run(None, {name: x})[0]


def milliseconds(run, x):
    """One image, the median of many."""
    if isinstance(run, Own):
        return run.milliseconds()
    one, times = x[:1], []
    end = time.perf_counter() + 1.0
    while time.perf_counter() < end or len(times) < 5:
        begun = time.perf_counter()
        run(one)
        times.append(time.perf_counter() - begun)
    return 1e3 * float(np.median(times))


def lowbit(task, width):
    """lowbit: the closed forms, and at 4 bits learned rounding too; its file in ONNX Runtime."""
    recipes = {"W8A8": ["w8a8"], "W4A8": ["w4a8"], "W4A4": ["w4a4-aciq", "w4a4-brecq"]}[width]
    for recipe in recipes:
        path = task.folder / f"lowbit-{recipe}.onnx"
        command = [task.lowbit, "quantize", task.network, "--data", task.data, "--preprocess", task.preprocess]
        command += ["--limit", task.calibrate, "--recipe", recipe, "--target", "onnxruntime", "-o", path]
        begun = time.perf_counter()
        call([*command, "--threads", task.threads, "--fresh"])
        seconds = time.perf_counter() - begun
        yield recipe, path, seconds, ort(path, task)
        yield recipe + ", own runtime", path, seconds, Own(path, task)


class Own:
    """lowbit's integer runtime, which scores and times by itself."""

    def __init__(self, path, task):
        self.path, self.task = path, task

    def top1(self):
        command = [self.task.lowbit, "evaluate", self.path, "--data", self.task.test, "--engine", "integer", "--json"]
        command += ["--preprocess", self.task.preprocess, "--threads", self.task.threads]
        return json.loads(call(command))[0]["top1"]

    def milliseconds(self):
        command = [self.task.lowbit, "bench", self.path, "--threads", self.task.threads, "--seconds", "1", "--json"]
        return json.loads(call(command))["latency_p50_ms"]


def onnx_runtime(task, width):
    """onnxruntime.quantization.quantize_static, QDQ, per channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = iter(task.batches())

        def get_next(self):
            x = next(self.left, None)
            return None if x is None else {task.input: x}

    weight = {"8": QuantType.QInt8, "4": QuantType.QInt4}[width[1]]
    edge = {"8": QuantType.QUInt8, "4": QuantType.QUInt4}[width[3]]
    prepared = task.folder / "ort-prepared.onnx"
    quant_pre_process(str(task.network), str(prepared), skip_symbolic_shape=True)
    variants = [("", False)] + ([(" reduce_range", True)] if width == "W8A8" else [])
    for name, narrow in variants:
        path = task.folder / f"ort-{width}{narrow}.onnx"
        begun = time.perf_counter()
        quantize_static(
            str(prepared), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            reduce_range=narrow, activation_type=edge, weight_type=weight,
        )  # fmt: skip
        yield "static QDQ" + name, path, time.perf_counter() - begun, ort(path, task)


def quantization_rs(task, width):
    """The Rust library of that name: convolutions with calibrated edges at 8 bits, or weights alone at 4, by their own ranges."""
    import quantize_rs

    path = task.folder / f"qrs-{width}.onnx"
    begun = time.perf_counter()
    if width == "W8A8":
        samples, one = task.folder / "samples.npy", task.folder / "one.onnx"
        np.save(samples, task.calibration)
        model = onnx.load(task.network)
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        onnx.save(model, one)
        quantize_rs.quantize_with_calibration(str(one), str(path), calibration_data=str(samples), per_channel=True)
        name = "calibrated"
    elif width == "W4A8":
        quantize_rs.quantize(str(task.network), str(path), bits=4, per_channel=True, native_int4=False)
        name = "weights only (W4A32)"
    else:
        raise Refused("edges have 8 bits only")
    yield name, path, time.perf_counter() - begun, ort(path, task)


def nncf(task, width):
    """NNCF on OpenVINO's form of the network, run by OpenVINO."""
    import nncf as tool
    import openvino

    if width != "W8A8":
        raise Refused("few bits for weights of matrix products only, not for convolutions")
    core = openvino.Core()
    model = core.read_model(str(task.network))
    begun = time.perf_counter()
    small = tool.quantize(model, tool.Dataset(task.batches()), subset_size=len(task.calibration))
    seconds = time.perf_counter() - begun
    path = task.folder / "nncf.xml"
    openvino.save_model(small, str(path), compress_to_fp16=False)
    settings = {"INFERENCE_NUM_THREADS": task.threads, "NUM_STREAMS": 1}
    compiled = core.compile_model(small, "CPU", settings)
    request = compiled.create_infer_request()
    yield "post-training", path.with_suffix(".bin"), seconds, lambda x: next(iter(request.infer([x]).values()))


def aimet(task, width):
    """AIMET-ONNX: its default post-training simulation; no few-bit file comes of it."""
    import aimet_onnx

    model = onnx.load(task.network)
    kinds = {"8": aimet_onnx.int8, "4": aimet_onnx.int4}
    begun = time.perf_counter()
    sim = aimet_onnx.QuantizationSimModel(
        model, param_type=kinds[width[1]], activation_type=kinds[width[3]], providers=["CPUExecutionProvider"]
    )
    sim.compute_encodings([{task.input: x} for x in task.batches(64)])
    seconds = time.perf_counter() - begun
    yield "simulation", None, seconds, lambda x: sim.session.run(None, {task.input: x})[0]


TOOLS = {
    "lowbit": (lowbit, None),
    "ONNX Runtime": (onnx_runtime, "onnxruntime"),
    "quantization-rs": (quantization_rs, "quantization-rs"),
    "NNCF, OpenVINO": (nncf, "nncf"),
    "AIMET": (aimet, "aimet-onnx"),
}


def version(task, package):
    if package is None:
        return call([task.lowbit, "--version"]).split()[-1]
    return importlib.metadata.version(package)


def rows(task, names):
    """One after the other, as they come."""
    run = ort(task.network, task)
    size = os.path.getsize(task.network)
    yield {"tool": "float", "bits": "W32A32", "way": "ONNX Runtime", "top1": top1(run, task), "bytes": size,
           "ms": milliseconds(run, task.x)}  # fmt: skip
    for width in WIDTHS:
        for name, (tool, package) in TOOLS.items():
            if names and name not in names:
                continue
            row = {"tool": name, "bits": width}
            try:
                row["tool"] += " " + version(task, package)
                for way, path, seconds, run in quiet(tool, task, width):
                    row.update(way=way, seconds=seconds, top1=top1(run, task), ms=milliseconds(run, task.x))
                    row["bytes"] = os.path.getsize(path) if path else None
                    yield dict(row)
            except Refused as why:
                yield {**row, "note": f"not offered: {why}"}
            except importlib.metadata.PackageNotFoundError:
                yield {**row, "note": "not installed"}
            except Exception as why:  # another tool's: said, and the others go on
                reason = (str(why).strip() or type(why).__name__).splitlines()[0]
                yield {**row, "note": f"failed: {reason[:160]}"}


def quiet(tool, task, width):
    """What a tool yields, without what it prints."""
    made = tool(task, width)
    while True:
        # Not around the yield: who asked may print.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            item = next(made, None)
        if item is None:
            return
        yield item


def text(row):
    if "note" in row:
        return f"| {row['tool']} | {row['bits']} | {row['note']} | | | | |"
    seconds = f"{row['seconds']:.1f}" if "seconds" in row else ""
    size = f"{row['bytes'] / 1e3:.0f}" if row["bytes"] else "–"
    return f"| {row['tool']} | {row['bits']} | {row['way']} | {row['top1']:.2f} | {size} | {seconds} | {row['ms']:.3f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lowbit", required=True)
    parser.add_argument("--network")
    parser.add_argument("--train")
    parser.add_argument("--test")
    parser.add_argument("--calibrate", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", help="tools, by name, with commas between")
    parser.add_argument("--json", help="also write the rows here")
    args = parser.parse_args()
    if args.network and not (args.train and args.test):
        parser.error("--network needs --train and --test")
    logging.disable(logging.WARNING)
    args.lowbit = str(pathlib.Path(args.lowbit).resolve())
    found = []
    with tempfile.TemporaryDirectory() as folder:
        task = Task(args, pathlib.Path(folder))
        print(f"{len(task.calibration)} images calibrate, {len(task.y)} are judged, threads: {task.threads}\n")
        print("| tool | bits | how | top-1, % | kB | quantizing, s | one image, ms |")
        print("|---|---|---|---|---|---|---|")
        for row in rows(task, args.only and args.only.split(",")):
            found.append(row)
            print(text(row), flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
