"""What can go wrong, as a tree.

    SosieError                 exit code 1
    ├── UsageError             exit code 2: what was typed cannot be done
    ├── CatalogError           the pictures or the manifest cannot be listed
    │   └── NoPictures         the folder holds no picture
    ├── WeightsError           weights are not here, or do not fit the backbone
    │   └── WeightsDiffer      what is to be had here gives other vectors than a file's
    ├── EmbeddingsFileError    an embeddings file cannot be laid out, read or trusted
    │   ├── FileLocked         another run is writing it
    │   └── LaterFormat        a later version wrote it, or a file next to it
    ├── HeadFileError          a trained head's files cannot be read, or are not what they claim
    ├── DecodingError          a picture ends every process that opens it
    ├── NotSound               a file was verified, and a check failed
    ├── NothingEmbedded        a run ended without a single sound row
    ├── PictureRefused         --on-bad-image stop met a picture that cannot be read
    ├── SurveyStopped          a run was stopped before its first picture
    └── Stopped                a signal ended the run; what was finished is kept

Every message is one line: what was wrong, then what to type next.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


class SosieError(Exception):
    """Base of every error that is the user's to read: one line, no traceback."""

    exit_code = 1


class UsageError(SosieError):
    """What was typed names something that is not there or cannot be.

    Parameters
    ----------
    message : str
    listed : sequence of str
        What there is to choose from, a line each, where that is too much for the message.
    """

    exit_code = 2

    def __init__(self, message: str, listed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.listed = tuple(listed)


def one_of(
    name: str, there: Collection[str], what: str, how: str = "choose one of", end: str = ""
) -> str:
    """Give a name back that is among those there are.

    Raises
    ------
    UsageError
        Listing those there are.
    """
    if name not in there:
        raise UsageError(f"no {what} {name!r}: {how} {', '.join(there) or 'none'}{end}")
    return name


class CatalogError(SosieError):
    """The pictures or the manifest cannot be listed."""


class NoPictures(CatalogError):
    """The folder holds no picture."""


class WeightsError(SosieError):
    """The requested weights are not here, or do not fit the backbone."""


class WeightsDiffer(WeightsError):
    """The backbone that is to be had here gives other vectors than those of a file."""


class HeadFileError(SosieError):
    """A trained head's files cannot be read, or are not what they claim."""


class EmbeddingsFileError(SosieError):
    """An embeddings file cannot be laid out, read or trusted."""


class FileLocked(EmbeddingsFileError):
    """Another run holds the embeddings file's lock."""


class LaterFormat(EmbeddingsFileError):
    """A later version wrote a file, which is neither read, replaced nor removed."""


def of_later_format(place: object, version: int, known: int) -> str:
    """Explain that a later version wrote a stored file, and what to do."""
    return (
        f"{place} is of format {version}, and this version reads up to {known}: upgrade sosie; the "
        "file is left as it is"
    )


def cannot_write(place: object, error: Exception) -> EmbeddingsFileError:
    """Make the error of a place that cannot be written, with the way out."""
    reason = getattr(error, "strerror", None) or error
    return EmbeddingsFileError(
        f"cannot write {place}: {reason}; write elsewhere with --output FILE or --root DIR"
    )


def cannot_read(place: object, error: OSError) -> CatalogError:
    """Make the error of a table that the system does not give."""
    return CatalogError(f"cannot read {place}: {error.strerror}; fix that, or move the file away")


class DecodingError(SosieError):
    """Processes that decode died, and others in their place."""


class NotSound(SosieError):
    """An embeddings file was verified, and a check failed."""


def in_one_line(error: Exception, most: int = 200) -> str:
    """Give the first paragraph of another library's error, or its class."""
    text = " ".join(str(error).strip().partition("\n\n")[0].split())
    return text[:most] or type(error).__name__


class NothingEmbedded(SosieError):
    """A run ended without a single sound row."""


class PictureRefused(SosieError):
    """A picture was refused, in a run that stops at the first."""


class SurveyStopped(SosieError):
    """A run was stopped while it looked at the pictures; nothing was touched."""


class Stopped(SosieError):
    """A signal ended the run.

    Parameters
    ----------
    message : str
    signal_number : int
        The exit code is 128 more, as shells have it: 130 for SIGINT, 143 for SIGTERM.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
