"""Places elsewhere, as s3://bucket/photos, and without credentials: nothing keeps or prints any."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from extract.errors import UsageError

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

_SECRET = re.compile(
    r"x-(amz|goog|ms|oss|cos)-.*|sig|signature|token|.*[-_]token|api[-_]?key|auth|authorization"
    r"|password|passwd|secret|credential|awsaccesskeyid|googleaccessid|policy|key-pair-id|jwt|hmac",
    re.IGNORECASE,
)
"""Names of query parameters that sign an address; with them goes when they expire."""

_WITH_THEM = {"expires", "se", "sp", "sv", "sr", "st", "spr", "ss", "srt", "skoid", "sktid", "skt"}


_IN_TEXT = re.compile(r"[a-z][a-z0-9+.-]*://[^\s;,|\"'<>]+", re.IGNORECASE)


def free_of_credentials(text: str) -> str:
    """Take what :func:`without_credentials` takes out of all addresses of a text.

    Examples
    --------
    >>> free_of_credentials("--images=https://me:secret@shop.example/a.zip")
    '--images=https://shop.example/a.zip'
    """
    if "://" not in text:
        return text
    return _IN_TEXT.sub(lambda found: without_credentials(found[0]), text)


def without_credentials(text: str) -> str:
    """Take user, password and signature out of an address; other texts stay as they are.

    Examples
    --------
    >>> without_credentials("https://me:secret@shop.example/a.jpg?w=99&X-Amz-Signature=0f1e")
    'https://shop.example/a.jpg?w=99'
    """
    if not ADDRESS.match(text.lstrip()):
        return text
    try:
        parts = urlsplit(text.strip())
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:  # no address at all, such as one with half of an IPv6's brackets
        return ADDRESS.match(text.lstrip())[0] + "..."  # type: ignore[index]
    signed = any(_SECRET.fullmatch(name) for name, _ in query)
    if not signed and "@" not in parts.netloc:
        return text
    kept = [
        (name, value)
        for name, value in query
        if not (_SECRET.fullmatch(name) or (signed and name.lower() in _WITH_THEM))
    ]
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query=urlencode(kept))
    return urlunsplit(bare)


@dataclass(frozen=True)
class Address:
    """A folder or a file that is not on this machine.

    Parameters
    ----------
    url : str
        Without credentials, and without ``/`` at its end.

    Raises
    ------
    UsageError
        When it has credentials.
    """

    url: str

    def __post_init__(self) -> None:
        bare = without_credentials(self.url)
        if bare != self.url:
            raise UsageError(
                f"{bare} is given with a password or a signature, which would be kept with the "
                "vectors: give the address alone, and credentials as its service has them "
                "(environment variables, or its configuration files)"
            )
        object.__setattr__(self, "url", self.url.strip().rstrip("/"))

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Address:
        return Address(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The end of the name, with its dot."""
        return Path(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without that."""
        return Path(self.name).stem

    @property
    def parent(self) -> Address:
        """Where it lies in."""
        return Address(self.url.rpartition("/")[0])


Place = Path | Address
"""Where pictures or tables are: here, or elsewhere."""


def place_of(given: str | os.PathLike[str] | Address) -> Place:
    """Read a place as it was typed.

    Examples
    --------
    >>> place_of("photos"), place_of("s3://bucket/photos/")
    (PosixPath('photos'), Address(url='s3://bucket/photos'))
    """
    if isinstance(given, Address):
        return given
    text = os.fspath(given)
    return Address(text) if ADDRESS.match(text) else Path(text)


def place_or_none(typed: str | None) -> Place | None:
    """Read a place as it was typed, if it was."""
    return None if typed is None else place_of(typed)


def resolved(place: Place) -> Place:
    """Make a path absolute and free of links; an address stays as it is."""
    return place.resolve() if isinstance(place, Path) else place
