#!/usr/bin/env python3
"""Asks two strict readers whether files are ONNX: onnx.checker (full check) and ONNX Runtime's loader.

    python scripts/check_onnx.py [--checker-only] FILE...

Prints one line per file; exit status 1 if any is refused. `--checker-only` is for files that ONNX Runtime
is not meant to run (QONNX). `cargo xtask test` calls this on everything that lowbit writes.
"""

import argparse
import sys

import onnx
import onnxruntime as ort


def refusal(path, load):
    """Why `path` is refused, as one line; empty if it is not."""
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:  # whatever a reader raises is the answer
        return f"onnx.checker: {one_line(error)}"
    if load:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        try:
            ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            return f"ONNX Runtime: {one_line(error)}"
    return ""


def one_line(error):
    return " ".join(str(error).split())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--checker-only", action="store_true", help="do not load in ONNX Runtime")
    arguments = parser.parse_args()
    refused = 0
    for path in arguments.files:
        why = refusal(path, not arguments.checker_only)
        refused += bool(why)
        print(f"{path}: {why or 'ok'}")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
