"""Tasks that open a picture, which may be harmful: in other processes, within bounds."""

from __future__ import annotations

import hashlib
import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyze.pictures.duplicates import Fingerprint, fingerprint
from analyze.pictures.model_input import AsSeen
from extract.images.decoders import DecodedPicture, decode_for
from extract.images.decoding import decode_picture, opened_picture
from extract.images.reading import read_picture
from extract.refusals import Reason, Refused
from extract.transforms.preprocessing import Preprocessing

if TYPE_CHECKING:
    from PIL import Image

PROCESSOR_SECONDS = 10.0
"""That one picture may take of its process's own time."""

TASK_SECONDS = 30.0
"""By the clock, which goes on while a busy machine does other things."""

MOST_PIXELS = 50_000_000
"""Of a picture that is sent."""

ROOM_BYTES = 1_000_000_000
"""Address space that a task may take in addition to what its process has."""

QUALITY = 82
SEEN_QUALITY = 95
"""Of what the model saw, which is small, and looked at closely."""

SENT_PIXELS = 512
"""Of the longer side of a picture that was sent, as the page shows it."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture that was sent, decoded, and what is known of it.

    Parameters
    ----------
    decoded : DecodedPicture
    fingerprint : Fingerprint
    sha256 : bytes
        Over what was sent.
    thumbnail : bytes
        JPEG.
    """

    decoded: DecodedPicture
    fingerprint: Fingerprint
    sha256: bytes
    thumbnail: bytes


@dataclass(frozen=True)
class Open:
    """Decode a picture that was sent, for a backbone to embed.

    Parameters
    ----------
    content : bytes
    preprocessing : Preprocessing
    decoder : str
        One of :data:`extract.images.decoders.DECODERS`.
    seen : bool
        Whether the page shows it as the model sees it.
    """

    content: bytes = field(repr=False)
    preprocessing: Preprocessing
    decoder: str
    seen: bool = False
    seconds: float = TASK_SECONDS
    processor_seconds: float = PROCESSOR_SECONDS

    def do(self, _kept: dict[str, Any]) -> Opened:
        """Decode it."""
        with _bounded():
            _refuse_large(self.content)
            decoded = decode_for(self.content, self.preprocessing, self.decoder)
            scaled = decoded.decoder == "scaled"  # with other pixels than fingerprints have
            picture = decode_picture(self.content) if scaled else decoded.upright()
            known, sha256 = fingerprint(picture), hashlib.sha256(self.content).digest()
            seen = AsSeen(self.preprocessing) if self.seen else None
            small = _shown(picture, SENT_PIXELS, seen, sha256)
        return Opened(decoded, known, sha256, small)


@dataclass(frozen=True)
class CheckDecodes:
    """Decode a picture that was sent, only to refuse one that is none while its backbone loads."""

    content: bytes = field(repr=False)
    seconds: float = TASK_SECONDS
    processor_seconds: float = PROCESSOR_SECONDS

    def do(self, _kept: dict[str, Any]) -> bool:
        """Decode it; True when that succeeds."""
        with _bounded():
            _refuse_large(self.content)
            decode_picture(self.content)
        return True


@dataclass(frozen=True)
class Stored:
    """Where a row's picture is, and the bytes that it had when it was embedded.

    Parameters
    ----------
    root : Path
    path : str
    sha256 : bytes or None
        None where it is not known.
    """

    root: Path
    path: str
    sha256: bytes | None

    def read(self) -> bytes:
        """Read it; another picture under its name is refused.

        Raises
        ------
        Refused
        """
        file = read_picture(self.root, self.path)
        if self.sha256 is not None and file.sha256 != self.sha256:
            raise Refused(Reason.MISSING, "has changed since it was embedded")
        return file.content


@dataclass(frozen=True)
class Thumbnail:
    """Make a row's picture small, whole or as the model saw it, and encode it again.

    Parameters
    ----------
    stored : Stored
    pixels : int
        Of the longer side, at most.
    seen : AsSeen, optional
    """

    stored: Stored
    pixels: int
    seen: AsSeen | None = None
    seconds: float = TASK_SECONDS
    processor_seconds: float = PROCESSOR_SECONDS

    def do(self, _kept: dict[str, Any]) -> bytes:
        """Make it; JPEG."""
        content = self.stored.read()
        if self.seen is not None:
            with _bounded():
                sha256 = hashlib.sha256(content).digest()
                return _shown(decode_picture(content), self.pixels, self.seen, sha256)
        with _bounded(), opened_picture(content) as opened, opened.memory():
            # a JPEG is decoded at a smaller scale: nobody measures a thumbnail
            opened.picture.draft("RGB", (2 * self.pixels, 2 * self.pixels))
            return _as_jpeg(opened.upright(), self.pixels)


@dataclass(frozen=True)
class TakeFingerprint:
    """Take the fingerprint of a row's picture."""

    stored: Stored
    seconds: float = TASK_SECONDS
    processor_seconds: float = PROCESSOR_SECONDS

    def do(self, _kept: dict[str, Any]) -> Fingerprint:
        """Take it."""
        content = self.stored.read()
        with _bounded():
            return fingerprint(decode_picture(content))


def _refuse_large(content: bytes) -> None:
    with opened_picture(content) as opened:
        width, height = opened.picture.size
    if width * height > MOST_PIXELS:
        most = MOST_PIXELS // 10**6
        raise Refused(Reason.TOO_LARGE, f"{width} x {height}: over {most} megapixels")


def _shown(picture: Image.Image, pixels: int, seen: AsSeen | None, sha256: bytes) -> bytes:
    """Encode an upright picture as it is shown: whole, or as the model saw it."""
    if seen is None:
        return _as_jpeg(picture, pixels)
    return _as_jpeg(seen.show(picture, sha256), pixels, quality=SEEN_QUALITY, subsampling=0)


def _as_jpeg(picture: Image.Image, pixels: int, **how: int) -> bytes:
    small = picture.copy() if max(picture.size) <= pixels else picture
    small.thumbnail((pixels, pixels), reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, "JPEG", **{"quality": QUALITY, **how})
    return file.getvalue()


@contextmanager
def _bounded() -> Iterator[None]:
    """Bound the memory of the block; a picture that needs more is refused."""
    had, hard = resource.getrlimit(resource.RLIMIT_AS)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + ROOM_BYTES, hard))
    try:
        yield
    except MemoryError:
        raise Refused(Reason.TOO_LARGE, "takes more memory than a picture may") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (had, hard))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
