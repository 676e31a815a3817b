"""Addresses without their credentials: neither a file, a message nor a command's record has any."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

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
