"""``lowbit.evaluate``."""

import os
from collections.abc import Sequence

from . import _data, _files, _model, _native
from ._errors import InvalidModel
from ._progress import Progress, shown
from ._report import Report


def evaluate(
    models: "_model.Model | Sequence[_model.Model]",
    data: _data.Samples,
    *,
    engine: "str | Sequence[str]" = "simulated",
    limit: "int | None" = None,
    skip: int = 0,
    preprocess: "str | os.PathLike[str] | None" = None,
    seed: int = 0,
    threads: "int | None" = None,
    progress: "bool | Progress" = True,
) -> Report:
    """Scores networks side by side, as ``lowbit evaluate`` does: ``report.scores`` has one score for each.

    :param models: a network, or several, of which the first is what the others are compared with
    :param data: samples; with labels for accuracy
    :param engine: ``simulated``, ``integer``, ``float`` or ``exact``; with several, each network is scored on each
    :param limit: at most so many samples, as in :func:`lowbit.quantize`
    :param skip: samples of the seeded shuffle to leave out first: those that a calibration with this limit took
    :param preprocess: for pictures, as in :func:`lowbit.quantize`
    :param seed: seed of the shuffle
    :param threads: worker threads; ``None`` for one per core
    :param progress: whether to show how far it is, or who is told

    :raises lowbit.Error: or a subclass, by what cannot be used
    """
    several = isinstance(models, Sequence) and not isinstance(models, str | bytes | bytearray | memoryview)
    networks = [_model.opened(model) for model in models] if several else [_model.opened(models)]  # type: ignore[union-attr, arg-type]
    if not networks:
        raise InvalidModel("no network was given")
    samples, limit = _data.opened(data, networks[0], limit)
    with shown(progress) as listener:
        report = _native.evaluate(
            networks,
            samples,
            engines=[engine] if isinstance(engine, str) else list(engine),
            limit=limit,
            skip=skip,
            threads=threads,
            preprocess=_files.path(preprocess),
            seed=seed,
            progress=listener,
        )
    return Report(report)
