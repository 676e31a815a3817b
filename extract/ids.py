"""Ids and paths: text that gives back the bytes it came from, and words for people."""

from __future__ import annotations


def text_of(raw: bytes) -> str:
    """Decode an id's bytes; what is not UTF-8 becomes lone surrogates, so nothing is lost."""
    return raw.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Give back an id's exact bytes."""
    return text.encode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """Write an id or a path for people: control characters and stray bytes as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
