"""Bad input is an exception of the right class that names what was found, and leaves no file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import lowbit

ZEROS = np.zeros((8, 1, 8, 8), np.float32)


class Hostile:
    def __array__(self, *_: object, **__: object) -> Any:
        raise RuntimeError("not today")


BAD_SAMPLES: list[tuple[Any, type[Exception], str]] = [
    (ZEROS.astype(np.complex64), lowbit.InvalidData, "complex64"),
    (ZEROS.astype(object), lowbit.InvalidData, "object"),
    (np.full((8, 1, 8, 8), "a"), lowbit.InvalidData, "U1"),
    (ZEROS.astype(np.longdouble), lowbit.InvalidData, "f16"),
    (np.float32(1), lowbit.InvalidData, "single number"),
    (np.zeros((0, 1, 8, 8), np.float32), lowbit.InvalidData, "no rows"),
    (np.zeros((8, 1, 8, 0), np.float32), lowbit.InvalidData, "no samples"),
    (np.zeros((8, 2, 8, 8), np.float32), lowbit.InvalidData, "[2, 8, 8]"),
    (np.zeros((8, 1, 64), np.float32), lowbit.InvalidData, "[1, 64]"),
    (ZEROS[0, 0, 0], lowbit.InvalidData, "the network takes [1, 8, 8]"),
    (np.full((8, 1, 8, 8), np.nan, np.float32), lowbit.InvalidData, "NaN"),
    (np.full((8, 1, 8, 8), np.inf), lowbit.InvalidData, "inf"),
    ((ZEROS, [0] * 7), lowbit.InvalidData, "7 labels for 8 samples"),
    ((ZEROS, [-1] * 8), lowbit.InvalidData, "label -1"),
    ((ZEROS, [10] * 8), lowbit.InvalidData, "largest label is 10"),
    ((ZEROS, [0.5] * 8), lowbit.InvalidData, "labels of y are float64"),
    ((ZEROS, np.zeros((8, 10), int)), lowbit.InvalidData, "[8, 10]"),
    ([], lowbit.InvalidData, "no rows"),
    (iter([]), lowbit.InvalidData, "gave no batch"),
    ([[1.0], [1.0, 2.0]], lowbit.InvalidData, "cannot be read as an array"),
    ([ZEROS, ZEROS[:, :, :4]], lowbit.InvalidData, "batch 1"),
    ([ZEROS, ZEROS.astype(np.float64)], lowbit.InvalidData, "batch 1 is float64"),
    ([(ZEROS, [0] * 8), ZEROS], lowbit.InvalidData, "batch 1 has no labels"),
    ([ZEROS, (ZEROS, [0] * 8)], lowbit.InvalidData, "batch 1 has labels"),
    ([(ZEROS, [0] * 9)], lowbit.InvalidData, "9 labels for 8 samples"),
    ([(ZEROS, ZEROS, ZEROS)], lowbit.InvalidData, "3 parts"),
    ([{"a": ZEROS, "b": ZEROS}], lowbit.InvalidData, "keys"),
    (Hostile(), lowbit.InvalidData, "not today"),
    ("no/such/folder", lowbit.MissingFile, "no/such/folder"),
    (__file__, lowbit.InvalidData, "not a known source"),
    (None, TypeError, "NoneType"),
    (7, TypeError, "int"),
    (b"bytes", TypeError, "bytes"),
]


@pytest.mark.parametrize(("data", "kind", "words"), BAD_SAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_samples(network: Path, data: Any, kind: type[Exception], words: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as caught:
        lowbit.quantize(network, data, preprocess="none", progress=False)
    assert words in str(caught.value)
    assert issubclass(kind, lowbit.Error) or kind is TypeError
    assert list(tmp_path.iterdir()) == []


def models() -> Iterator[tuple[Any, type[Exception], str]]:
    whole = (Path(__file__).resolve().parents[2] / "crates/lowbit/assets/digits.onnx").read_bytes()
    yield "missing.onnx", lowbit.MissingFile, "missing.onnx"
    yield b"", lowbit.InvalidModel, ""
    yield whole[:-100], lowbit.InvalidModel, ""
    yield b"\x08" + os.urandom(1000), lowbit.InvalidModel, ""
    yield onnx.ModelProto(), lowbit.InvalidModel, ""
    yield 5, TypeError, "int"
    yield None, TypeError, "NoneType"
    several = onnx.load_from_string(whole)
    several.graph.input.append(onnx.helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, ["N", 3]))
    yield several, lowbit.InvalidModel, "2 inputs"


@pytest.mark.parametrize(("model", "kind", "words"), list(models()), ids=range(8))
def test_networks(model: Any, kind: type[Exception], words: str) -> None:
    for job in (lowbit.quantize, lowbit.evaluate):
        with pytest.raises(kind) as caught:
            job(model, ZEROS, progress=False)
        assert words in str(caught.value)
    with pytest.raises(kind):
        lowbit.Session(model)


def test_networks_that_are_quantized_already(network: Path, floats: Any) -> None:
    small = lowbit.quantize(network, floats[:64], progress=False).model
    with pytest.raises(lowbit.InvalidModel, match="quantized already"):
        lowbit.quantize(small, floats[:64], progress=False)


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "w5a5"},
        {"recipe": "missing.toml"},
        {"target": "abacus"},
        {"flavour": "sweet"},
        {"effort": "heroic"},
        {"preprocess": "imagnet"},
    ],
    ids=str,
)
def test_options(network: Path, options: dict[str, Any]) -> None:
    kind = lowbit.MissingFile if "missing.toml" in options.values() else lowbit.InvalidRecipe
    with pytest.raises(kind, match=next(iter(options.values()))):
        lowbit.quantize(network, ZEROS, progress=False, **options)


def test_a_recipe_names_what_it_does_not_know(network: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("weights = { bitts = 4 }\n")
    with pytest.raises(lowbit.InvalidRecipe, match="bitts"):
        lowbit.quantize(network, ZEROS, recipe=recipe, progress=False)


def test_numbers_out_of_range(network: Path) -> None:
    for options in ({"limit": 0}, {"limit": -1}, {"seed": -1}, {"threads": -1}, {"cache_bytes": 2**70}):
        with pytest.raises((lowbit.Error, OverflowError, ValueError, TypeError)):
            lowbit.quantize(network, ZEROS, progress=False, **options)  # type: ignore[arg-type]


def test_training_needs_labels_and_a_recipe_of_its_own(network: Path) -> None:
    with pytest.raises(lowbit.InvalidData, match="training needs labels"):
        lowbit.train(network, ZEROS, recipe="float", progress=False)
    with pytest.raises(lowbit.InvalidRecipe, match="w8a8"):
        lowbit.train(network, (ZEROS, [0] * 8), recipe="w8a8", progress=False)


def test_searching_takes_one_limit_and_known_options(network: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"max_drop": 1.0, "max_size": 1000}, "one limit at a time, not max_drop and max_size"),
        ({"max_latency": -1.0}, "max_latency is -1.0"),
        ({"max_drop": float("nan")}, "max_drop is nan"),
        ({"max_latency": 1.0, "target": "generic-int8"}, "generic-int8"),
        ({"tuner": "heroic"}, "heroic"),
        ({"target": "abacus"}, "abacus"),
        ({"clips": ["kl"]}, "`kl`; there are mse, minmax, percentile"),
        ({"bits": [9]}, "widths from 2 to 8"),
        ({"budget": 0}, "budget is 0"),
    ]
    for options, words in refused:
        with pytest.raises(lowbit.InvalidRecipe) as caught:
            lowbit.search(network, ZEROS, progress=False, **options)
        assert words in str(caught.value), options
    with pytest.raises(lowbit.Error, match="too few to hold some out"):
        lowbit.search(network, ZEROS[:2], progress=False)
    assert list(tmp_path.iterdir()) == []


class Mine(Exception):
    pass


def failing(after: int) -> Iterator[Any]:
    for _ in range(after):
        yield ZEROS
    raise Mine("the camera is off")


@pytest.mark.parametrize("after", [0, 1, 50])
def test_what_a_generator_raises_comes_out(network: Path, after: int) -> None:
    with pytest.raises(Mine, match="camera"):
        lowbit.quantize(network, failing(after), progress=False)
    with pytest.raises(Mine, match="camera"):
        lowbit.quantize(network, ZEROS, validation=failing(after), progress=False)


class Broken:
    """Raises at its third word."""

    def __init__(self) -> None:
        self.left = 3

    def __getattr__(self, name: str) -> Any:
        if name not in ("stage", "advance", "say", "note", "finish"):
            raise AttributeError(name)

        def word(*_: object) -> None:
            self.left -= 1
            if self.left <= 0:
                raise Mine(name)

        return word


def test_what_a_listener_raises_comes_out(network: Path, floats: Any) -> None:
    with pytest.raises(Mine):
        lowbit.quantize(network, floats, detail=True, progress=Broken())


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (ZEROS[0], "[1, 8, 8]"),
        (ZEROS[:0], "[0, 1, 8, 8]"),
        (np.zeros((2, 1, 8, 9), np.float32), "[2, 1, 8, 9]"),
        (ZEROS.astype(np.uint8), "preprocessed"),
        (ZEROS.astype(np.complex64), "complex64"),
        (ZEROS.astype(object), "object"),
        (None, "object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sessions(network: Path, x: Any, words: str) -> None:
    with pytest.raises(lowbit.InvalidData) as caught:
        lowbit.Session(network).run(x)
    assert words in str(caught.value)


TABLE = np.ones((10, 8), np.float32)


@pytest.mark.parametrize(
    ("table", "options", "kind", "words"),
    [
        (TABLE[0], {}, lowbit.InvalidData, "[rows, columns]"),
        (TABLE[:0], {}, lowbit.InvalidData, "[0, 8]"),
        (TABLE.astype(int), {}, lowbit.InvalidData, "int64"),
        (TABLE * np.nan, {}, lowbit.InvalidData, "row 0"),
        (TABLE, {"bits": 3}, lowbit.Error, "3"),
        (TABLE, {"method": "magic"}, lowbit.InvalidRecipe, "greedy"),
        (TABLE, {"layout": "middle"}, lowbit.InvalidRecipe, "first"),
        (TABLE, {"method": "asym", "compatible": True}, lowbit.InvalidRecipe, "compatible="),
        (TABLE, {"counts": np.ones(9)}, lowbit.InvalidData, "9 counts"),
        (TABLE, {"counts": -np.ones(10)}, lowbit.InvalidData, "count of -1"),
        ("missing.npy", {}, lowbit.MissingFile, "missing.npy"),
    ],
    ids=str,
)
def test_tables(table: Any, options: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        lowbit.embed(table, progress=False, **options)
    assert words in str(caught.value)


def test_rows_with_codebooks_need_a_file_that_says_what_they_are(tmp_path: Path) -> None:
    packed = lowbit.embed(np.random.default_rng(0).random((50, 8), np.float32), method="kmeans-cls", clusters=2, progress=False)
    with pytest.raises(lowbit.InvalidRecipe, match="safetensors"):
        packed.save(tmp_path / "rows.npy")
    with pytest.raises(lowbit.InvalidRecipe, match="possible"):
        packed.save(tmp_path / "rows.bin")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_keep_nothing(network: Path, floats: Any, tmp_path: Path) -> None:
    result = lowbit.quantize(network, floats[:64], progress=False)
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", tmp_path / "missing" / "a.onnx"):
        with pytest.raises(OSError):
            result.save(place)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert list((tmp_path / "folder").iterdir()) == []
