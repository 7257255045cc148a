#!/usr/bin/env python3
"""PyTorch and lowbit on one table, in one run: quantizing, and look-ups of bags.

    scripts/time_embedding.py target/release/lowbit [--rows 1000000] [--columns 64] [--pooling 40] [--threads 1]

Needs numpy and torch. Best of five each (PyTorch's optimised prepack: of 50,000 rows, once). PyTorch makes its output anew in
each call, and a table's comes from the operating system page by page, which takes as long as the rows themselves
("new memory"); packed block by block, its memory stays in the process, and is compared with rows into memory that is there.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import torch


# Rows whose packed bytes the allocator keeps for the next block.
BLOCK = 65_536


def best(work, times: int = 5) -> float:
    least = float("inf")
    for _ in range(times):
        begun = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - begun)
    return least


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    arguments.add_argument("program", type=pathlib.Path)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--columns", type=int, default=64)
    arguments.add_argument("--pooling", type=int, default=40)
    arguments.add_argument("--bags", type=int, default=25_000)
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    table = np.random.default_rng(0).standard_normal((given.rows, given.columns), dtype=np.float32)
    floats = torch.from_numpy(table)
    ops = torch.ops.quantized
    some = floats[: min(50_000, given.rows)]
    print(f"torch {torch.__version__}, threads {given.threads}, table {given.rows} x {given.columns}")
    blocks = floats.split(BLOCK)

    def by_block():
        for block in blocks:
            ops.embedding_bag_4bit_prepack(block)

    plain = best(by_block)
    print(f"torch asym                  {given.rows / plain / 1e6:9.2f} M rows/s")
    plain = best(lambda: ops.embedding_bag_4bit_prepack(floats))
    print(f"torch asym, new memory      {given.rows / plain / 1e6:9.2f} M rows/s")
    greedy = best(lambda: ops.embedding_bag_4bit_prepack(some, True), 1)
    print(f"torch greedy                {len(some) / greedy / 1e6:9.3f} M rows/s")
    packed = ops.embedding_bag_4bit_prepack(floats)
    indices = torch.from_numpy(np.random.default_rng(1).integers(0, given.rows, given.pooling * given.bags))
    offsets = torch.arange(0, given.pooling * given.bags, given.pooling)
    weights = torch.rand(given.pooling * given.bags)
    for name, extra in (("sum", {}), ("weighted sum", {"per_sample_weights": weights})):
        spent = best(lambda: ops.embedding_bag_4bit_rowwise_offsets(packed, indices, offsets, **extra))
        print(f"torch {name:<22}{len(indices) / spent / 1e6:9.1f} M look-ups/s")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "table.npy"
        np.save(path, table)
        command = [given.program, "embed", path, "--bench", "--json", "--threads", str(given.threads)]
        command += ["--pooling", str(given.pooling), "--bags", str(given.bags), "--bits", "4"]
        bench = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for speed in bench["quantized"] + bench["lookups"]:
            if speed["threads"] == given.threads:
                share = speed["of_memory_percent"]
                share = f", {share:.0f} % of memory" if share else ""
                print(f"lowbit {speed['what']:<24} {speed['rows_per_second'] / 1e6:9.2f} M rows/s{share}")


if __name__ == "__main__":
    main()
