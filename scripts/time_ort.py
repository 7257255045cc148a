#!/usr/bin/env python3
"""Times models in ONNX Runtime, interleaved, and prints one JSON object per model, thread count and batch.

    python scripts/time_ort.py MODEL... [--threads 1 2] [--batch 1 8 64 250] [--repeats 15] [--images 250]

Every repeat runs each model and batch once over `--images` images (rounded up to a batch), so that a slow
moment of a shared machine falls on all alike. `images_per_second` is by the clock, best and median over
the repeats; `cpu_us_per_image` is CPU time, best and median. The values of the images do not matter: noise.
"""

import argparse
import json
import statistics
import time

import numpy as np
from compare_ort import session


def once(model, name, x, runs):
    """Seconds by the clock and of CPU time for `runs` runs on `x`."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(runs):
        model.run(None, {name: x})
    return time.perf_counter() - wall, time.process_time() - cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64, 250])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--images", type=int, default=250)
    arguments = parser.parse_args()

    # One thread count after the other: the waiting workers of a session spin, and would disturb the next.
    for threads in arguments.threads:
        time_together(arguments, threads)


def time_together(arguments, threads):
    """Prints the lines of one thread count."""
    combinations = []
    for path in arguments.models:
        model = session(path, threads)
        entry = model.get_inputs()[0]
        for batch in arguments.batch:
            x = np.random.default_rng(7).normal(size=(batch, *entry.shape[1:])).astype(np.float32)
            runs = -(-arguments.images // batch)
            once(model, entry.name, x, 2)
            label = {"model": path, "threads": threads, "batch": batch}
            combinations.append((label, (model, entry.name, x, runs), []))
    for _ in range(arguments.repeats):
        for _, call, samples in combinations:
            samples.append(once(*call))
    for label, (_, _, x, runs), samples in combinations:
        images = len(x) * runs
        wall, cpu = zip(*samples, strict=True)
        rate = [round(images / t) for t in (min(wall), statistics.median(wall))]
        micros = [round(1e6 * t / images, 1) for t in (min(cpu), statistics.median(cpu))]
        print(json.dumps({**label, "images_per_second": rate, "cpu_us_per_image": micros}), flush=True)


if __name__ == "__main__":
    main()
