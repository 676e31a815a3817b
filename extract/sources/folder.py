"""Pictures that are files in a folder: regular ones, and none that a link leads out to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extract.ids import bytes_of, shown, text_of
from extract.refusals import Reason, Refused
from extract.sources.located import NOWHERE, Located


def locate_picture(images_root: Path, path: str) -> bytes:
    """Give the real path of a picture inside its folder.

    Raises
    ------
    Refused
        When the path, or a link in it, leaves the folder, or leads nowhere.
    """
    if not path.strip():  # the folder itself
        raise Refused(Reason.MISSING, "no path")
    root = os.fsencode(images_root)
    try:
        real = os.path.realpath(os.path.join(root, bytes_of(path)), strict=True)
    except ValueError as error:
        raise Refused(Reason.MISSING, str(error)) from error
    except OSError as error:
        raise refusal_of_os_error(error) from error
    if real == root:
        raise Refused(Reason.OUTSIDE_FOLDER, "the pictures' folder itself: name a picture in it")
    if not real.startswith(root.rstrip(b"/") + b"/"):
        raise Refused(
            Reason.OUTSIDE_FOLDER,
            f"leads out of the pictures' folder, to {shown(text_of(real))}: give a folder that "
            "holds all pictures",
        )
    return real


def stat_file(images_root: Path, path: str) -> tuple[int, int]:
    """Give a file's size in bytes and mtime in ns, or (-1, -1) where it cannot be reached."""
    try:
        found = os.stat(locate_picture(images_root, path))  # noqa: PTH116 - bytes
    except (Refused, OSError):
        return NOWHERE
    return found.st_size, found.st_mtime_ns


@contextmanager
def opened_file(images_root: Path, path: str) -> Iterator[Located]:
    """Open a file as long as the block lasts, if it is a regular one.

    Raises
    ------
    Refused
    """
    try:
        # a FIFO opened without O_NONBLOCK would wait for ever
        handle = os.open(locate_picture(images_root, path), os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise refusal_of_os_error(error) from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(Reason.NOT_REGULAR, "not a regular file")

        def read(most: int) -> bytes:
            with os.fdopen(handle, "rb", closefd=False) as file:
                content = file.read(found.st_size + 1)  # memory is taken for this many bytes first
                if len(content) > found.st_size:  # it grows as it is read
                    content += file.read(most + 1 - len(content))
            return content

        yield Located(found.st_size, found.st_mtime_ns, read)
    except OSError as error:
        raise refusal_of_os_error(error) from error
    finally:
        os.close(handle)


def refusal_of_os_error(error: OSError) -> Refused:
    """Make the refusal of a picture that the system does not give; its own trouble is raised."""
    message = error.strerror or str(error)
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE):
        raise error  # the machine's trouble, not the picture's: the run ends, the row stays to do
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refused(Reason.PERMISSION, message)
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
        return Refused(Reason.MISSING, message)
    if error.errno in (errno.ENXIO, errno.ENODEV, errno.EISDIR):
        return Refused(Reason.NOT_REGULAR, message)
    return Refused(Reason.CORRUPT, f"cannot be read: {message}")
