#!/usr/bin/env python3
"""Times one network in lowbit's integer runtime, ONNX Runtime and OpenVINO, interleaved, and prints a table.

    python scripts/time_runtimes.py FLOAT.onnx INT8.onnx [--ours OURS.onnx ...] [--lowbit PROGRAM]
        [--threads 1 2] [--batch 1 8 64] [--repeats 9] [--seconds 0.5] [--json]

FLOAT.onnx is the network as trained, INT8.onnx the same as ONNX Runtime's own tool quantized it (or any file with Q/DQ
pairs), OURS.onnx files that lowbit wrote. All run the int8 file; ONNX Runtime also runs the float one, lowbit also ours.
Every repeat runs each of them for a while, so that a slow moment of a shared machine falls on all alike. Times are
microseconds per image by the clock: the median of the repeats, then the ratio to ONNX Runtime's int8 of the same repeat
(median of ratios). Each runs in a process of its own, so that waiting threads of one do not disturb another.
OpenVINO is left out where it is not installed.
"""

import argparse
import json
import multiprocessing
import pathlib
import statistics
import subprocess
import time

import numpy as np


def serve(kind, path, threads, batch, pipe):
    """A process that runs one network for as many seconds as it is asked and answers with seconds per image."""
    if kind == "onnxruntime":
        from compare_ort import session

        model = session(path, threads)
        entry = model.get_inputs()[0]
        name, shape = entry.name, entry.shape[1:]
        run = lambda x: model.run(None, {name: x})  # noqa: E731
    else:
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        shape = [d.get_length() for d in list(model.inputs[0].partial_shape)[1:]]
        model.reshape([batch, *shape])
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(model, "CPU", settings)
        request = compiled.create_infer_request()
        run = lambda x: request.infer([x])  # noqa: E731
    x = np.random.default_rng(7).normal(size=(batch, *shape)).astype(np.float32)
    for _ in range(3):
        run(x)
    pipe.send("ready")
    while (seconds := pipe.recv()) is not None:
        start, runs = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            run(x)
            runs += 1
        pipe.send((time.perf_counter() - start) / (runs * batch))


class Served:
    """A network in a process of its own."""

    def __init__(self, kind, path, threads, batch):
        self.pipe, other = multiprocessing.Pipe()
        arguments = (kind, path, threads, batch, other)
        self.process = multiprocessing.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        assert self.pipe.recv() == "ready"

    def measure(self, seconds):
        self.pipe.send(seconds)
        return self.pipe.recv()

    def close(self):
        self.pipe.send(None)
        self.process.join()


class Lowbit:
    """A network in `lowbit bench`, a new process each time."""

    def __init__(self, program, path, threads, batch):
        fixed = ["--threads", str(threads), "--batch", str(batch), "--json"]
        self.command = [program, "bench", path, *fixed]

    def measure(self, seconds):
        command = [*self.command, "--seconds", str(seconds)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return 1 / result["images_per_second"]

    def close(self):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("float", metavar="FLOAT.onnx")
    parser.add_argument("int8", metavar="INT8.onnx")
    parser.add_argument("--ours", nargs="*", default=[])
    parser.add_argument("--lowbit", default="target/release/lowbit")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        import openvino  # noqa: F401

        has_openvino = True
    except ImportError:
        has_openvino = False
    for threads in arguments.threads:
        for batch in arguments.batch:
            cell(arguments, threads, batch, has_openvino)


def cell(arguments, threads, batch, has_openvino):
    """Measures and prints one number of threads and batch size."""
    at = (threads, batch)
    runners = {
        "onnxruntime int8": Served("onnxruntime", arguments.int8, *at),
        "onnxruntime float": Served("onnxruntime", arguments.float, *at),
    }
    if has_openvino:
        runners["openvino int8"] = Served("openvino", arguments.int8, *at)
    for path in [arguments.int8, *arguments.ours]:
        runners[f"lowbit {pathlib.Path(path).stem}"] = Lowbit(arguments.lowbit, path, *at)
    times = {name: [] for name in runners}
    for _ in range(arguments.repeats):
        for name, runner in runners.items():
            times[name].append(runner.measure(arguments.seconds))
    for runner in runners.values():
        runner.close()
    base = times["onnxruntime int8"]
    for name, seconds in times.items():
        ratio = statistics.median(s / b for s, b in zip(seconds, base, strict=True))
        micros = 1e6 * statistics.median(seconds)
        line = {"threads": threads, "batch": batch, "runner": name, "us_per_image": round(micros, 1)}
        line["ratio"] = round(ratio, 3)
        if arguments.json:
            print(json.dumps(line), flush=True)
        else:
            print(f"{threads} threads  batch {batch:3}  {name:28} {micros:9.1f} µs  {ratio:6.3f}", flush=True)


if __name__ == "__main__":
    main()
