"""``lowbit.train``."""

import os

from . import _data, _files, _model, _native
from ._progress import Progress, shown
from ._result import Result


def train(
    model: _model.Model,
    data: _data.Samples,
    *,
    recipe: "str | os.PathLike[str]",
    target: "str | os.PathLike[str]" = "products",
    validation: "_data.Samples | None" = None,
    epochs: "int | None" = None,
    steps: "int | None" = None,
    batch: "int | None" = None,
    learning_rate: "float | None" = None,
    best: bool = False,
    seed: "int | None" = None,
    limit: "int | None" = None,
    preprocess: "str | os.PathLike[str] | None" = None,
    flavour: "str | None" = None,
    threads: "int | None" = None,
    cache_bytes: "int | None" = None,
    state: "str | os.PathLike[str] | None" = None,
    fresh: bool = False,
    progress: "bool | Progress" = True,
) -> Result:
    """Trains a network in few bits, or in float, as ``lowbit train`` does.

    :param model: the float network, with or without batch normalization
    :param data: labelled samples: ``(x, y)``, an iterable of such pairs, or a path
    :param recipe: the name of a built-in training recipe (``w2a2-lcq``, ``w4a4-lsq``, ``bwn``, ``float``, …) or a TOML file
    :param target: the name of a built-in target or a TOML file
    :param validation: labelled samples to score on after each epoch; training never sees them
    :param epochs: passes over the samples, of each stage; ``None`` for the recipe's
    :param steps: steps instead
    :param batch: samples of a step; ``None`` for the recipe's
    :param learning_rate: its base; ``None`` for the recipe's
    :param best: whether the epoch with the best validation is kept rather than the last one
    :param seed: seed of everything random; ``None`` for the recipe's
    :param limit: at most so many samples, as in :func:`lowbit.quantize`
    :param preprocess: for pictures, as in :func:`lowbit.quantize`
    :param flavour: form of the file; ``None`` for the target's
    :param threads: worker threads; ``None`` for one per core
    :param cache_bytes: memory for the samples; more goes to a temporary file
    :param state: a file that a killed run goes on from; :meth:`Result.save` removes it
    :param fresh: whether to leave unused what a killed run saved in ``state``
    :param progress: whether to show how far it is, or who is told

    :raises lowbit.Error: or a subclass, by what cannot be used; ``KeyboardInterrupt`` leaves nothing behind but ``state``
    """
    network = _model.opened(model)
    samples, held_out, limit = _data.both(data, validation, network, limit)
    with shown(progress) as listener:
        made = _native.train(
            network,
            samples,
            held_out,
            recipe=os.fspath(recipe),
            target=os.fspath(target),
            flavour=flavour,
            epochs=epochs,
            steps=steps,
            batch=batch,
            learning_rate=learning_rate,
            best=best,
            seed=seed,
            limit=limit,
            threads=threads,
            preprocess=_files.path(preprocess),
            cache_bytes=cache_bytes,
            state=_files.path(state),
            fresh=fresh,
            progress=listener,
        )
    return Result(*made)
