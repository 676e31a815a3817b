"""The golden pictures and their vectors: drawn, and computed without any of this project's loop.

``python -m tests.golden_vectors`` writes both to ``extract/verification/golden``. The four
pictures are those that a plain ``convert("RGB")`` gets wrong, beside each other small enough to
be committed.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image, ImageDraw, ImageOps, PngImagePlugin
from timm.models import get_pretrained_cfg
from torchvision import transforms

from extract.backbones.registry import BACKBONES, load_backbone

FOLDER = Path(__file__).parent.parent / "extract" / "verification" / "golden"
MODELS = tuple(f"efficientnet_lite{number}" for number in range(3))
ORIENTATION = 0x0112


def blocks(seed: int, size: tuple[int, int], channels: int) -> Image.Image:
    """Draw a coarse mosaic with some ovals on it."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (6, 5, channels), dtype=np.uint8)
    drawn = Image.fromarray(colors.squeeze()).resize(size, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(drawn)
    for _ in range(6):
        x, y = (int(rng.integers(0, side)) for side in size)
        reach = int(rng.integers(10, min(size) // 3))
        color = tuple(int(c) for c in rng.integers(0, 256, channels))
        pen.ellipse((x - reach, y - reach // 2, x + reach, y + reach // 2), fill=color)
    return drawn


def turned() -> Image.Image:
    """A tall picture stored lying, that its EXIF turns upright."""
    picture = blocks(1, (420, 300), 3)
    picture.getexif()[ORIENTATION] = 6
    return picture


def hidden() -> Image.Image:
    """An oval under alpha, part of it sheer, with colors hidden where nothing is to be seen."""
    picture = blocks(2, (200, 260), 3)
    alpha = Image.new("L", picture.size, 0)
    ImageDraw.Draw(alpha).ellipse((20, 30, 180, 230), fill=255)
    ImageDraw.Draw(alpha).rectangle((100, 30, 200, 130), fill=96)
    picture.putalpha(alpha)
    return picture


def gray16() -> Image.Image:
    """Sixteen bits of gray, most of them above 255, which a plain conversion turns white."""
    coarse = np.random.default_rng(3).integers(0, 65536, (9, 12), dtype=np.uint16)
    return Image.fromarray(np.kron(coarse, np.ones((20, 20), np.uint16)))


def palette() -> Image.Image:
    """Few colors, one of which stands for transparent."""
    picture = blocks(4, (240, 160), 3).quantize(16, dither=Image.Dither.NONE)
    picture.info["transparency"] = picture.getpixel((0, 0))
    return picture


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "gray16.png": gray16,
    "hidden.png": hidden,
    "palette.png": palette,
    "turned.png": turned,
}


def upright_rgb(path: Path) -> Image.Image:
    """Read a picture by the rules of docs/embeddings-file.md, in a few lines of their own."""
    picture: Image.Image = Image.open(path)
    assert isinstance(picture, PngImagePlugin.PngImageFile)
    if picture.mode.startswith("I"):
        gray = np.rint(np.asarray(picture).astype(np.float64) / 257).astype(np.uint8)
        picture = Image.fromarray(gray)
    values = np.asarray(picture.convert("RGBA")).astype(np.float64)
    cover = values[..., 3:] / 255
    on_white = np.rint(values[..., :3] * cover + 255 * (1 - cover)).astype(np.uint8)
    shown = Image.fromarray(on_white)
    shown.getexif()[ORIENTATION] = Image.open(path).getexif().get(ORIENTATION, 1)
    return ImageOps.exif_transpose(shown)


def weights_path(name: str) -> Path | None:
    """Find a model's packaged weights; None where their package is not installed."""
    packaged = BACKBONES[name].packaged
    assert packaged is not None
    found = importlib.util.find_spec(packaged.package)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / packaged.file


def independent_vectors(name: str, weights: Path) -> np.ndarray:
    """Embed the committed pictures with timm, Pillow and torchvision alone, one at a time."""
    model = timm.create_model(f"tf_{name}", pretrained=False)
    tensors = torch.load(weights, map_location="cpu", weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), tensors.values(), strict=True)))
    model.reset_classifier(0)
    model.eval()
    settings = get_pretrained_cfg(f"tf_{name}.in1k")
    size = settings.input_size[-1]
    prepare = transforms.Compose(
        [
            transforms.Resize(
                math.floor(size / settings.crop_pct),
                transforms.InterpolationMode(settings.interpolation),
            ),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(settings.mean, settings.std),
        ]
    )
    with torch.inference_mode():
        return np.stack(
            [model(prepare(upright_rgb(FOLDER / each))[None])[0].numpy() for each in PICTURES]
        )


def write() -> None:
    """Draw the pictures and write the vectors, by the sha256 of the weights that gave them."""
    FOLDER.mkdir(exist_ok=True)
    for each, draw in PICTURES.items():
        picture = draw()
        picture.save(FOLDER / each, optimize=True, exif=picture.getexif())
    vectors = {}
    for name in MODELS:
        weights = weights_path(name)
        assert weights is not None, f"{name} has no weights here"
        sha256 = load_backbone(name).weights["sha256"]
        vectors[f"weights_{sha256}"] = independent_vectors(name, weights)
    np.savez(FOLDER / "vectors.npz", pictures=np.array(list(PICTURES)), **vectors)


if __name__ == "__main__":
    write()
