#!/usr/bin/env python3
"""Writes tests/golden/gradients: what PyTorch answers for the gradients of small models.

    python scripts/gradient_goldens.py [--only PREFIX]

Needs torch, numpy and onnx (the answers were made with torch 2.15.0 on a CPU, numpy 2.4.6 and onnx 1.23.2).
Seeded: a rerun with the same versions gives the same bytes. `gradients/case.py` tells how a file is made.
"""

import argparse

import torch
from gradients import elementwise, layers, moves, networks, rounding
from gradients.case import FOLDER, save

FAMILIES = (
    elementwise.elementwise,
    layers.convolutions,
    layers.products,
    layers.pools,
    layers.norms,
    moves.moves,
    rounding.rounding,
    networks.networks,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="write only cases whose name starts with this")
    only = parser.parse_args().only
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = set()
    for name, nodes, function, values in (case for family in FAMILIES for case in family()):
        assert name not in written, f"two cases of the name {name}"
        written.add(name)
        if name.startswith(only):
            save(name, nodes, function, **values)
    for path in FOLDER.glob("*.onnx"):
        if path.stem not in written:
            path.unlink()
    print(f"{len(written)} cases, {sum(p.stat().st_size for p in FOLDER.iterdir()) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
