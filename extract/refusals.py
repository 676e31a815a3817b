"""Why a picture was refused: the table of reasons that the embeddings file stores in ``status``."""

from __future__ import annotations

from enum import IntEnum

TO_DO = 0
SOUND = 1


class Reason(IntEnum):
    """A refusal's number in ``status``; numbers are never given a second meaning."""

    MISSING = 2
    NOT_REGULAR = 3
    EMPTY = 4
    UNIDENTIFIED = 5
    TRUNCATED = 6
    CORRUPT = 7
    UNSUPPORTED = 8
    TOO_LARGE = 9
    ASPECT = 10
    OUTSIDE_FOLDER = 11
    PERMISSION = 12
    NOT_FINITE = 13
    NOT_NAMED = 14
    SEVERAL = 15
    UNREACHABLE = 16

    @property
    def code(self) -> str:
        """The reason's name as users and programs read it, such as ``too_large``."""
        return self.name.lower()


class Refused(Exception):
    """One picture cannot be embedded; the run goes on without it.

    Parameters
    ----------
    reason : Reason
    message : str
        One line for people: what was found in the picture.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[Refused], tuple[Reason, str]]:
        return Refused, (self.reason, self.message)

    def bare(self) -> Refused:
        """Give the refusal alone: a traceback keeps the picture's bytes and pixels alive."""
        return Refused(self.reason, self.message)


def reason_code(status: int) -> str:
    """Name a status number; numbers of a later version are shown as ``reason_<number>``."""
    try:
        return Reason(status).code
    except ValueError:
        return f"reason_{status}"
