"""One program embeds a folder's pictures, in its own process: ``peer_run PEER FOLDER``."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np

STOOD_IN_FOR = ("tensorflow", "torchtyping", "open_clip", "ftfy", "skimage", "requests")
"""What a peer imports and does not use for a model of torch."""

Embed = Callable[[Any, Path, list[Path]], np.ndarray]


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives a module that takes any name, for what is not installed."""

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] in STOOD_IN_FOR:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = MagicMock(name=spec.name)
        module.__spec__, module.__path__, module.__name__ = spec, [], spec.name
        return module

    def exec_module(self, module: ModuleType) -> None:
        return


def run(peer: str, folder: Path) -> None:
    """Embed the folder's pictures as this peer does; print CPU milliseconds a picture."""
    from extract.backbones.registry import load_backbone
    from tests.benchmarks.process_costs import costing

    job = json.loads((folder / "job.json").read_text())
    backbone = load_backbone(job["model"], weights=job["weights"], resize=job["resize"])
    files = sorted((folder / "pictures").iterdir())
    sys.meta_path.append(_StandIns())
    embed: Embed = RUNS[peer](backbone, folder)
    embed(backbone, folder, files[:2])
    with costing() as cost:
        vectors = embed(backbone, folder, files)
    np.save(folder / f"{peer}.npy", np.asarray(vectors, np.float32))
    print(json.dumps({"cpu_ms": 1000 * cost.cpu / len(files)}))


def _plain_loop(backbone: Any, folder: Path) -> Embed:
    from tests.benchmarks.extraction_speed import plain_loop

    transform = backbone.preprocessing.transform()
    return lambda backbone, _, files: plain_loop(backbone.model, transform, files)


def _img2vec(backbone: Any, folder: Path) -> Embed:
    """Give its own model's place to ours: as it hands out a whole model's output for a VGG."""
    from img2vec_pytorch.img_to_vec import Img2Vec
    from PIL import Image

    class WithOurModel(Img2Vec):
        def _get_model_and_layer(self, *_: object) -> tuple[Any, Any]:
            return backbone.model, backbone.model

    embedder = WithOurModel(model="vgg", layer_output_size=backbone.n_dims)

    def embed(_: Any, folder: Path, files: Sequence[Path]) -> np.ndarray:
        return np.stack([embedder.get_vec(Image.open(file).convert("RGB")) for file in files])

    return embed


def _imcluster(backbone: Any, folder: Path) -> Embed:
    """Give it our model as a folder of transformers' wrapper of timm."""
    from imcluster import features
    from transformers import TimmWrapperConfig, TimmWrapperImageProcessor, TimmWrapperModel

    seen, model = backbone.preprocessing, backbone.model
    settings = {
        **model.pretrained_cfg,
        "input_size": [3, seen.size, seen.size],
        "interpolation": seen.interpolation,
        "crop_pct": seen.crop_pct,
        "crop_mode": {"crop": "center", "squash": "squash", "pad": "border"}[seen.resize],
        "mean": list(seen.mean),
        "std": list(seen.std),
    }
    architecture = settings["architecture"]
    config = TimmWrapperConfig(architecture=architecture, do_pooling=True)
    wrapped = TimmWrapperModel(config)
    wrapped.timm_model.load_state_dict(model.state_dict())
    saved = folder / "wrapped"
    wrapped.save_pretrained(saved)
    TimmWrapperImageProcessor(settings, architecture).save_pretrained(saved)
    told = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**told, "pretrained_cfg": settings}))

    features.pipeline = cache(features.pipeline)  # loading is not what is measured

    class Images:
        """What it asks of its own list of images; nothing is kept."""

        output = "memory"

        def __init__(self, images: list[Path]) -> None:
            self.images = images

        def has_column(self, _: str) -> bool:
            return False

        def save_column(self, *_: object) -> None:
            return

    def embed(_: Any, folder: Path, files: list[Path]) -> np.ndarray:
        rows: np.ndarray = features.build_features(Images(files), str(saved), features.Device.CPU)
        return rows

    return embed


def _thingsvision(backbone: Any, folder: Path) -> Embed:
    """Take a module's output through its extractor, datasets and loader; batches of 32."""
    vars(np)["AxisError"] = np.exceptions.AxisError  # where it was before NumPy 2
    from thingsvision import get_extractor_from_model
    from thingsvision.utils.data import DataLoader, ImageDataset

    transform = backbone.preprocessing.transform()
    extractor = get_extractor_from_model(model=backbone.model, device="cpu", backend="pt")
    layer = [name for name, _ in backbone.model.named_modules()][-1]

    def embed(_: Any, folder: Path, files: Sequence[Path]) -> np.ndarray:
        data = ImageDataset(
            root=str(folder / "pictures"),
            out_path=str(folder / "order"),
            backend="pt",
            file_names=[file.name for file in files],
            transforms=transform,
        )
        batches = DataLoader(dataset=data, batch_size=32, backend="pt")
        rows: np.ndarray = extractor.extract_features(batches=batches, module_name=layer)
        return rows

    return embed


RUNS: dict[str, Callable[[Any, Path], Embed]] = {
    "plain loop": _plain_loop,
    "imcluster": _imcluster,
    "img2vec": _img2vec,
    "thingsvision": _thingsvision,
}

if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
