"""Models of transformers, headless: how one is built, what its vector is, where its weights are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from extract.backbones.classifiers import fit_classifier, no_classifier
from extract.backbones.hub import cached_on_hub, find_on_hub
from extract.backbones.image_processors import read_preprocessing
from extract.backbones.weights import (
    Checkpoint,
    Headless,
    refuse_misfit,
    refuse_not_finite,
    tensors_sha256,
    unlike_in_kind,
)
from extract.errors import SosieError, UsageError, WeightsError
from extract.transforms.preprocessing import Preprocessing

HEADS = ("classifier", "head", "pooler", "decoder", "lm_head")
"""Parts of larger models that the vector does not pass through."""

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
MOST_LAYERS = 1000
MOST_NUMBERS, SMALL_MODEL = 3 * 10**9, 10**8
CLASS_TOKENS = ("cls_token", "class_embedding")


@dataclass(frozen=True)
class TransformersModel:
    """One model of transformers.

    Parameters
    ----------
    repo : str
        On the Hugging Face hub.
    settings : mapping, optional
        Its configuration where that is known here; else the repository's ``config.json``.
    seen : Preprocessing, optional
        Likewise; else the repository's ``preprocessor_config.json``.
    pooling : str
        What ``auto`` takes, where that is known here.
    """

    repo: str
    settings: Mapping[str, Any] | None = None
    seen: Preprocessing | None = None
    pooling: str = "auto"

    @property
    def architecture(self) -> str:
        """What names the architecture in the vectors' identity."""
        return self.repo

    @property
    def tagged(self) -> str:
        """What names the weights: a repository holds one set of them."""
        return self.repo

    @property
    def on_hub(self) -> tuple[str, str | None]:
        """The repository of the weights on the Hugging Face hub, and their file if it is named."""
        return self.repo, None

    def preprocessing(self, resize: str = "model") -> Preprocessing:
        """Take the transform that comes with the repository, or another geometry.

        Random weights have it too.

        Raises
        ------
        WeightsError
            When it is not to be had, or needs what is not built here.
        """
        seen = self.seen or self._published()
        # CvT has no positions to embed; what others can be shown is not known here
        any_size = self.settings is not None and self.settings.get("model_type") == "cvt"
        return seen.resized(resize, any_size=any_size)

    def has_known_preprocessing(self) -> bool:
        """Whether its transform is known without a network."""
        return self.seen is not None or bool(cached_on_hub(self.repo, PROCESSOR))

    def headless(self, seed: int, checkpoint: Checkpoint | None, pooling: str) -> Headless:
        """Build the model without its classifier: of a checkpoint, or random, drawn from a seed.

        ``auto`` pooling is the model's own pooler, else its class token, else the mean over
        places; CvT has no pooler, and its own classifier reads the layer norm of its class token.

        Raises
        ------
        WeightsError
            When the checkpoint does not fit, or transformers cannot build the model.
        UsageError
            When the model has nothing to pool that way.
        """
        import torch

        config = self._config()
        with _quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _build(_class_of(config, self.repo), config, checkpoint).float().eval()
        if config.model_type == "cvt":
            model.classifier = torch.nn.Identity()
        if checkpoint:
            refuse_not_finite(checkpoint.source, model)
        sha256 = tensors_sha256(model)
        pooling = self.pooling if pooling == "auto" else pooling
        if config.model_type == "cvt":
            pooled, pooling = _pool_of_cvt(model, pooling, self.repo)
        else:
            size = self.preprocessing().size
            with torch.inference_mode():
                seen = model(pixel_values=torch.zeros(1, 3, size, size))
            pooled, pooling = _pool_of(model, seen, pooling, self.repo)
        return Headless(pooled, pooling, sha256)

    def classifier(self, seed: int, checkpoint: Checkpoint | None) -> Any:
        """Build the model's own classifier alone: headless vectors in, logits out.

        Raises
        ------
        WeightsError
            When the checkpoint holds none.
        UsageError
            When the model is no CvT: which vector another's classifier reads is not known here.
        """
        import torch

        config = self._config()
        if config.model_type != "cvt":
            raise no_classifier(f"hf:{self.repo}")
        with _quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _build(_class_of(config, self.repo), config, checkpoint).float().eval()
        if checkpoint:
            prefix = ("classifier.",)
            fit_classifier(model.classifier, checkpoint.tensors, prefix, checkpoint.source)
        return model.classifier

    def find_weights(self, name: str) -> Path:
        """Find the repository's checkpoint in the hub's cache, or download it there.

        Raises
        ------
        WeightsError
            When it is not to be had.
        """
        return find_on_hub(self.repo, name)

    def weights_are_cached(self) -> bool:
        """Whether the checkpoint can be had without a network."""
        return cached_on_hub(self.repo) is not None

    def _config(self) -> Any:
        with _quiet():
            from transformers import AutoConfig

            if self.settings is not None:
                return AutoConfig.for_model(**self.settings)
            path = find_on_hub(self.repo, f"hf:{self.repo}", CONFIG)
            with _refusing(f"transformers cannot read the configuration of {self.repo}"):
                return AutoConfig.from_pretrained(str(path.parent), trust_remote_code=False)

    def _published(self) -> Preprocessing:
        path = find_on_hub(self.repo, f"hf:{self.repo}", PROCESSOR)
        with _quiet(), _refusing(f"transformers cannot read how {self.repo} prepares pictures"):
            from transformers import AutoImageProcessor

            processor = AutoImageProcessor.from_pretrained(
                str(path.parent), trust_remote_code=False
            )
            return read_preprocessing(processor, self.repo)


def _class_of(config: Any, repo: str) -> Any:
    from transformers import CvtForImageClassification
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    if config.model_type == "cvt":
        return CvtForImageClassification
    found = MODEL_MAPPING.get(type(config), None)
    if getattr(found, "main_input_name", None) != "pixel_values":
        raise UsageError(
            f"{repo} ({config.model_type}) does not take pictures alone: take its image tower from "
            "timm, python -m extract --model timm:NAME"
        )
    return found


def _build(kind: Any, config: Any, checkpoint: Checkpoint | None) -> Any:
    """Build a model, and let transformers itself translate and load a checkpoint's tensors.

    A pooler that the checkpoint does not hold is taken off: it would give random vectors.
    """
    import torch

    _refuse_giant(kind, config, checkpoint)
    if checkpoint is None:
        return kind(config)
    with _refusing(f"{checkpoint.source} does not fit {kind.__name__}"):
        model, info = kind.from_pretrained(
            None,
            config=config,
            state_dict=dict(checkpoint.tensors),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    missing = sorted(k for k in info["missing_keys"] if not _is_head(k, ("classifier",)))
    if missing and all(k.startswith("pooler.") for k in missing):
        model.pooler, missing = None, []
    refuse_misfit(
        checkpoint.source,
        missing=missing,
        surplus=sorted(k for k in info["unexpected_keys"] if not _is_head(k, HEADS)),
        unlike=[
            f"{k} {tuple(got)} for {tuple(wanted)}"
            for k, got, wanted in sorted(info["mismatched_keys"])
            if not _is_head(k, ("classifier",))
        ]
        + unlike_in_kind(model.state_dict(), _without_prefix(model, checkpoint.tensors)),
    )
    return model


def _refuse_giant(kind: Any, config: Any, checkpoint: Checkpoint | None) -> None:
    """Refuse a configuration that calls for far more numbers than there are, before they are made.

    Raises
    ------
    WeightsError
    """
    import torch

    what = f"the configuration of this {config.model_type}"
    for name, value in config.to_dict().items():
        numbers = value if isinstance(value, list) else [value]
        many = [n for n in numbers if isinstance(n, int) and n > MOST_LAYERS]
        if many and ("layers" in name or name.startswith("depth")):
            raise WeightsError(f"{what} has {many[0]:,} in {name}; at most {MOST_LAYERS:,}")
    with _refusing(f"{what} cannot be built"), torch.device("meta"):
        wanted = sum(p.numel() for p in kind(config).parameters())
    there = sum(t.numel() for t in checkpoint.tensors.values()) if checkpoint else MOST_NUMBERS
    if wanted > 4 * there + SMALL_MODEL:
        raise WeightsError(
            f"{what} calls for {wanted:,} numbers and there are {there:,}: give the checkpoint of "
            "this architecture"
        )


def _without_prefix(model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Give tensors the names of a model that is the inner part of theirs."""
    prefix = f"{model.base_model_prefix}."
    return {k.removeprefix(prefix): v for k, v in tensors.items()} | dict(tensors)


def _is_head(key: str, heads: tuple[str, ...]) -> bool:
    return key.split(".")[0] in heads


def _pool_of_cvt(model: Any, pooling: str, repo: str) -> tuple[Any, str]:
    """Give what CvT's own classifier reads, or the mean over places by the same layer norm."""
    from extract.backbones.pooling import Pooled, no_class_token, no_pooling

    has_class_token = model.config.cls_token[-1]
    if pooling == "auto":
        pooling = "cls" if has_class_token else "mean"
    if pooling == "cls" and not has_class_token:
        raise no_class_token(repo)
    if pooling not in ("cls", "mean"):
        raise no_pooling(repo, pooling)

    # partials, not closures: those of a copy must call the copy
    features, pool = partial(_features_of_cvt, model), partial(_vector_of_cvt, model, pooling)
    return Pooled(model, features, pool), pooling


def _features_of_cvt(model: Any, pixels: Any) -> Any:
    return model.cvt(pixels)


def _vector_of_cvt(model: Any, pooling: str, outputs: Any) -> Any:
    tokens = outputs.last_hidden_state.flatten(2).transpose(1, 2)
    return model.layernorm(outputs.cls_token_value if pooling == "cls" else tokens).mean(dim=1)


def _pool_of(model: Any, seen: Any, pooling: str, repo: str) -> tuple[Any, str]:
    """Give the model's own pooler, else its class token, else the mean over places."""
    from extract.backbones.pooling import (
        Pooled,
        class_token,
        mean_over_places,
        no_class_token,
        no_pooling,
    )

    tokens = [n for n, _ in model.named_parameters() if n.endswith((*CLASS_TOKENS, "_token"))]
    has_class_token = any(name.endswith(CLASS_TOKENS) for name in tokens)
    has_pooler = getattr(seen, "pooler_output", None) is not None
    if pooling == "auto":
        pooling = "pooler" if has_pooler else "cls" if has_class_token else "mean"
    if pooling == "cls" and not has_class_token:
        raise no_class_token(repo)
    n_prefix = has_class_token + sum(n.endswith("distillation_token") for n in tokens)
    n_prefix += getattr(model.config, "num_register_tokens", 0) or 0
    pools: dict[str, Callable[[Any], Any]] = {
        "pooler": lambda outputs: outputs.pooler_output.flatten(1),
        "cls": lambda outputs: class_token(outputs.last_hidden_state),
        "mean": lambda outputs: mean_over_places(
            outputs.last_hidden_state, n_prefix_tokens=n_prefix
        ),
    }
    if pooling not in pools or (pooling == "pooler" and not has_pooler):
        raise no_pooling(repo, pooling)
    return Pooled(model, partial(_forward, model), pools[pooling]), pooling


def _forward(model: Any, pixels: Any) -> Any:
    return model(pixel_values=pixels)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' bars and reports off the terminal: what matters is judged here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turn whatever transformers raises into one line."""
    try:
        yield
    except SosieError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{what}: {reason}") from error
