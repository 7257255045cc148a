"""The package in use: results, reports, sessions, progress."""

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import lowbit


@pytest.fixture(scope="module")
def small(network: Path, digits: Any) -> lowbit.Result:
    return lowbit.quantize(network, digits, recipe="w4a8", preprocess="digits", limit=200, detail=True, progress=False)


def test_the_network_runs_in_onnx_runtime_and_in_a_session(small: lowbit.Result, floats: Any) -> None:
    onnx.checker.check_model(onnx.load_from_string(small.model), full_check=True)
    runtime = onnxruntime.InferenceSession(small.model, providers=["CPUExecutionProvider"])
    theirs = runtime.run(None, {runtime.get_inputs()[0].name: floats})[0]
    session = small.session(threads=2)
    ours = session.run(floats)
    assert ours.dtype == np.float32 and ours.shape == theirs.shape
    assert (ours.argmax(1) == theirs.argmax(1)).mean() > 0.99
    assert session.input_shape == (1, 8, 8)
    [(name, shape)] = session.outputs.items()
    assert shape == (10,) and (session.run_all(floats)[name] == ours).all()


def test_a_session_gives_the_same_bytes_however_it_is_asked(small: lowbit.Result, floats: Any, tmp_path: Path) -> None:
    path = small.save(tmp_path / "small.onnx")
    whole = lowbit.Session(path, threads=1).run(floats)
    session = lowbit.Session(onnx.load(path))
    for x in (floats.astype(np.float64), np.asfortranarray(floats), np.repeat(floats, 2, axis=0)[::2], floats.tolist()):
        assert (session.run(x) == whole).all()
    assert (np.concatenate([session.run(floats[i : i + 77]) for i in range(0, len(floats), 77)]) == whole).all()
    found: list[Any] = [None] * 4
    threads = [threading.Thread(target=lambda i=i: found.__setitem__(i, session.run(floats))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((answer == whole).all() for answer in found)


def test_reports_are_values_pages_and_files(small: lowbit.Result, tmp_path: Path) -> None:
    report = small.report
    before, after = report.scores
    assert not before.classes and sum(one.samples for one in after.classes) == after.samples
    assert (before.model, before.bits, after.bits) == ("float", "float32", "W4A8")
    assert after.size_bytes == len(small.model) and after.top1 is not None and after.top1 > 90
    assert any(layer["alone_sqnr_db"] is not None for layer in report.to_dict()["layers"])
    assert "validation=" in " ".join(report.notes) and "--" not in " ".join(report.notes)
    assert "srcdoc=" in report._repr_html_() and "&lt;html" in small._repr_html_().lower()
    assert "W4A8" in str(report) and "W4A8" in repr(small)
    for name in ("r.html", "r.md", "r.json"):
        assert report.save(tmp_path / name).stat().st_size > 500
    with pytest.raises(lowbit.InvalidRecipe):
        report.save(tmp_path / "r.pdf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.json", "r.md"]


def test_a_search_gives_points_to_choose_from_and_goes_on_from_its_trials(network: Path, digits: Any, tmp_path: Path) -> None:
    log = tmp_path / "trials.jsonl"
    options: dict[str, Any] = {"preprocess": "digits", "limit": 120, "budget": 6, "bits": [8, 3], "clips": ["mse"]}
    found = lowbit.search(network, digits, max_size=40_000, trials=log, progress=False, **options)
    sizes = [point.size_bytes for point in found.points]
    assert sizes == sorted(sizes) and found.chosen.size_bytes == len(found.model) <= 40_000
    assert any(point.uniform and point.name == "w8a8" for point in found.points)
    assert all(point.measured_ms is not None and point.measured_ms > 0 for point in found.points)
    assert found.recipe == found.chosen.recipe
    assert found.session().input_shape == (1, 8, 8) and found.chosen.name in repr(found)
    assert "srcdoc=" in found._repr_html_() and "w8a8" in str(found.report)
    for name in ("r.html", "r.md", "r.json"):
        assert found.report.save(tmp_path / name).stat().st_size > 500
    measured, known = found.report.to_dict()["trials"]
    assert measured > 0 and known == 0
    again = lowbit.search(network, digits, max_size=40_000, trials=log, timing=False, progress=False, **options)
    assert again.report.to_dict()["trials"] == [0, measured] and again.model == found.model
    with pytest.raises(lowbit.Error, match="nearest found takes about"):
        lowbit.search(network, digits, max_size=1000, trials=log, progress=False, **options)


class Listener:
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps = 0
        self.thread = threading.get_ident()

    def stage(self, name: str, total: "int | None") -> None:
        assert threading.get_ident() == self.thread
        self.stages.append(name)

    def advance(self, steps: int) -> None:
        self.steps += steps

    def say(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def finish(self) -> None:
        self.stages.append("end")


def test_progress_is_told_in_the_calling_thread(network: Path, digits: Any) -> None:
    listener = Listener()
    lowbit.quantize(network, digits, preprocess="digits", limit=300, progress=listener)
    assert listener.stages[:2] == ["read", "calibrate"] and listener.stages[-1] == "end"
    assert listener.steps >= 300


@pytest.mark.parametrize("bars", [True, False])
def test_progress_shows_on_stderr_only(
    network: Path, digits: Any, bars: bool, monkeypatch: Any, capsys: Any
) -> None:
    if bars:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    lowbit.quantize(network, digits, preprocess="digits", limit=100)
    out, err = capsys.readouterr()
    assert out == "" and "scored on" in err


def test_memory_maps_are_read_where_they_lie(network: Path, floats: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", floats)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = lowbit.quantize(network, floats, progress=False).model
    assert lowbit.quantize(network, mapped, progress=False).model == expected


def test_what_a_run_saves_is_gone_on_from_and_removed(network: Path, digits: Any, tmp_path: Path) -> None:
    state = tmp_path / "run.state"
    options: dict[str, Any] = {"recipe": "w4-brecq", "preprocess": "digits", "effort": "fast", "limit": 64, "progress": False}
    first = lowbit.quantize(network, digits, state=state, **options)
    assert state.is_file()
    again = lowbit.quantize(network, digits, state=state, **options)
    assert again.model == first.model
    again.save(tmp_path / "out.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]


def test_a_forked_child_can_quantize_but_not_use_a_session_of_its_parent(network: Path, digits: Any) -> None:
    import multiprocessing

    session = lowbit.Session(network)
    session.run(np.zeros((1, 1, 8, 8), np.float32))
    lowbit.quantize(network, digits[0][:64], preprocess="digits", progress=False)

    def child(queue: Any) -> None:
        try:
            session.run(np.zeros((1, 1, 8, 8), np.float32))
        except lowbit.Error as error:
            queue.put(str(error))
        queue.put(len(lowbit.quantize(network, digits[0][:64], preprocess="digits", progress=False).model))
        queue.put(lowbit.Session(network).run(np.zeros((1, 1, 8, 8), np.float32)).shape)

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert "fork" in queue.get(timeout=60)
    assert queue.get(timeout=60) > 1000
    assert queue.get(timeout=60) == (1, 10)
    process.join(60)
    assert process.exitcode == 0
