#!/usr/bin/env python3
"""Checks what a lowbit binary writes with tools that are not ours.

    python scripts/check_exports.py --lowbit target/debug/lowbit [--shared ../shared]

The embedded network is quantized by several recipes into every flavour, put on uneven levels by the example that is
built with the binary (`cargo build -p lowbit --bins --examples`), and the demo is run; so is a network that takes
indices of two tables (`make_recommender.py`). Each file must pass
onnx.checker and load in ONNX Runtime; the layers of those made for it must be fused to integer kernels, and its answers
must be those that lowbit computes. A page of every kind (`pictures.py`) is opened in a browser. With --shared, networks that
PyTorch exported and photographs are used too. One line per file; exit status 1 if anything is wrong. `cargo xtask test`
calls this.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import make_recommender
import numpy as np
import onnx
import onnxruntime as ort
import pictures
from check_onnx import refusal
from compare_ort import fused_ops, outputs, session
from spell_out_windows import spell_out

HERE = pathlib.Path(__file__).resolve().parent
ASSETS = HERE.parent / "crates/lowbit/assets"

# ONNX Runtime's integer kernels round some requantizations the other way, which may tip an even guess: at most this many
# of a thousand samples, and the number of correct guesses by at most that many.
MOST_OTHER_GUESSES = 5
MOST_TOP1_GAP = 3

# Without these, ONNX Runtime adds pairs of products in 16 bits on x86, which saturate: its integer kernels then answer something
# else, and what the file means is what it computes without its fusions. Sums are of floats then, which round: most of a thousand.
EXACT_PAIRS = ("avx512_vnni", "avx_vnni")
MOST_OTHER_GUESSES_UNFUSED = 10

# Operators with weights, and what ONNX Runtime makes of them once they are fused with the Q/DQ pairs around them.
INTEGER = {
    "Conv": ("QLinearConv",),
    "Gemm": ("QGemm", "QLinearMatMul"),
    "MatMul": ("QLinearMatMul", "MatMulIntegerToFloat"),
    "Add": ("QLinearAdd",),
}


class Run:
    """The binary under test, a folder for what it writes, and what was found wrong."""

    def __init__(self, lowbit, folder):
        self.lowbit = pathlib.Path(lowbit).resolve()
        self.folder = pathlib.Path(folder)
        self.wrong = 0

    def call(self, *arguments):
        self.start(self.lowbit, *arguments)

    def example(self, name, *arguments):
        """Runs an example program, which cargo puts beside the binary."""
        self.start(self.lowbit.parent / "examples" / (name + self.lowbit.suffix), *arguments)

    def start(self, program, *arguments):
        command = [str(program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr.strip()}")

    def tell(self, name, problems, remark=""):
        """One line per file, and one per problem."""
        print(f"{'FAILED' if problems else 'ok':<7}{name}{remark and '  ' + remark}", flush=True)
        for problem in problems:
            print(f"       {problem}")
        self.wrong += len(problems)

    def spelt(self, path):
        """The file to be compared with: windows are notes that ONNX Runtime passes over, so they become nodes first."""
        model = onnx.load(path)
        if not spell_out(model):
            return path
        onnx.save(model, self.folder / "spelt.onnx")
        return self.folder / "spelt.onnx"

    def written(self, name, float_model, data, flavour="packed", unpacked=0, **choice):
        """Checks one written file; `data` and `choice` are the samples it is compared on, `unpacked` the tables in it."""
        path = self.folder / name
        problems = list(filter(None, [refusal(str(path), load=flavour in ("packed", "container"))]))
        remark = ""
        if not problems and flavour in ("packed", "container"):
            problems += unfused(float_model, path, unpacked)
            answers = self.folder / "answers.npz"
            flags = [word for key, value in choice.items() for word in (f"--{key}", value)]
            # On integers, as ONNX Runtime does: sums of floats round, which moves codes here and there.
            flags += ["--engine", "integer", "--with-samples", "-o", answers]
            self.call("run", path, "--data", data, *flags)
            samples, other, gap = compare(self.spelt(path), answers)
            remark = f"{other} other guesses of {samples}, {gap:+d} correct"
            most = MOST_OTHER_GUESSES_UNFUSED if saturates() else MOST_OTHER_GUESSES
            if other > samples * most / 1000 or abs(gap) > samples * MOST_TOP1_GAP / 1000:
                problems.append(f"ONNX Runtime's answers differ from ours: {remark}")
        if not problems and flavour == "textbook":
            # Its fusions take the narrow types for int8 ones and then refuse their own graph.
            plain = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            try:
                session(path, graph_optimization_level=plain)
            except Exception as error:  # whatever it raises is the answer
                problems.append(f"ONNX Runtime without optimisations: {error}")
        self.tell(name, problems, remark)


def unfused(float_model, path, unpacked):
    """Layers of the float network that ONNX Runtime does not run on integers, as sentences. Each table that is
    unpacked behind its Gather has one addition, of the bias, in float."""
    layers = [node.op_type for node in onnx.load(float_model, load_external_data=False).graph.node]
    ops = fused_ops(path)
    for op, kernels in INTEGER.items():
        wanted, found = layers.count(op), sum(ops.get(kernel, 0) for kernel in kernels)
        if found < wanted or ops.get(op, 0) > (unpacked if op == "Add" else 0):
            yield f"{found} of {wanted} {op} became {' or '.join(kernels)}, {ops.get(op, 0)} stayed float: {ops}"


def saturates():
    """Whether ONNX Runtime's integer kernels saturate on this processor, as far as it tells."""
    info = pathlib.Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8").split() if info.is_file() else []
    return "avx2" in flags and not any(name in flags for name in EXACT_PAIRS)


def compare(path, answers):
    """Samples, those with another best class, and how many more are correct in ONNX Runtime than by our answers."""
    with np.load(answers) as file:
        arrays = dict(file)
    x, y = arrays.pop("x"), arrays.pop("y")
    del arrays["index"]
    (ours,) = arrays.values()
    level = ort.GraphOptimizationLevel
    level = level.ORT_DISABLE_ALL if saturates() else level.ORT_ENABLE_ALL
    model = session(path, graph_optimization_level=level)
    ours, theirs = ours.argmax(1), outputs(model, x, 64).argmax(1)
    return len(y), int((ours != theirs).sum()), int((theirs == y).sum()) - int((ours == y).sum())


def embedded(run):
    """The network inside the program: all flavours, and the demo."""
    train, test = ASSETS / "digits-train.npz", ASSETS / "digits-test.npz"
    model = ASSETS / "digits.onnx"
    for recipe in ("w8a8", "w4a8", "w4a4", "w4a4-aciq", "w3-multipoint", "a4w8-sparq"):
        for flavour in ("packed", "container", "textbook", "qonnx"):
            name = f"digits-{recipe}-{flavour}.onnx"
            run.call(
                "quantize", model, "--data", train, "--preprocess", "digits", "--limit", 512,
                "--recipe", recipe, "--flavour", flavour, "-o", run.folder / name,
            )  # fmt: skip
            run.written(name, model, test, flavour)
    for weights in ("binary", "ternary", "7", "15"):
        name = f"digits-levels-{weights}.onnx"
        run.example("uneven_levels", model, train, "digits", weights, run.folder / name)
        for flavour in ("packed", "container", "textbook", "qonnx"):
            written = str(pathlib.Path(name).with_suffix(f".{flavour}.onnx"))
            run.written(written, model, test, flavour, preprocess="digits")
    pages = pictures.make(run.call, run.folder)
    run.wrong += sum(not pictures.check(page) for page in pages.values())
    demo = run.folder / "demo"
    for path in sorted(demo.glob("*.onnx")):
        why = refusal(str(path), load=True)
        run.tell(f"demo/{path.name}", [why] if why else [])


def tables(run):
    """A network of indices: the rows of its tables in few bits, its layers on integers."""
    model, data = make_recommender.write(run.folder)
    for recipe in ("w8a8", "w4a8"):
        for flavour in ("packed", "container", "textbook", "qonnx"):
            name = f"recommender-{recipe}-{flavour}.onnx"
            run.call(
                "quantize", model, "--data", data, "--limit", 512,
                "--recipe", recipe, "--flavour", flavour, "-o", run.folder / name,
            )  # fmt: skip
            run.written(name, model, data, flavour, unpacked=2)


def shared(run, folder):
    """Networks as PyTorch exports them, on photographs."""
    train, test = (folder / f"data/cifar10-jpeg-{split}.tar.gz" for split in ("train", "test"))
    for network in ("resnet20", "mobilenetv2"):
        model = folder / f"models/{network}-cifar10.onnx"
        for recipe in ("w8a8", "w4a4-aciq", "w3-multipoint", "a2w8-sparq"):
            name = f"{network}-{recipe}.onnx"
            run.call(
                "quantize", model, "--data", train, "--preprocess", "imagenet-no-resize", "--limit", 256,
                "--recipe", recipe, "-o", run.folder / name,
            )  # fmt: skip
            run.written(name, model, test, limit=1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lowbit", required=True, help="the binary")
    parser.add_argument("--shared", type=pathlib.Path, help="folder with more networks and data")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(arguments.lowbit, folder)
        embedded(run)
        tables(run)
        if arguments.shared:
            shared(run, arguments.shared)
    if run.wrong:
        sys.exit(f"{run.wrong} wrong")


if __name__ == "__main__":
    main()
