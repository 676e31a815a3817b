"""Pictures from archives and from a bucket, next to those of the folder that was packed."""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from extract.catalog.archived.images_listing import list_images
from extract.catalog.catalog import Catalog, list_folder
from extract.loading.picture import Destination, PictureLoader, Place, Task
from extract.loading.threads import LoadingThreads
from extract.transforms.preprocessing import Preprocessing
from tests.benchmarks.photo_files import make_photo_files
from tests.benchmarks.process_costs import forget_peak, peak_bytes

SEEN = Preprocessing(224, "crop", 0.875, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
AHEAD = 64


def add_options(command: argparse.ArgumentParser) -> None:
    """Take how many pictures, how often, and whether a bucket is served here."""
    command.add_argument("--pictures", type=int, default=2_000)
    command.add_argument("--rounds", type=int, default=5)
    command.add_argument("--s3", action="store_true", help="needs moto[server] and s3fs")


def measure(pictures: int, rounds: int, s3: bool) -> None:
    """Load all pictures of each place in turn, by two threads: no model slows them down."""
    with tempfile.TemporaryDirectory() as at, ExitStack() as served:
        folder = Path(at, "photos")
        make_photo_files(folder, pictures, "small", processes=1)
        _pack(folder)
        places = ["photos", "photos.tar", "photos.zip", "photos.parquet"]
        names = {name: str(Path(at, name)) for name in places}
        if s3:
            names["s3://shop/photos.tar"] = served.enter_context(_bucket(Path(at, "photos.tar")))
        rates: dict[str, list[tuple[float, float, float, float]]] = {}
        for _ in range(rounds):
            for name, place in names.items():
                began = time.monotonic()
                listed = list_images(place)
                listing = time.monotonic() - began
                rates.setdefault(name, []).append((*_load(listed), listing))
        _print(pictures, rates)


def _print(n: int, rates: dict[str, list[tuple[float, float, float, float]]]) -> None:
    own = [statistics.median(column) for column in zip(*rates["photos"], strict=True)]
    for name, rounds in rates.items():
        wall, processor, peak, listing = (
            statistics.median(column) for column in zip(*rounds, strict=True)
        )
        print(
            f"{name:22} {n / wall:6.0f} pictures/s ({own[0] / wall:.2f} of the folder's), "
            f"{n / processor:6.0f} a processor second ({own[1] / processor:.2f}), listed in "
            f"{listing:.2f} s, peak {peak / 1e6:.0f} MB more"
        )


def _load(catalog: Catalog) -> tuple[float, float, float]:
    """Load every picture; seconds, the processor's seconds, bytes at the peak."""
    pixels = np.zeros((1, AHEAD, SEEN.size, SEEN.size, 3), np.uint8)
    loader = PictureLoader(catalog, [Destination(SEEN, "fast", pixels, lambda *_: True)])
    threads = LoadingThreads(loader, 2)
    forget_peak()
    before, began, used = peak_bytes(), time.monotonic(), time.process_time()
    for row in range(len(catalog) + AHEAD):
        if row >= AHEAD:
            assert threads.next()[0].refused is None
        if row < len(catalog):
            threads.submit(Task((row,), ((Place(0, 0, row % AHEAD),),)))
    took = time.monotonic() - began, time.process_time() - used, float(peak_bytes() - before)
    threads.close()
    return took


def _pack(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    listed = list_folder(folder).ids
    with tarfile.open(folder.with_suffix(".tar"), "w") as tar:
        for name in listed:
            content = (folder / name).read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as packed:
        for name in listed:
            packed.write(folder / name, name)
    rows = [{"bytes": (folder / name).read_bytes(), "path": name} for name in listed]
    pq.write_table(pa.table({"image": rows}), folder.with_suffix(".parquet"), row_group_size=100)


@contextmanager
def _bucket(file: Path) -> Iterator[str]:
    """Serve a file from a bucket of this process."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    own = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    own |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.get_host_and_port()[1]}"}
    os.environ.update(own)
    fsspec.filesystem("s3").mkdir("shop")
    fsspec.filesystem("s3").put(str(file), f"shop/{file.name}")
    try:
        yield f"s3://shop/{file.name}"
    finally:
        server.stop()
        for name in own:
            del os.environ[name]
