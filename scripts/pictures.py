#!/usr/bin/env python3
"""Makes a page of each kind that lowbit writes, from the network that is built in, and pictures of them for the book.

    python scripts/pictures.py --lowbit PROGRAM [--out docs/pictures]

Each page is checked by check_html.py first. Pictures are 1120 pixels wide, cut at the height given below, in 96 colours: a page
of the book should load at once. Needs Chromium, numpy and Pillow.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import typing

import check_html
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
WIDTH, COLOURS = 1120, 96


class Page(typing.NamedTuple):
    """A page, the sections that it must have, and how much of it a picture shows."""

    path: pathlib.Path
    sections: str
    height: int


def make(call, folder):
    """All kinds of pages; `call` runs lowbit with arguments."""
    demo = folder / "demo"
    network, train, test = demo / "digits-float.onnx", demo / "digits-train.npz", demo / "digits-test.npz"
    data = ["--data", train, "--preprocess", "digits"]
    call("demo", "--out", demo)
    call("evaluate", network, demo / "digits-w4a4.onnx", demo / "digits-w4a4-aciq.onnx", "--data", test,
         "--preprocess", "digits", "--report", folder / "evaluate.html")  # fmt: skip
    call("train", network, *data, "--validation", test, "--recipe", "w2a2-lcq", "--epochs", 8,
         "-o", folder / "trained.onnx", "--report", folder / "train.html")  # fmt: skip
    call("search", network, *data, "--limit", 200, "--max-drop", 0.5, "-o", folder / "found.onnx",
         "--pareto", folder / "search.html")  # fmt: skip
    np.save(folder / "table.npy", np.random.default_rng(0).standard_normal((2000, 64), np.float32))
    call("embed", folder / "table.npy", "--compare", "all", "--report", folder / "embed.html")
    # Nothing in this network stays in float, so that section is not there.
    layers = check_html.SECTIONS.replace("float,", "")
    return {
        "quantize": Page(demo / "report.html", layers + ",classes", 2300),
        "evaluate": Page(folder / "evaluate.html", "comparison,classes", 820),
        "train": Page(folder / "train.html", "summary,comparison,training,widths,layers,activations", 1000),
        "search": Page(folder / "search.html", "frontier,points", 1000),
        "embed": Page(folder / "embed.html", "result,rows,worst,methods", 1000),
    }


def check(page):
    """Whether the browser finds nothing wrong with a page."""
    command = [sys.executable, HERE / "check_html.py", page.path, "--require", page.sections]
    return subprocess.run(command, check=False).returncode == 0


def picture(chromium, page, scheme, path):
    from PIL import Image

    check_html.browse(chromium, page.path, scheme, (WIDTH, page.height), f"--screenshot={path}")
    Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lowbit", required=True, help="the binary")
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent / "docs/pictures")
    arguments = parser.parse_args()
    program, out = pathlib.Path(arguments.lowbit).resolve(), arguments.out.resolve()
    chromium = check_html.browser()
    if not chromium:
        sys.exit("no Chromium on the PATH and no $CHROMIUM")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # Pages name files as they were given.
        os.chdir(folder)
        call = lambda *args: subprocess.run([program, *map(str, args)], check=True, stdout=subprocess.DEVNULL)  # noqa: E731
        pages = make(call, pathlib.Path())
        for name, page in pages.items():
            if not check(page):
                sys.exit(f"the page of `{name}` is wrong")
            picture(chromium, page, 1, out / f"{name}.png")
        picture(chromium, pages["quantize"], 0, out / "quantize-dark.png")


if __name__ == "__main__":
    main()
