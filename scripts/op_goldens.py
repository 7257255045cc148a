#!/usr/bin/env python3
"""Writes tests/golden: what ONNX Runtime answers on small models, and files that a reader must refuse.

    python scripts/op_goldens.py [--only PREFIX]

Needs scripts/requirements.txt (the answers were made with numpy 2.4.6, onnx 1.23.2, onnxruntime 1.31.1).
Seeded: a rerun with the same versions gives the same bytes. `goldens/case.py` tells how a file is read.
"""

import argparse
import pathlib
import sys

from goldens import bad, case, convolution, elementwise, networks, normalize, numbers, pooling, resize, shape

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
OPERATORS = (convolution, elementwise, normalize, numbers, pooling, resize, shape)


def write(folder, cases, only):
    """Writes each case of `cases`, removes files of cases that are gone; returns the complaints."""
    folder.mkdir(parents=True, exist_ok=True)
    complaints, written = [], set()
    for item in cases:
        path = folder / f"{item.name}.onnx"
        if not path.stem.startswith(only):
            continue
        if path in written:
            complaints.append(f"{item.name}: two cases of this name")
        written.add(path)
        if complaint := case.expect(item):
            complaints.append(complaint)
        else:
            case.save(item, path)
    for path in set(folder.glob(f"{only}*.onnx")) - written:
        path.unlink()
    print(
        f"{folder.name}: {len(written)} cases, {sum(p.stat().st_size for p in folder.iterdir()) / 1e3:.0f} kB"
    )
    return complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="write only cases whose name starts with this")
    only = parser.parse_args().only
    complaints = write(GOLDEN / "ops", (c for module in OPERATORS for c in module.cases()), only)
    complaints += write(GOLDEN / "networks", networks.cases(), only)
    if not only:
        bad.write(GOLDEN / "bad")
    sys.exit("\n".join(complaints) if complaints else 0)


if __name__ == "__main__":
    main()
