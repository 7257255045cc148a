"""Places of files, and files that appear whole or not at all: written beside their place under another name, then renamed."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def path(given: "str | os.PathLike[str] | None") -> "str | None":
    """A place or a name as text, if there is one."""
    return None if given is None else os.fspath(given)


def write_whole(path: "str | os.PathLike[str]", write: Callable[[str], object]) -> Path:
    """Has ``write`` fill a new file, and gives it the name ``path``."""
    whole = Path(path)
    if whole.exists() and not whole.is_file():
        raise OSError(f"cannot write {whole}: it is not a regular file")
    partial = whole.parent / f".lowbit-{secrets.token_hex(8)}.partial"
    try:
        write(str(partial))
        os.replace(partial, whole)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return whole


def write_bytes(path: "str | os.PathLike[str]", content: bytes) -> Path:
    """Writes a file of these bytes."""

    def write(partial: str) -> None:
        with open(partial, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    return write_whole(path, write)
