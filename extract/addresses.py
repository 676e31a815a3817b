"""Places elsewhere, as s3://bucket/photos, and without credentials: nothing keeps or prints any."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from extract.errors import UsageError

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

_SECRET = re.compile(
    r"x(amz|goog|ms|oss(?!process)|cos).*|.*(token|secret|signature|passw|credential|session).*"
    r"|.*(api|access|secret|auth|private|shared|subscription|account|client|master|license)key.*"
    r"|key|keypairid|code|pwd|pass|sid|sas|sig|sign|auth|authorization|hdn(ts|ea|tl)|hmac|jwt"
    r"|policy|googleaccessid|qak|md5|ticket|otp|cookie"
)
"""Names of parameters that sign an address, by their letters and digits in lower case."""

_WITH_THEM = {"expires", "se", "sp", "sv", "sr", "st", "spr", "ss", "srt", "skoid", "sktid", "skt"}
"""Names of what goes with them: when they expire."""

_LIST_OF_THEM = rf"[,;|]+(?={ADDRESS.pattern})"
_IN_TEXT = re.compile(
    rf"{ADDRESS.pattern}(?:[^\s/@]*@)?(?:(?!{_LIST_OF_THEM})[^\s\"'<>])+", re.IGNORECASE
)
_USER = re.compile(r"(?<=://)[^/?#]*@")
_PARAMETERS = re.compile(r"([?&#]+)([^?&#]*)")


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
    address = text.strip()
    scheme = ADDRESS.match(address)
    if not scheme:
        return text
    bare = _USER.sub("", address)
    try:
        _ = urlsplit(bare).port
    except ValueError:  # no address: half of an IPv6's brackets, or a password with a slash
        return f"{scheme[0]}..."
    bare = _without_signature(bare)
    return text if bare == address else bare


def _without_signature(address: str) -> str:
    """Take parameters that sign out of the path, the query and the fragment."""
    path, *_ = _PARAMETERS.split(address, maxsplit=1)
    groups = [(found[1], found[2].split(";")) for found in _PARAMETERS.finditer(address)]
    kept = [("", _unsigned(path.split(";")))]
    signed = len(kept[0][1]) < path.count(";") + 1
    for between, parameters in groups:
        left = _unsigned(parameters)
        signed |= len(left) < len(parameters)
        if left or not parameters:
            kept.append((between, left))
    if not signed:
        return address
    for at, (between, left) in enumerate(kept[1:], 1):
        kept[at] = between, [each for each in left if _name(each) not in _WITH_THEM]
    bare, query = ";".join(kept[0][1]), False
    for between, left in kept[1:]:
        if left:
            opened = "#" if "#" in between else "&" if query else "?"
            query |= opened == "?"
            bare += opened + ";".join(left)
    return bare


def _unsigned(parameters: list[str]) -> list[str]:
    """Give the parameters before the first that signs: a token may hold what separates them."""
    for at, each in enumerate(parameters):
        if _is_secret(each):
            return parameters[:at]
    return parameters


def _is_secret(parameter: str) -> bool:
    value = parameter.partition("=")[2]
    if not value:
        return False
    nested = unquote(value)
    return bool(
        _SECRET.fullmatch(_name(parameter))
        or value.startswith("eyJ")  # a JSON web token
        or (nested != value and without_credentials(nested) != nested)
    )


def _name(parameter: str) -> str:
    """Give the letters and digits of a parameter's name, in lower case."""
    return re.sub(r"[\W_]", "", unquote(parameter.partition("=")[0])).lower()


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
