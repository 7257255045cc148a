"""What Python gives is what the command line gives, byte for byte."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import lowbit

Cli = Callable[..., str]


@pytest.fixture(scope="module")
def expected(cli: Cli, network: Path, digits: Any, tmp_path_factory: Any) -> bytes:
    """200 digits of a seeded shuffle, by the command line."""
    folder = tmp_path_factory.mktemp("cli")
    np.savez(folder / "x.npz", x=digits[0], y=digits[1])
    out: Path = folder / "out.onnx"
    cli("quantize", network, "--data", folder / "x.npz", "--preprocess", "digits", "--recipe", "w4a4-aciq",
        "--seed", 7, "--limit", 200, "-o", out)  # fmt: skip
    return out.read_bytes()


OPTIONS: dict[str, Any] = {"recipe": "w4a4-aciq", "seed": 7, "preprocess": "digits", "progress": False}


def test_every_form_of_network_and_samples_gives_the_same_bytes(
    expected: bytes, network: Path, digits: Any, tmp_path: Path
) -> None:
    x, y = digits
    np.savez(tmp_path / "x.npz", x=x, y=y)
    models: list[lowbit.Model] = [network, str(network), network.read_bytes(), onnx.load(network)]
    for model in models:
        assert lowbit.quantize(model, (x, y), limit=200, **OPTIONS).model == expected
    strided = np.repeat(x, 2, axis=0)[::2]
    samples: list[Any] = [x, strided, tmp_path / "x.npz", np.asfortranarray(x)]
    for data in samples:
        assert lowbit.quantize(network, data, limit=200, **OPTIONS).model == expected


def test_batches_are_the_array_that_they_make_up(network: Path, digits: Any) -> None:
    x, y = digits[0][:100], digits[1][:100]
    whole = lowbit.quantize(network, x, **OPTIONS).model
    cuts = [0, 1, 40, 100]
    pairs = list(zip(cuts, cuts[1:], strict=False))
    forms: dict[str, Any] = {
        "generator": (x[a:b] for a, b in pairs),
        "pairs": [(x[a:b], y[a:b]) for a, b in pairs],
        "lists": ([x[a:b], y[a:b]] for a, b in pairs),
        "mappings": ({"image": x[a:b]} for a, b in pairs),
        "samples": list(x),
        "endless": (digits[0][i : i + 30] for i in range(0, 10**9, 30)),
    }
    for name, data in forms.items():
        found = lowbit.quantize(network, data, limit=100, **OPTIONS).model
        assert found == whole, name


def test_lists_of_numbers_are_arrays(network: Path, floats: Any) -> None:
    few = floats[:32]
    options = OPTIONS | {"preprocess": None}
    expected = lowbit.quantize(network, few, **options).model
    assert lowbit.quantize(network, few.tolist(), **options).model == expected
    assert lowbit.quantize(network, few.astype(np.float64), **options).model == expected
    assert lowbit.quantize(network, few.astype(">f4"), **options).model == expected


def test_learning_recipes_agree_too_for_any_number_of_threads(cli: Cli, network: Path, digits: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=digits[0], y=digits[1])
    cli("quantize", network, "--data", tmp_path / "x.npz", "--preprocess", "digits", "--recipe", "w2a4-brecq",
        "--effort", "fast", "--limit", 64, "--threads", 2, "-o", tmp_path / "out.onnx")  # fmt: skip
    found = lowbit.quantize(network, digits, recipe="w2a4-brecq", preprocess="digits", effort="fast", limit=64, threads=1,
                            progress=False)  # fmt: skip
    assert found.model == (tmp_path / "out.onnx").read_bytes()


def test_training_agrees(cli: Cli, network: Path, digits: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=digits[0], y=digits[1])
    cli("train", network, "--data", tmp_path / "x.npz", "--preprocess", "digits", "--recipe", "w2a2-lcq", "--steps", 3,
        "--limit", 256, "--seed", 3, "-o", tmp_path / "out.onnx")  # fmt: skip
    found = lowbit.train(network, digits, recipe="w2a2-lcq", preprocess="digits", steps=3, limit=256, seed=3, progress=False)
    assert found.model == (tmp_path / "out.onnx").read_bytes()


def test_searching_agrees_and_its_recipe_gives_its_network(cli: Cli, network: Path, digits: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=digits[0], y=digits[1])
    cli("search", network, "--data", tmp_path / "x.npz", "--preprocess", "digits", "--limit", 120, "--budget", 6, "--bits", "8,3",
        "--clips", "mse", "--max-size", 40_000, "--no-timing", "-o", tmp_path / "cli.onnx")  # fmt: skip
    found = lowbit.search(network, digits, preprocess="digits", limit=120, budget=6, bits=[8, 3], clips=["mse"], max_size=40_000,
                          timing=False, progress=False)  # fmt: skip
    assert found.save(tmp_path / "python.onnx").read_bytes() == found.model == (tmp_path / "cli.onnx").read_bytes()
    assert (tmp_path / "python.toml").read_bytes() == (tmp_path / "cli.toml").read_bytes()
    again = lowbit.quantize(network, digits, recipe=tmp_path / "python.toml", preprocess="digits", limit=120, progress=False)
    assert again.model == found.model


@pytest.mark.parametrize(
    "options", [{}, {"compatible": True}, {"method": "asym", "bits": 8}, {"layout": "first"}, {"method": "kmeans-cls", "clusters": 4}]
)
def test_tables_agree(cli: Cli, tmp_path: Path, options: dict[str, Any]) -> None:
    table = np.random.default_rng(0).standard_normal((300, 24)).astype(np.float32)
    np.save(tmp_path / "table.npy", table)
    arguments = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    found = lowbit.embed(table, progress=False, **options)
    suffixes = [".safetensors"] if "clusters" in options else [".safetensors", ".npy"]
    for suffix in suffixes:
        cli("embed", tmp_path / "table.npy", "-o", tmp_path / f"cli{suffix}", *arguments)
        found.save(tmp_path / f"python{suffix}")
        assert (tmp_path / f"python{suffix}").read_bytes() == (tmp_path / f"cli{suffix}").read_bytes(), suffix
    # Columns in another order in memory, and doubles, are the same table.
    assert (lowbit.embed(np.asfortranarray(table), progress=False, **options).rows == found.rows).all()
    assert (lowbit.embed(table.astype(np.float64), progress=False, **options).rows == found.rows).all()


def test_tables_inside_networks_agree(cli: Cli, tmp_path: Path) -> None:
    table = np.random.default_rng(1).standard_normal((50, 8)).astype(np.float32)
    nodes = [onnx.helper.make_node("Gather", ["table", "ids"], ["rows"])]
    inputs = [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["n"])]
    outputs = [onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, ["n", 8])]
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, [onnx.numpy_helper.from_array(table, "table")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    cli("embed", tmp_path / "m.onnx", "-o", tmp_path / "cli.onnx")
    found = lowbit.embed_model(model, progress=False)
    assert (found.tables, found.model) == (["table"], (tmp_path / "cli.onnx").read_bytes())
    assert (lowbit.embed(tmp_path / "m.onnx", progress=False).rows == lowbit.embed(table, progress=False).rows).all()


def test_scores_agree(cli: Cli, network: Path, digits: Any, tmp_path: Path) -> None:
    import json

    small = lowbit.quantize(network, digits, **OPTIONS)
    small.save(tmp_path / "small.onnx")
    np.savez(tmp_path / "x.npz", x=digits[0], y=digits[1])
    said = cli("evaluate", network, tmp_path / "small.onnx", "--data", tmp_path / "x.npz", "--preprocess", "digits",
               "--engine", "simulated,integer", "--json")  # fmt: skip
    report = lowbit.evaluate([network, small.model], digits, engine=["simulated", "integer"], preprocess="digits", progress=False)
    for ours, theirs in zip(report.to_dict()["scores"], json.loads(said), strict=True):
        assert ours | {"model": ""} == theirs | {"model": ""}
