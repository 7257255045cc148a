"""``lowbit.quantize``."""

import os

from . import _data, _files, _model, _native
from ._progress import Progress, shown
from ._result import Result


def quantize(
    model: _model.Model,
    data: _data.Samples,
    *,
    recipe: "str | os.PathLike[str]" = "w8a8",
    target: "str | os.PathLike[str]" = "onnxruntime",
    validation: "_data.Samples | None" = None,
    seed: "int | None" = None,
    limit: "int | None" = None,
    preprocess: "str | os.PathLike[str] | None" = None,
    flavour: "str | None" = None,
    effort: str = "balanced",
    detail: bool = False,
    threads: "int | None" = None,
    cache_bytes: "int | None" = None,
    state: "str | os.PathLike[str] | None" = None,
    fresh: bool = False,
    progress: "bool | Progress" = True,
) -> Result:
    """Quantizes a network, as ``lowbit quantize`` does.

    :param model: the float network: a path, bytes, or an ``onnx.ModelProto``
    :param data: samples to calibrate on; some hundred are enough
    :param recipe: the name of a built-in recipe (``w8a8``, ``w4a8``, ``w4a4-aciq``, ``w4a4-brecq``, …) or a TOML file
    :param target: the name of a built-in target or a TOML file: which edges carry integers, and how wide
    :param validation: labelled samples to score on; without them the calibration samples serve
    :param seed: seed of everything random; ``None`` for the recipe's
    :param limit: at most so many samples: of an array or file the first of a seeded shuffle, of an iterable the first
    :param preprocess: for pictures: a preset (``imagenet``, ``cifar10``, …) or a TOML file; ``None`` to choose from the data
    :param flavour: form of the file: ``packed``, ``container``, ``textbook`` or ``qonnx``; ``None`` for the target's
    :param effort: how long steps that learn go on: ``fast``, ``balanced`` or ``best``
    :param detail: whether the report has histograms, and says how much each layer hurts alone; takes longer
    :param threads: worker threads; ``None`` for one per core
    :param cache_bytes: memory for what steps that learn keep of the samples; more goes to temporary files
    :param state: a file that steps that learn save to, and that a killed run goes on from; :meth:`Result.save` removes it
    :param fresh: whether to leave unused what a killed run saved in ``state``
    :param progress: whether to show how far it is, or who is told

    :raises lowbit.Error: or a subclass, by what cannot be used; ``KeyboardInterrupt`` leaves nothing behind
    """
    network = _model.opened(model)
    samples, held_out, limit = _data.both(data, validation, network, limit)
    with shown(progress) as listener:
        made = _native.quantize(
            network,
            samples,
            held_out,
            recipe=os.fspath(recipe),
            target=os.fspath(target),
            flavour=flavour,
            seed=seed,
            limit=limit,
            threads=threads,
            preprocess=_files.path(preprocess),
            effort=effort,
            cache_bytes=cache_bytes,
            state=_files.path(state),
            fresh=fresh,
            detail=detail,
            progress=listener,
        )
    return Result(*made)
