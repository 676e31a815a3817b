"""A program of test_hostile_pictures.py: bytes that three large pictures take, made ready at once.

It is a process of its own, whose memory nothing else takes. It is given a folder of three pictures,
a decoder, and a small picture.
"""

from __future__ import annotations

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from extract.catalog.catalog import list_folder
from extract.images import memory_limits
from extract.images.decoders import prepare_picture
from extract.loading.picture import Destination, PictureLoader, Place
from extract.machine.allocation import keep_freed_memory
from extract.transforms.preprocessing import Preprocessing


def used(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def main(folder: Path, decoder: str, small: Path) -> None:
    keep_freed_memory()
    memory_limits.share_memory(9)  # pictures and limits of a ninth
    memory_limits.ALONE_BYTES //= 9
    batches = np.zeros((1, 3, 9, 9, 3), np.uint8)
    seen = Preprocessing(9, "squash", 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    prepare_picture(small.read_bytes(), {seen}, decoder)  # with all that it imports
    catalog = list_folder(folder)
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # what is free but held would be used unseen
    before = used("VmRSS")
    loader = PictureLoader(catalog, [Destination(seen, decoder, batches, lambda *_: True)])
    with ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(loader.load, row, [Place(0, 0, row)]) for row in range(3)]
        assert not any(load.result().refused for load in loads)
    assert (batches[0, 0] > 0).any()
    assert (batches[0] == batches[0, 0]).all()
    print(used("VmHWM") - before)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
