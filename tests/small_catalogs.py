"""What tests build on: small pictures, a tiny backbone, rows for a file, an environment offline."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from warm_commands import run_here

from extract.backbones.registry import Backbone
from extract.catalog.demo import KINDS, draw_picture
from extract.images.decoding import decode_picture
from extract.pipeline.monitor import Monitor
from extract.storage.embeddings import row_crc32
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import Rows, blank_fields
from extract.storage.row_writer import RowWriter
from extract.transforms.preprocessing import Preprocessing

PROJECT = Path(__file__).parent.parent
TREES = {"Mugs": "Kitchen >> Cups", "Vases": "Home >> Decor", "Watches": "Wear >> Watches"}
Run = Callable[..., subprocess.CompletedProcess[str]]


def draw_noise(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> None:
    """Save a picture of colored blocks that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(path)


def shirt_of_gray(level: int) -> Image.Image:
    """Draw one T-shirt with one texture on white, its cloth of a gray level."""
    art = KINDS["T-shirts"](random.Random(3))
    alpha = art.alpha[..., None]
    light = (art.color / np.maximum(alpha, 1e-3)).mean(axis=2, keepdims=True)
    light = light / light[art.alpha > 0.9].mean()
    art.color = (alpha * np.clip(level / 255 * light, 0, 1)).repeat(3, axis=2).astype(np.float32)
    return art.on(np.ones((320, 320, 3), np.float32))


def tiny_backbone(seed: int = 0, name: str = "tiny") -> Backbone:
    """Build a real, small convolutional backbone: 32 pixels a side, 8 numbers out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 5, stride=3),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        )
    model.eval().requires_grad_(False)
    preprocessing = Preprocessing(32, "crop", 0.875, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    weights = {"source": "random", "tag": f"{name}.random", "seed": seed, "sha256": str(seed)}
    return Backbone(name, model, preprocessing, 8, weights, "mean", "cpu")


class CountingBackbone:
    """Passes everything on to a backbone; counts the batches of ``runtime="eager"``."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.batches = self.pictures = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._backbone, name)

    def model(self, pixels: torch.Tensor) -> torch.Tensor:
        self.batches += 1
        shades = pixels.flatten(2)  # places that hold no picture are of one shade
        self.pictures += int((shades != shades[:, :, :1]).any(dim=2).any(dim=1).sum())
        vectors: torch.Tensor = self._backbone.model(pixels)
        return vectors


class StopAfter(Monitor):
    """Asks to stop after so many batches; counts the rows that were durable by then."""

    def __init__(self, batches: int) -> None:
        self.batches = batches
        self.durable = 0

    def finished(self, n_rows: int) -> None:
        self.durable += n_rows

    def should_stop(self) -> bool:
        self.batches -= 1
        return self.batches <= 0


def embedded_alone(backbone: Backbone, picture: Path) -> np.ndarray:
    """One picture through the model, without any of the loop."""
    pixels = backbone.preprocessing.transform()(decode_picture(picture.read_bytes()))
    with torch.inference_mode():
        vector: np.ndarray = backbone.model(pixels[None])[0].numpy()
    return vector


def some_rows(ids: tuple[str, ...], seed: int = 0) -> Rows:
    """Make sound rows of six numbers for some ids."""
    rng = np.random.default_rng(seed)
    rows = Rows(vectors=rng.normal(size=(len(ids), 6)).astype(np.float32), **blank_fields(len(ids)))
    rows.status[:] = 1
    rows.content_sha256[:] = rng.integers(0, 256, rows.content_sha256.shape)
    for i, row_id in enumerate(ids):
        rows.row_crc32[i] = row_crc32(row_id, rows.content_sha256[i].tobytes(), rows.vectors[i])
    return rows


def fill(path: Path, places: list[int], seed: int = 0, way: int = 0) -> Rows:
    """Write sound rows, computed in one of the file's ways, into some places of it."""
    table = read_table(path)
    rows = some_rows(tuple(table.ids[i] for i in places), seed)
    rows.execution_config[:] = way
    writer = RowWriter(table)
    writer.write(np.array(places), rows)
    assert writer.sync() == len(places)
    writer.close()
    return rows


def need_openvino() -> None:
    """Skip where it is not; imported by a test, it would report each conversion to its maker."""
    import pytest

    if find_spec("openvino") is None:
        pytest.skip("needs sosie[fast]")


def offline_environment(workspace: Path) -> dict[str, str]:
    """Give an environment in which no hub, no cache of a user and no workspace is to be found."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "SOSIE_"))}
    return {
        **kept,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(workspace / "no-hub"),
        "TORCH_HOME": str(workspace / "no-torch"),
    }


def draw(path: Path, kind: str, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _drawn(kind, seed).save(path)


@cache  # many a shop begins with the same pictures
def _drawn(kind: str, seed: int) -> Image.Image:
    return draw_picture(kind, random.Random(seed))


def make_shop(root: Path) -> None:
    """Fill a workspace: photos in folders and zipped, a manifest, pictures without labels."""
    rows, kinds = [], []
    for kind, tree in TREES.items():
        for i in range(5):
            draw(root / "photos" / kind / f"{i}.jpg", kind, i)
            kinds.append(f"{kind}/{i}.jpg,{tree.partition(' >> ')[0]}")
            draw(root / "images" / f"{kind}{i}.jpg", kind, 10 + i)
            draw(root / "flat" / f"{kind}{i}.png", kind, 20 + i)
            rows.append(f'{kind}{i},"[""{tree} >> {kind}""]",{kind}{i}.jpg')
    header = "uniq_id,product_category_tree,image"
    (root / "photos" / "metadata.csv").write_text("\n".join(["file_name,kind", *kinds]) + "\n")
    (root / "products.csv").write_text("\n".join([header, *rows]) + "\n")
    shutil.make_archive(str(root / "photos"), "zip", root / "photos")


def embed_shop(root: Path) -> None:
    """Fill a workspace as :func:`make_shop` does; embed its three catalogues by lite0."""
    make_shop(root)
    tree = "--label-column product_category_tree --label-separator >>"
    for words in (
        "--images photos",
        "--images flat --catalog unsorted",
        f"--manifest products.csv --images-dir images {tree}",
    ):
        done = run_in(root, "extract", *words.split())
        assert done.returncode == 0, done.stderr


def build_wheel(folder: Path) -> None:
    """Build the wheel of this project by what is installed here."""
    words = ["-m", "build", "--wheel", "--no-isolation", "--outdir", folder, PROJECT]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)


def made_once(shared: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Give a folder that one worker fills, and all of them read: none may write in it."""
    folder, part = shared / name, shared / f"{name}.part"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


def run_in(root: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does, in a workspace."""
    return run_here(words, root, {**offline_environment(root), **env})


def run_fresh(root: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command from nothing, as a shell does."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=root,
        env={**offline_environment(root), **env},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=240,
        check=False,
    )
