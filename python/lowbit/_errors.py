"""Exceptions: one class for each thing that a caller can put right. ``_native`` raises them by these names."""


class Error(Exception):
    """Whatever lowbit refuses or cannot do. The message names the place, what was found, and what is accepted."""


class InvalidModel(Error, ValueError):
    """The network: damaged, of operators that are not known, quantized already, or of another form than the job needs."""


class InvalidData(Error, ValueError):
    """Samples, labels or a table: of another shape or type than the network takes, not finite, or none at all."""


class InvalidRecipe(Error, ValueError):
    """The recipe or another option: a name that does not exist, a key that is not known, or what does not go together."""


class FileError(Error, OSError):
    """The system refused to read or write a file; ``errno`` says why."""

    def __str__(self) -> str:
        return str(self.strerror) if self.strerror else super().__str__()


class MissingFile(FileError, FileNotFoundError):
    """A file is not there."""
